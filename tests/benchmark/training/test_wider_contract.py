"""What methods may do beyond a loss: other teachers, a second view, a wrapped student, their own recipe."""

from dataclasses import replace

import torch
from safetensors.torch import load_file

import methods
from benchmark.config.teachers import SELF_TEACHER_SEED
from benchmark.data.batch_stream import Stream
from benchmark.runs.names import parse_method
from benchmark.training.cohort import CohortTraining
from benchmark.training.trained_network import trained_network
from methods import Method
from models.reused_classifier import ReusedClassifier


def test_a_method_without_a_teacher_trains_without_one(lab, make_job):
    job = make_job("label_smoothing")
    assert job.teacher is None
    lab.train(job)
    record = lab.record(job)
    assert record["status"] == "done"
    assert record["spec"]["teacher"] is None
    assert record["provenance"]["teacher_weights"] is None


def test_a_method_may_learn_from_a_plain_run_of_the_students_network(lab, make_job):
    job = make_job("tfkd")
    assert job.teacher == make_job("student", seed=SELF_TEACHER_SEED) == make_job("tfkd", seed=1).teacher
    lab.train(job.teacher)
    lab.train(job)
    assert lab.record(job)["provenance"]["teacher_weights"] == lab.sha(job.teacher)


def test_the_second_view_is_made_only_where_a_member_asks_for_it(lab, cohort_jobs, monkeypatch):
    asked, epoch = [], Stream.epoch

    def logged(self, number, *, strong=False):
        asked.append((number, strong))
        return epoch(self, number, strong=strong)

    monkeypatch.setattr(Stream, "epoch", logged)
    lab.train(cohort_jobs["kd"])
    assert asked == [(1, False), (2, False), (3, False)]
    asked.clear()
    short = replace(cohort_jobs["mlkd"], recipe=replace(cohort_jobs["mlkd"].recipe, epochs=1, milestones=()))
    lab.train(cohort_jobs["kd"], short)
    assert asked == [(1, True), (2, False), (3, False)]


def test_cost_counts_passes_and_views(undisturbed, cohort_jobs):
    costs = {name: undisturbed.record(cohort_jobs[name])["cost"] for name in ("kd", "mlkd", "simkd")}
    assert [(cost["passes"], cost["views"]) for cost in costs.values()] == [(1, 1), (2, 2), (1, 1)]


def test_a_wrapped_student_is_what_is_counted_saved_and_loaded(undisturbed, cohort_jobs, teacher_job):
    job = cohort_jobs["simkd"]
    network = trained_network(job, torch.device("cpu"))
    assert isinstance(network, ReusedClassifier)
    state = load_file(undisturbed.store.weights_path(job))
    network.load_state_dict(state)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert undisturbed.record(job)["metrics"]["params"] == parameters
    plain = trained_network(cohort_jobs["kd"], torch.device("cpu"))
    assert parameters > sum(parameter.numel() for parameter in plain.parameters())
    teacher = load_file(undisturbed.store.weights_path(teacher_job))
    torch.testing.assert_close(state["classifier.weight"], teacher["classifier.weight"], check_dtype=False)


def test_a_wrapped_student_may_be_a_teacher(trained, cohort_jobs, make_job):
    job = replace(make_job("kd", "wrn-10-4"), teacher=cohort_jobs["simkd"])
    trained.train(job)
    assert trained.record(job)["status"] == "done"
    assert trained.record(job)["provenance"]["teacher_weights"] == trained.sha(cohort_jobs["simkd"])


class Remembered(Method):
    """Remembers the teacher's embeddings and labels of all training images."""

    title = "Remembered"
    citation = "a test"

    def __init__(self, pair):
        super().__init__(pair)
        features, labels = zip(*pair.training_features(), strict=True)
        self.register_buffer("embeddings", torch.cat([each.embedding for each in features]))
        self.register_buffer("labels", torch.cat(labels))

    def forward(self, student, _teacher, _batch):
        return {"remembered": student.logits.square().mean()}


def test_training_features_are_in_the_order_of_the_data(lab, make_job, monkeypatch):
    job = make_job("kd")
    monkeypatch.setattr(methods, "load", lambda _name: Remembered)
    training = CohortTraining([job], lab.context())
    method = training.members[0].loss.terms["kd"]
    assert torch.equal(method.labels, training.shared_state.labels)
    teacher = training.shared_state.teacher
    images = torch.cat([images for images, _ in lab.source.training_images(job.recipe)])
    with torch.no_grad():
        torch.testing.assert_close(method.embeddings[40:50], teacher.network(images[40:50]).embedding)


def test_a_methods_recipe_gives_way_to_the_profile(make_job):
    assert methods.load("mlkd").recipe["epochs"] == 480
    assert make_job("mlkd").recipe.epochs == 3


def test_dot_trains_by_the_recipe(lab, make_job):
    job = make_job("kd", optimizer="dot", delta=0.075, nesterov=False)
    lab.train(job)
    outcome = lab.outcome(job)
    assert outcome[0] == "done"
    lab.store.record_path(job).unlink()
    lab.train(job)
    assert lab.outcome(job) == outcome
    assert parse_method("kd") == job.method
