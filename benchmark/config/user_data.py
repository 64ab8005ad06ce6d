"""Recipe values that follow from a data set, whatever data the recipe and the profile are written for."""

from __future__ import annotations

from typing import Any

from benchmark import data
from benchmark.config.overrides import HOLDOUT
from benchmark.data import imagenet
from benchmark.data.dataset import DatasetInfo

_GUESSES = 5
_CROP_SHARE = 8
_HOLDOUT_SHARE = 10
_CROP_SCALE = (0.08, 1.0)


def values(name: str) -> dict[str, Any]:
    """Recipe values by key; none for data sets of the project that recipes are written for.

    Networks see images of the size that the data set states, normalised by the mean and the standard deviation that it
    states, else by those of its training images, or ImageNet's where images stay in their files. Top-5 counts five
    guesses, or half of the classes where there are fewer than ten. Tuned variants are chosen on a tenth of the
    training images, as on 5,000 of CIFAR's 50,000.

    Images in memory are padded for crops that shift by an eighth of the side, as by 4 of CIFAR's 32 pixels. Images in
    files are cropped as ImageNet's: random parts from 8 to 100 % of the area in training; in tests the centre, after
    the shorter side is resized to 8/7 of the crop's, as 256 is of 224.

    Raises:
        UserError: the data set is unknown, or its data are missing, incomplete or unreadable.
    """
    info = data.describe(name)
    if not data.code_of(name) and info.mean is None:
        return {}
    mean, std = _normalisation(info)
    return {
        "in_size": info.image_size,
        "top_k": min(_GUESSES, max(1, info.num_classes // 2)),
        HOLDOUT: max(1, info.num_train // _HOLDOUT_SHARE),
        **(_resized(info.image_size) if info.in_files else _padded(info.image_size)),
        "mean": mean,
        "std": std,
    }


def _padded(size: int) -> dict[str, Any]:
    kept = {"crop_size": None, "crop_scale": None, "resize": None}
    return {"crop": "pad", "crop_padding": round(size / _CROP_SHARE), **kept}


def _resized(size: int) -> dict[str, Any]:
    sides = {"crop_size": size, "crop_scale": _CROP_SCALE, "resize": round(size * 8 / 7)}
    return {"crop": "resized", "crop_padding": 0, **sides}


def _normalisation(info: DatasetInfo) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel."""
    if info.mean is not None and info.std is not None:
        return info.mean, info.std
    measured = None if info.in_files else data.normalisation(info.name)
    return (imagenet.MEAN, imagenet.STD) if measured is None else measured
