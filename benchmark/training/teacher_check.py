"""Checks that files given by ``--teacher`` fit their networks: the process behind `benchmark.planning.teacher_files`.

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
from benchmark.training.pretrained import fill_network
from benchmark.training.weights import new_network
from models.published import LoadedPart


def answers(jobs: Mapping[str, Pretrained]) -> Iterator[dict[str, object]]:
    """The report on each job's file."""
    for key, job in jobs.items():
        yield {"key": key, **asdict(check(job))}


def check(job: Pretrained) -> TeacherReport:
    """Load a job's file into its network on the CPU, as training will."""
    assert isinstance(job.source, Path)  # torchvision's weights are downloaded when training starts
    try:
        loaded = fill_network(new_network(job, torch.device("cpu")), job, job.source)
    except UserError as error:
        return TeacherReport(str(error))
    return TeacherReport(remarks=tuple(_remarks(job, loaded)))


def _remarks(job: Pretrained, loaded: LoadedPart) -> Iterator[str]:
    if loaded.other and not job.part:
        yield f"its file holds a student and a teacher: the {loaded.part} is taken, as the {loaded.other} does not fit"
    if loaded.rounded:
        yield "its file has float64 weights, which are rounded to the network's precision"


if __name__ == "__main__":
    for answer in answers(pickle.load(sys.stdin.buffer)):  # noqa: S301
        print(json.dumps(answer), flush=True)  # noqa: T201
