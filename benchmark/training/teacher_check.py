"""Sees whether files hold the networks that they stand in for: the process behind `benchmark.planning.teacher_files`.

``python -m benchmark.training.teacher_check`` reads pickled jobs by their keys and writes a line of JSON for each.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from benchmark.errors import UserError
from benchmark.planning.teacher_files import TeacherReport
from benchmark.runs.job import Pretrained
from benchmark.training.pretrained import fill_given
from benchmark.training.weights import new_network
from models.published import Taken


def answers(jobs: Mapping[str, Pretrained]) -> Iterator[dict[str, object]]:
    """What is found out of each job's file, one after the other."""
    for key, job in jobs.items():
        yield {"key": key, **asdict(check(job))}


def check(job: Pretrained) -> TeacherReport:
    """Load a file into the network that it stands in for, on the CPU, as a worker will."""
    assert isinstance(job.source, Path)  # torchvision's weights are downloaded when they are needed
    try:
        taken = fill_given(new_network(job, torch.device("cpu")), job, job.source)
    except UserError as error:
        return TeacherReport(str(error))
    return TeacherReport(remarks=tuple(_remarks(job, taken)))


def _remarks(job: Pretrained, taken: Taken) -> Iterator[str]:
    if taken.beside and not job.part:
        yield f"its file holds a student and a teacher: the {taken.part} is taken, as the {taken.beside} does not fit"
    if taken.rounded:
        yield "its file has float64 weights, which are rounded to the network's own precision"


if __name__ == "__main__":
    for answer in answers(pickle.load(sys.stdin.buffer)):  # noqa: S301
        print(json.dumps(answer), flush=True)  # noqa: T201
