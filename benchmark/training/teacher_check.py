"""Check files of weights: ``benchmark.planning.teacher_files`` runs this module as a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from benchmark.errors import UserError
from benchmark.planning.torch_process import Report, answer
from benchmark.runs.job import Pretrained
from benchmark.training.pretrained import fill_given
from benchmark.training.weights import new_network
from models.published import Taken


def check(job: Pretrained) -> Report:
    """Load a job's file into its network on the CPU, as a worker will."""
    assert isinstance(job.source, Path)  # torchvision's weights are not checked: workers download them
    try:
        taken = fill_given(new_network(job, torch.device("cpu")), job, job.source)
    except UserError as error:
        return Report(str(error))
    return Report(remarks=tuple(_remarks(job, taken)))


def _remarks(job: Pretrained, taken: Taken) -> Iterator[str]:
    if taken.beside and not job.part:
        yield f"its file holds a student and a teacher: the {taken.part} is taken, as the {taken.beside} does not fit"
    if taken.rounded:
        yield "its file has float64 weights, which are rounded to the network's own precision"


if __name__ == "__main__":
    answer(check)
