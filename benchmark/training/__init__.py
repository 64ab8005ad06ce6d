"""Trains and measures jobs: the cohort loop for jobs that train, one pass over the test images for the others."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from benchmark.runs.job import Job
from benchmark.training.analyses import analyse
from benchmark.training.cohort import train
from benchmark.training.context import TrainContext
from benchmark.training.pretrained import measure_pretrained

__all__ = ["TrainContext", "work"]


def work(jobs: Sequence[Job], context: TrainContext) -> None:
    """Run jobs of one kind that belong together, and write their records.

    Raises:
        StoppedError: the user asked to stop.
        UserError: data or weights are missing.
    """
    _WORK[jobs[0].kind](jobs, context)


_WORK: Mapping[str, Callable[[Sequence[Any], TrainContext], None]] = MappingProxyType(
    {"train": train, "stage": train, "probe": train, "evaluate": measure_pretrained, "analyse": analyse}
)
