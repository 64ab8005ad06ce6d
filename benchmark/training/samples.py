"""Random batches in the sizes of a job's data, for checks that need no data."""

from __future__ import annotations

import torch

from benchmark.data import describe
from benchmark.runs.job import Job
from methods import Batch


def random_batch(job: Job, images: int, device: torch.device, seed: int = 0, views: int = 1) -> Batch:
    """A batch of random images, in one or two views, and labels of the job's image size and classes, at progress 0."""
    draws = torch.Generator().manual_seed(seed)
    info = describe(job.recipe.dataset)
    size = job.recipe.crop_size or job.recipe.resize or info.image_size
    pixels = torch.randn(images, 3, size, size, generator=draws).to(device, memory_format=torch.channels_last)
    targets = torch.randint(info.num_classes, (images,), generator=draws)
    return Batch(
        images=pixels,
        targets=targets.to(device),
        indices=torch.arange(images, device=device),
        progress=torch.zeros((), device=device),
        generator=None,
        strong=pixels.flip(3) if views > 1 else None,
    )
