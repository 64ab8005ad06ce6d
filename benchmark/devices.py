"""Which devices there are, found out without importing torch."""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress
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
def emulates_bf16(device: str) -> bool:
    """Whether a device is known to have no instructions for bf16, which is then slow.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:1``. GPUs before Ampere have none, nor have CPUs without AVX-512 or AMX.
    """
    kind, _, index = device.partition(":")
    if kind == "cuda":
        major = _cuda_attribute(int(index or 0), _COMPUTE_CAPABILITY_MAJOR)
        return major is not None and major < _AMPERE
    flags = _cpu_facts().get("flags")
    return flags is not None and not any(flag.startswith(("avx512", "amx")) for flag in flags.split())


@cache
def processor() -> str:
    """What this machine says of its processor: ``NAME (family.model.stepping)``, for names stand for several."""
    facts = _cpu_facts()
    version = ".".join(facts[key] for key in ("cpu family", "model", "stepping") if key in facts)
    name = facts.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({version})" if version else name


@cache
def name(device: str) -> str:
    """The name of a GPU, ``cpu`` for a CPU, as records have it.

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
    """What the driver says of a GPU, None where there is no driver or no such GPU."""
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
    """What Linux tells of the first processor."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def keep_freed_memory() -> None:
    """Let this process use freed memory again instead of returning it, where the C library is glibc.

    Training frees and takes large blocks in every operation; fresh pages cost about as much as what is done with them.
    """
    with suppress(OSError, AttributeError):  # other C libraries have no such call
        library = ctypes.CDLL(None)
        for parameter, value in _GLIBC_KEEPS:
            library.mallopt(parameter, value)


_GLIBC_KEEPS = ((-4, 0), (-1, 2**31 - 1), (-2, 2**26))
"""M_MMAP_MAX: no block of its own from the system; M_TRIM_THRESHOLD: nothing goes back; M_TOP_PAD: 64 MiB at a time."""


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
