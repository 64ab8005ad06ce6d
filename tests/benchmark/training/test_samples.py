import torch

from benchmark.training.samples import random_batch, synthetic_pair
from benchmark.training.teacher import Teacher
from benchmark.training.weights import new_network

CPU = torch.device("cpu")


def test_a_batch_has_the_size_and_the_classes_of_the_jobs_images(make_job):
    batch, again = (random_batch(make_job("kd"), 5, CPU) for _ in range(2))
    assert batch.images.shape == (5, 3, 8, 8)
    assert batch.targets.shape == batch.indices.shape == (5,)
    assert 0 <= batch.targets.min() <= batch.targets.max() < 10
    assert torch.equal(batch.images, again.images)
    assert random_batch(make_job("kd", crop="resized", crop_size=24, resize=40), 5, CPU).images.shape == (5, 3, 24, 24)


def test_a_pair_knows_both_networks_and_as_many_labels_as_there_are_images(make_job):
    run = make_job("kd")
    teacher = Teacher(new_network(run.teacher, CPU), run.recipe.precision)
    student = new_network(run, CPU).shapes()
    pair = synthetic_pair(run, student, teacher)
    assert (pair.student, pair.teacher, pair.teacher_network) == (student, teacher.network.shapes(), teacher.network)
    assert (pair.num_samples, pair.num_classes, len(pair.labels)) == (1197, 10, 1197)
    assert set(pair.labels.tolist()) == set(range(10))
