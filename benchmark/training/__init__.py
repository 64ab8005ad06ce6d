"""What is done to jobs: the cohort loop for those that train, one look at the test images for the others."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from benchmark.runs.job import Job
from benchmark.training.analyses import analyse
from benchmark.training.cohort import train
from benchmark.training.context import TrainContext
from benchmark.training.pretrained import measure_given

__all__ = ["TrainContext", "work"]


def work(jobs: Sequence[Job], context: TrainContext) -> None:
    """Do jobs of one kind that belong together; each leaves a record.

    Raises:
        StoppedError: ``setting.stopped`` said so.
        UserError: data or weights are missing.
    """
    _WORK[jobs[0].kind](jobs, context)


_WORK: Mapping[str, Callable[[Sequence[Any], TrainContext], None]] = MappingProxyType(
    {"train": train, "stage": train, "probe": train, "evaluate": measure_given, "analyse": analyse}
)
