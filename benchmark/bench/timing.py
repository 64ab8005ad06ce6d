"""Wall time of work on a device."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from benchmark.training.cuda_streams import synchronize

_QUEUED = 16
"""Most repetitions queued on a device before the host waits: a GPU would otherwise queue a whole epoch in no time."""


def once(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, from an idle device to an idle device."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def mean(work: Callable[[], object], least: float, device: torch.device) -> float:
    """Mean seconds of a call, repeated until at least ``least`` seconds have passed."""
    synchronize(device)
    start, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - start < least:
        work()
        calls += 1
        if calls % _QUEUED == 0:
            synchronize(device)
    synchronize(device)
    return (time.perf_counter() - start) / calls
