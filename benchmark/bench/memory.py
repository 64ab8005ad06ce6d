"""How much memory a process took, its share of what it shares with others."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_KIBI = 1024


def peaks(device: torch.device) -> dict[str, int]:
    """Peak memory of this process and of those that it started, in bytes: the host's, and a GPU's.

    Of pages that several processes map (libraries, a data set before a fork), each is charged its part.
    """
    children = (process.pid for process in multiprocessing.active_children())
    host = sum(_peak(pid) for pid in (os.getpid(), *children) if pid is not None)
    return {"memory": host} | _gpu(device)


def release() -> None:
    """Give freed memory back to the system, where that can be asked for: many processes wait for their next turn."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _gpu(device: torch.device) -> dict[str, int]:
    if device.type != "cuda":
        return {}
    import torch

    return {"gpu memory": torch.cuda.max_memory_reserved(device)}


def _peak(pid: int) -> int:
    try:
        highest = _field(Path(f"/proc/{pid}/status"), "VmHWM")
        smaps = Path(f"/proc/{pid}/smaps_rollup")
        return highest - _field(smaps, "Rss") + _field(smaps, "Pss")
    except OSError:  # no Linux: what the system says of this process, the others unknown
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return (used if sys.platform == "darwin" else used * _KIBI) if pid == os.getpid() else 0


def _field(path: Path, name: str) -> int:
    """A field of kibibytes in one of Linux's files about a process."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * _KIBI
    raise OSError(f"{path} has no {name}")
