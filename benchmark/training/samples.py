"""Random images and synthetic labels in the sizes of a job's data, for checks that need no data."""

from __future__ import annotations

import torch

from benchmark.data import describe
from benchmark.runs.job import Job
from benchmark.training.teacher import Teacher
from methods import Batch, Pair
from models import Shapes


def random_batch(job: Job, images: int, device: torch.device, seed: int = 0) -> Batch:
    """A batch of random images and labels of the job's image size and classes, at progress 0."""
    draws = torch.Generator().manual_seed(seed)
    info = describe(job.recipe.dataset)
    size = job.recipe.crop_size or job.recipe.resize or info.image_size
    pixels = torch.randn(images, 3, size, size, generator=draws).to(memory_format=torch.channels_last)
    targets = torch.randint(info.num_classes, (images,), generator=draws)
    return Batch(
        pixels.to(device),
        targets.to(device),
        torch.arange(images, device=device),
        torch.zeros((), device=device),
        generator=None,
    )


def synthetic_pair(job: Job, student: Shapes | None, teacher: Teacher | None) -> Pair | None:
    """The job's pair with as many synthetic labels as there are training images; None without a teacher.

    Args:
        job: a run or a pretraining stage.
        student: shapes of the student; None where the teacher is its own student.
        teacher: of the job.
    """
    if teacher is None:
        return None
    info, shapes = describe(job.recipe.dataset), teacher.network.shapes()
    labels = torch.arange(info.num_train) % info.num_classes
    return Pair(student or shapes, shapes, teacher.network, info.num_train, info.num_classes, labels)
