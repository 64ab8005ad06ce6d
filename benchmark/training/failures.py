"""Classifies exceptions: failures of one job, and failures of the machine, which concern all jobs."""

from __future__ import annotations

import torch

_OUT_OF_MEMORY = ("DefaultCPUAllocator: ", "STATUS_ALLOC_FAILED", "unable to find an engine to execute")
"""Text of torch's RuntimeErrors on running out of memory: of the CPU, of CUDA's libraries, of a convolution."""
_BROKEN_DEVICE = ("CUDA error", "CUBLAS_STATUS_", "CUDNN_STATUS_")
"""Text of torch's RuntimeErrors after which the device is unusable."""


class StoppedError(Exception):
    """The user asked to stop; checkpoints are written."""


class DivergedError(Exception):
    """A run's loss or outputs are not finite."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the GPU or the machine ran out of memory, as reported by torch, NumPy or Python."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return _mentions(error, _OUT_OF_MEMORY)


def concerns_all(error: BaseException) -> bool:
    """Whether an error concerns all jobs of the process: out of memory, or an unusable device."""
    return isinstance(error, torch.AcceleratorError) or is_out_of_memory(error) or _mentions(error, _BROKEN_DEVICE)


def _mentions(error: BaseException, words: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)
