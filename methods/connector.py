"""A layer that maps a student's feature map to the teacher's number of channels."""

from __future__ import annotations

import math

from torch import nn


class Connector(nn.Sequential):
    """Convolution 1x1 without bias, batch-norm and, if ``rectify``, ReLU: ``(B, C_S, H, W)`` to ``(B, C_T, H, W)``.

    The weights start as normal(0, sqrt(2 / C_T)), He's initialisation by fan-out. It is also used between equal
    numbers of channels.
    """

    def __init__(self, student_channels: int, teacher_channels: int, *, rectify: bool) -> None:
        convolution = nn.Conv2d(student_channels, teacher_channels, kernel_size=1, bias=False)
        nn.init.normal_(convolution.weight, std=math.sqrt(2 / teacher_channels))
        super().__init__(convolution, nn.BatchNorm2d(teacher_channels), *([nn.ReLU()] if rectify else []))
