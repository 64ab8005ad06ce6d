"""The floor: what a step would take if the machine did nothing but the networks' operations, at its matrix rate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmark.planning import estimates
from benchmark.runs.job import Job

if TYPE_CHECKING:
    import torch

SIZE = 2048
"""Side of the matrices by whose product the rate is measured."""


def step_macs(student: Job, teacher: Job, share: float) -> float:
    """Multiply-accumulates of one student step: forward, twice as much backward, and a share of a teacher's forward.

    What losses add is not counted.

    Args:
        student: what is trained.
        teacher: whose features it sees.
        share: of the teacher's forward pass, 1 alone and 1 / n for one of n students that look at the same.
    """
    forward = (1 + estimates.BACKWARD) * _image_macs(student) + share * _image_macs(teacher)
    return student.recipe.batch_size * forward


def _image_macs(job: Job) -> float:
    return estimates.macs(job.network, job.recipe.in_size, job.recipe.width)


def matrix_rate(precision: str, device: torch.device, repeats: int = 8) -> float:
    """Multiply-accumulates a second of this process's best product of two square matrices.

    Args:
        precision: ``fp32``, ``tf32`` or ``bf16``.
        device: where.
        repeats: products that are timed, after one that is not.
    """
    import torch

    from benchmark.training.precision import set_matmul_precision
    from benchmark.training.streams import synchronize

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    set_matmul_precision(precision)
    matrix = torch.randn(SIZE, SIZE, device=device).to(torch.bfloat16 if precision == "bf16" else torch.float32)
    seconds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        torch.mm(matrix, matrix)
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    return SIZE**3 / min(seconds[1:])
