"""The origin of records: code revision, library versions, machine."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark import devices
from benchmark.registry.catalog import ROOT
from benchmark.runs.record import Conditions

_CODE = ("methods/*.py", "models/*.py", "benchmark/*.py")
"""Files that can run even if they are not committed; git's ``*`` also matches in folders."""
_LIBRARIES = ("srrl-bench", "torch", "torchvision", "timm", "numpy", "scikit-learn")


def conditions(device: str, threads: int) -> Conditions:
    """The conditions of a process of this machine that can change the numbers of equal runs.

    Args:
        device: ``cpu``, or a GPU's name.
        threads: number of threads of the process.
    """
    torch = _versions().get("torch")
    return {"processor": devices.processor(), "device": device, "threads": threads, "torch": torch}


def describe(device: str, threads: int) -> dict[str, Any]:
    """Facts about this process, for every record it writes."""
    changed = _git(ROOT, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    untracked = _git(ROOT, "ls-files", "--others", "--exclude-standard", "--", *_CODE)
    return {
        "revision": _git(ROOT, "rev-parse", "HEAD"),
        "dirty": None if changed is None else bool(changed or untracked),
        "versions": {"python": platform.python_version(), **_versions()},
        "processor": devices.processor(),
        "device": device,
        "threads": threads,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def _git(root: Path, *arguments: str) -> str | None:
    """Output of a git command in a folder; None without git or a repository."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
