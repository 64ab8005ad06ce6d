"""A made-up batch and pair for a job, on which its networks and methods can be tried without data."""

from __future__ import annotations

import torch

from benchmark.data import describe
from benchmark.jobs import Job
from benchmark.training.views import Teacher
from methods import Batch, Pair
from models import Shapes


def random_batch(job: Job, images: int, device: torch.device) -> Batch:
    """Random images of the size of the job's, with labels."""
    draws = torch.Generator().manual_seed(0)
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


def pair_of(job: Job, student: Shapes, teacher: Teacher) -> Pair:
    """The job's pair without its data: made-up labels, as many as there are."""
    info = describe(job.recipe.dataset)
    labels = torch.arange(info.num_train) % info.num_classes
    return Pair(student, teacher.network.shapes(), teacher.network, info.num_train, info.num_classes, labels)
