"""Check that files of ``--teacher`` fit their networks: `benchmark.planning.teacher_files` runs this as a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from benchmark.errors import UserError
from benchmark.planning.check_process import Report, answer
from benchmark.runs.job import Pretrained
from benchmark.training.pretrained import fill_network
from benchmark.training.weights import new_network
from models.published_weights import LoadedPart


def check(job: Pretrained) -> Report:
    """Load a job's file into its network on the CPU, as training will."""
    assert isinstance(job.source, Path)  # torchvision's weights are downloaded when training starts
    try:
        loaded = fill_network(new_network(job, torch.device("cpu")), job, job.source)
    except UserError as error:
        return Report(str(error))
    return Report(remarks=tuple(_remarks(job, loaded)))


def _remarks(job: Pretrained, loaded: LoadedPart) -> Iterator[str]:
    if loaded.other and not job.part:
        yield f"its file holds a student and a teacher: the {loaded.part} is taken, as the {loaded.other} does not fit"
    if loaded.rounded:
        yield "its file has float64 weights, which are rounded to the network's precision"


if __name__ == "__main__":
    answer(check)
