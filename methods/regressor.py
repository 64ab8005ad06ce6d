"""A layer that maps a student's feature map to the teacher's channels, height and width."""

from __future__ import annotations

from torch import nn


class Regressor(nn.Sequential):
    """Convolution with bias, batch-norm and, if ``rectify``, ReLU: a student's map in the shape of the teacher's.

    A stride of 2 halves or doubles the size; any other size is reached by a kernel of the difference plus 1. The CRD
    authors' code has no layer for a student that is smaller by another factor than 2; here it is the transpose of their
    convolution for a larger one.

    Args:
        student: ``(C, H, W)`` of the student's map, square.
        teacher: ``(C, H, W)`` of the teacher's map, square.
        rectify: whether a ReLU comes last.
    """

    def __init__(self, student: tuple[int, int, int], teacher: tuple[int, int, int], *, rectify: bool) -> None:
        super().__init__(_resizing(student, teacher), nn.BatchNorm2d(teacher[0]), *([nn.ReLU()] if rectify else []))


def _resizing(student: tuple[int, int, int], teacher: tuple[int, int, int]) -> nn.Module:
    channels, size = (student[0], teacher[0]), student[1]
    wanted = teacher[1]
    if size == 2 * wanted:
        return nn.Conv2d(*channels, kernel_size=3, stride=2, padding=1)
    if 2 * size == wanted:
        return nn.ConvTranspose2d(*channels, kernel_size=4, stride=2, padding=1)
    if size >= wanted:
        return nn.Conv2d(*channels, kernel_size=1 + size - wanted)
    return nn.ConvTranspose2d(*channels, kernel_size=1 + wanted - size)
