"""Peak memory of a process."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

_KIBI = 1024


def peaks(device: torch.device) -> dict[str, int]:
    """Peak bytes of this process and its children: ``memory`` of the host and, on a GPU, ``gpu memory``.

    A page that several processes map (libraries, a data set before a fork) counts in parts.
    """
    children = [process.pid for process in multiprocessing.active_children() if process.pid]
    host = {"memory": sum(map(_peak, (os.getpid(), *children)))}
    return host | {"gpu memory": torch.cuda.max_memory_reserved(device)} if device.type == "cuda" else host


def release() -> None:
    """Return freed memory to the system where the C library can: many processes wait for their turn."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _peak(pid: int) -> int:
    try:
        folder = Path("/proc", str(pid))
        mapped, highest = _fields(folder / "smaps_rollup"), _fields(folder / "status")["VmHWM"]
        return highest - mapped["Rss"] + mapped["Pss"]
    except (OSError, KeyError):  # not Linux: the system's figure for this process, none for its children
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return (used if sys.platform == "darwin" else used * _KIBI) if pid == os.getpid() else 0


def _fields(path: Path) -> dict[str, int]:
    """Bytes by name, from the lines ``NAME: N kB`` of a file."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {words[0][:-1]: int(words[1]) * _KIBI for words in lines if words[2:] == ["kB"]}
