"""Time of work on a device, and how its parts share it."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmark.training.parts import BACKWARD, PARTS
from benchmark.training.streams import synchronize

REST = "other"
"""What is in no part: meters, bookkeeping."""
_MICROSECONDS = 1e6


def once(work: Callable[[], None], device: torch.device) -> float:
    """Seconds of some work."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


_QUEUED = 16
"""Turns that a device is given at most before it is waited for: else a whole epoch is queued in no time."""


def seconds(work: Callable[[], None], least: float, device: torch.device) -> float:
    """Mean seconds of some work, done at least once and over and over until so many seconds are over."""
    synchronize(device)
    start, times = time.perf_counter(), 0
    while not times or time.perf_counter() - start < least:
        work()
        times += 1
        if times % _QUEUED == 0:
            synchronize(device)
    synchronize(device)
    return (time.perf_counter() - start) / times


def parts(work: Callable[[], None], times: int, device: torch.device) -> dict[str, float]:
    """Seconds of some work by the parts of a step, by the profiler; their sum is the whole.

    On a CPU it is the time of the caller's thread, on a GPU that of the kernels.
    """
    gpu = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    with profile(activities=[ProfilerActivity.CPU, *gpu]) as profiler:
        elapsed = sum(once(work, device) for _ in range(times))
    events = profiler.events() or []
    used = dict.fromkeys(PARTS, 0.0)
    for event in events:
        if event.name in PARTS and event.device_type == DeviceType.CPU:
            used[event.name] += (event.device_time_total if gpu else event.cpu_time_total) / _MICROSECONDS
    if not gpu:
        return used | {REST: max(0.0, elapsed - sum(used.values()))}
    kernels = (event for event in events if event.device_type == DeviceType.CUDA and event.name not in PARTS)
    total = sum(event.time_range.elapsed_us() for event in kernels) / _MICROSECONDS
    # The backward pass starts its kernels from a thread of its own, outside the label: it is what the others leave.
    return used | {BACKWARD: total - sum(value for name, value in used.items() if name != BACKWARD), REST: 0.0}
