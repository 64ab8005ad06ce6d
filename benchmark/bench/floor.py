"""The floor: the time of a step if the machine ran only the networks' operations, at the rate of a matrix product."""

from __future__ import annotations

from functools import partial

import torch

from benchmark.bench import timing
from benchmark.planning import estimates
from benchmark.runs.job import Job
from benchmark.training.precision import set_matmul_precision

_SIDE = 2048


def step_macs(student: Job, teacher: Job, fraction: float) -> float:
    """Multiply-accumulates of a student's step, without those of the loss.

    Args:
        student: forward and backward, the backward pass counting twice.
        teacher: forward.
        fraction: of the teacher's pass that this student bears: 1 / n where n students share it.
    """
    forward = (1 + estimates.BACKWARD) * _image_macs(student) + fraction * _image_macs(teacher)
    return student.recipe.batch_size * forward


def _image_macs(job: Job) -> float:
    return estimates.macs(job.network, job.recipe.in_size, job.recipe.width)


def matrix_rate(precision: str, device: torch.device, repeats: int = 8) -> float:
    """Multiply-accumulates per second of a product of two 2048 x 2048 matrices, the best of some after a first one.

    Args:
        precision: ``fp32``, ``tf32`` or ``bf16``.
        device: runs the products.
        repeats: number of timed products.
    """
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    set_matmul_precision(precision)
    matrix = torch.randn(_SIDE, _SIDE, device=device).to(torch.bfloat16 if precision == "bf16" else torch.float32)
    multiply = partial(torch.mm, matrix, matrix)
    seconds = [timing.once(multiply, device) for _ in range(1 + repeats)]
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    return _SIDE**3 / min(seconds[1:])
