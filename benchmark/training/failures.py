"""What kind of failure an exception is: a run's own, or one of the place where it ran."""

from __future__ import annotations

import torch

_ALLOCATOR = "DefaultCPUAllocator: "
"""How torch says, in a RuntimeError, that a CPU has no memory."""


class StoppedError(Exception):
    """The user asked to stop; checkpoints are in place."""


class DivergedError(Exception):
    """A run's loss is no longer finite."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was too small: of a GPU, of the machine as torch says it, or as Python and NumPy do."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _ALLOCATOR in str(error)


def concerns_all(error: BaseException) -> bool:
    """Whether an error is no single job's: memory depends on how many train together, a broken device on nothing."""
    return isinstance(error, torch.AcceleratorError) or is_out_of_memory(error)
