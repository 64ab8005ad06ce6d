"""What kind of failure an exception is: a run's own, or one of the place where it ran."""

from __future__ import annotations

import torch

_NO_MEMORY = ("DefaultCPUAllocator: ", "STATUS_ALLOC_FAILED", "unable to find an engine to execute")
"""How torch says in a RuntimeError that memory is too small: of a CPU, for CUDA's libraries, for a convolution."""
_BROKEN_DEVICE = ("CUDA error", "CUBLAS_STATUS_", "CUDNN_STATUS_")
"""How it says there that a device cannot be worked on any more."""


class StoppedError(Exception):
    """The user asked to stop; checkpoints are in place."""


class DivergedError(Exception):
    """A run's loss is no longer finite."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was too small: of a GPU, of the machine as torch says it, or as Python and NumPy do."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return _says(error, _NO_MEMORY)


def concerns_all(error: BaseException) -> bool:
    """Whether an error is no single job's: memory depends on how many train together, a broken device on nothing."""
    return isinstance(error, torch.AcceleratorError) or is_out_of_memory(error) or _says(error, _BROKEN_DEVICE)


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)
