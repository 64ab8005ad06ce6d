"""The pair of networks that a job's methods are built for, on real or synthetic data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from benchmark.data import describe
from benchmark.runs.job import Job
from methods import Pair
from models import Features, Network

TrainingFeatures = Callable[[], Iterable[tuple[Features, Tensor]]]


def make_pair(
    student: Network | None,
    teacher: Network | None,
    labels: Tensor,
    batch_size: int,
    training_features: TrainingFeatures,
) -> Pair | None:
    """The pair of two networks, of which a missing one is replaced by the other; None if both are missing.

    Args:
        student: None where a stage trains on the teacher's features alone.
        teacher: None in a run without a teacher.
        labels: ``(N,)`` int64, of the training images.
        batch_size: of the job's recipe.
        training_features: as in `Pair`.
    """
    student, teacher = student or teacher, teacher or student
    if student is None or teacher is None:
        return None
    return Pair(
        student=student.shapes(),
        teacher=teacher.shapes(),
        student_network=student,
        teacher_network=teacher,
        num_samples=len(labels),
        num_classes=teacher.num_classes,
        labels=labels,
        batch_size=batch_size,
        training_features=training_features,
    )


def synthetic_pair(job: Job, student: Network | None, teacher: Network | None) -> Pair | None:
    """A job's pair with as many synthetic labels as there are training images, and random images.

    It serves checks that need no data, and methods whose state is loaded after they are built.

    Args:
        job: a run or a pretraining stage.
        student: as in `make_pair`.
        teacher: as in `make_pair`.
    """
    info, recipe = describe(job.recipe.dataset), job.recipe
    labels = torch.arange(recipe.train_limit or info.num_train - recipe.holdout) % info.num_classes

    def training_features() -> Iterator[tuple[Features, Tensor]]:
        network = teacher or student
        assert network is not None
        parameter, size = next(network.parameters()), network.in_size
        draws = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for few in torch.split(labels[: 2 * info.num_classes], 32):  # two images of each class
                images = torch.randn(len(few), 3, size, size, generator=draws)
                features: Features = network(images.to(parameter))
                yield features.full(), few.to(parameter.device)

    device = next((each.device for network in (student, teacher) if network for each in network.parameters()), None)
    return make_pair(student, teacher, labels.to(device or "cpu"), recipe.batch_size, training_features)
