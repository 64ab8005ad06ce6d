"""Which devices there are, found out without importing torch."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from benchmark.errors import UserError


@cache
def cuda_devices() -> int:
    """Number of CUDA devices that the driver lets this process see."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def slow_in_bf16() -> bool:
    """Whether this CPU is known to have no vector instructions that help with bf16, which is then emulated."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags")), None)
    return flags is not None and not any(flag.startswith(("avx512", "amx")) for flag in flags)


def workers(device: str | None, jobs: int | None, threads: int | None) -> tuple[list[str], int]:
    """One device name a worker, and the threads of each.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1`` or None for the best there is.
        jobs: number of workers; None for one a GPU, or as many as the cores hold.
        threads: of a worker on a CPU; None divides the cores.

    Raises:
        UserError: the device is not here.
    """
    device = device or ("cuda" if cuda_devices() else "cpu")
    if device == "cpu":
        count = jobs or (cores() // threads if threads else 1)
        return ["cpu"] * max(1, count), threads or max(1, cores() // max(1, count))
    kind, _, index = device.partition(":")
    if kind != "cuda" or (index and not index.isdecimal()):
        raise UserError(f"--device {device}: use cpu, cuda, or cuda:N")
    if cuda_devices() <= int(index or 0):
        raise UserError(f"--device {device}: this machine shows {cuda_devices()} CUDA devices; use --device cpu")
    places = [device] if index else [f"cuda:{n}" for n in range(cuda_devices())]
    return [places[n % len(places)] for n in range(jobs or len(places))], threads or 1
