"""Claims: what only one process does at a time, among all that share a folder."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from benchmark.errors import writing

LOCK: type[BaseFileLock] = FileLock
"""What claims are made of: ``flock``, which the system drops with its process, however that ends. On Linux it holds
across the hosts of an NFS server, which keeps it as a lock of the file's bytes, but neither where that is mounted with
``nolock`` or ``local_lock=flock``, nor on a Lustre without ``flock``. There `filelock.SoftFileLock` would hold, whose
file outlives a process that is killed."""


@dataclass(frozen=True)
class HeldLocks:
    """Locks that one process holds.

    Attributes:
        locks: what to close to give them back.
    """

    locks: ExitStack

    def release(self) -> None:
        """Let others have them."""
        self.locks.close()


def claim(paths: Mapping[str, Path]) -> HeldLocks | None:
    """Lock some files, until they are released or the process ends.

    Args:
        paths: of the files, made where they are missing, by the option that names their folder. Whoever wants the
            same of them takes them in the same order.

    Returns:
        None where somebody else holds one of them.

    Raises:
        UserError: a folder cannot be written.
    """
    with ExitStack() as locks:
        for option, path in paths.items():
            lock = LOCK(path)
            with writing(path.parent, option):
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    return None
            locks.callback(lock.release)
        return HeldLocks(locks.pop_all())
