"""The devices of this machine, found without importing torch."""

from __future__ import annotations

import ctypes
import math
import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

from benchmark.errors import UserError


@cache
def cuda_devices() -> int:
    """Number of CUDA devices that this process can use."""
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
def emulates_bf16(device: str) -> bool:
    """Whether a device emulates bf16, which is slow: GPUs before Ampere, and CPUs without AVX-512 or AMX.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:1``.
    """
    kind, _, index = device.partition(":")
    if kind == "cuda":
        major = _cuda_attribute(int(index or 0), _COMPUTE_CAPABILITY_MAJOR)
        return major is not None and major < _AMPERE
    flags = _cpu_facts().get("flags")
    return flags is not None and not any(flag.startswith(("avx512", "amx")) for flag in flags.split())


@cache
def processor() -> str:
    """The processor as ``NAME (family.model.stepping)``, because one name stands for several processors."""
    facts = _cpu_facts()
    version = ".".join(facts[key] for key in ("cpu family", "model", "stepping") if key in facts)
    name = facts.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({version})" if version else name


@cache
def name(device: str) -> str:
    """The name of a device in records: a GPU's name, or ``cpu``.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:1``.
    """
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return kind
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return kind
    handle, text = ctypes.c_int(0), ctypes.create_string_buffer(256)
    driver.cuDeviceGet(ctypes.byref(handle), int(index or 0))
    driver.cuDeviceGetName(text, len(text), handle)
    return text.value.decode(errors="replace") or kind


_COMPUTE_CAPABILITY_MAJOR = 75
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR of the driver."""
_AMPERE = 8


def _cuda_attribute(index: int, attribute: int) -> int | None:
    """An attribute of a GPU from the driver; None without a driver or such a GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    handle, value = ctypes.c_int(0), ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(handle), index):
        return None
    return None if driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, handle) else value.value


@cache
def _cpu_facts() -> dict[str, str]:
    """The facts of the first processor in ``/proc/cpuinfo``."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def keep_freed_memory() -> None:
    """Make glibc reuse freed memory instead of returning it to the system.

    Training allocates and frees large blocks in every operation; page faults of fresh blocks cost about as much as the
    operations.
    """
    with suppress(OSError, AttributeError):  # other C libraries lack this call
        library = ctypes.CDLL(None)
        for parameter, value in _GLIBC_KEEPS:
            library.mallopt(parameter, value)


_GLIBC_KEEPS = ((-4, 0), (-1, 2**31 - 1), (-2, 2**26))
"""M_MMAP_MAX: no separate mappings; M_TRIM_THRESHOLD: return nothing; M_TOP_PAD: grow by 64 MiB."""


MEMORY = 3 * 2**29
"""Bytes of a worker on a CPU, roughly: 1.5 GiB."""


def in_memory() -> float:
    """Number of CPU workers that fit into the available memory; unlimited if that is unknown."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return math.inf
    available = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return available[0] * 1024 // MEMORY if available else math.inf


def workers(device: str | None, jobs: int | None, threads: int | None) -> tuple[list[str], int]:
    """The device of each worker, and the threads per worker.

    A worker has one thread by default: threads of one operation wait for each other, which on a busy machine takes
    longer than the operation.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1`` or None for the best device.
        jobs: number of workers; None for one per GPU, or as many as cores and memory hold.
        threads: threads per worker; None for one.

    Raises:
        UserError: the machine does not have the device.
    """
    device, threads = device or ("cuda" if cuda_devices() else "cpu"), threads or 1
    if device == "cpu":
        return ["cpu"] * (jobs or max(1, int(min(cores() // threads, in_memory())))), threads
    kind, _, index = device.partition(":")
    if kind != "cuda" or (index and not index.isdecimal()):
        raise UserError(f"--device {device}: use cpu, cuda, or cuda:N")
    if cuda_devices() <= int(index or 0):
        raise UserError(f"--device {device}: this machine shows {cuda_devices()} CUDA devices; use --device cpu")
    places = [device] if index else [f"cuda:{n}" for n in range(cuda_devices())]
    return [places[n % len(places)] for n in range(jobs or len(places))], threads
