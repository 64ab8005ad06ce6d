"""Locks: what only one process does at a time, among all processes that share a folder."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from benchmark.errors import writing

LOCK: type[BaseFileLock] = FileLock
"""The kind of lock: ``flock``, which the system releases when its process ends, however it ends.

On Linux it works across the hosts of an NFS server, except where the share is mounted with ``nolock`` or
``local_lock=flock``, and not on a Lustre without ``flock``. `filelock.SoftFileLock` would work there, but its file
outlives a killed process.
"""


class HeldLocks(ExitStack):
    """Locks that this process holds."""

    def release(self) -> None:
        """Release the locks."""
        self.close()


def claim(paths: Mapping[str, Path]) -> HeldLocks | None:
    """Lock files until the locks are released or the process ends.

    Args:
        paths: the files by the option that names their folder; missing ones are created. All processes must lock the
            same files in the same order.

    Returns:
        The locks, or None if another process holds one of them.

    Raises:
        UserError: a folder cannot be written.
    """
    with HeldLocks() as locks:
        for option, path in paths.items():
            lock = LOCK(path)
            with writing(path.parent, option):
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    return None
            locks.callback(lock.release)
        return locks.pop_all()
