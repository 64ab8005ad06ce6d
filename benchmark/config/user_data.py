"""Recipe values that follow from a plug-in's data set, whatever data the recipe and the profile are written for."""

from __future__ import annotations

from typing import Any

from benchmark import data
from benchmark.config.overrides import HOLDOUT

_GUESSES = 5
_CROP_SHARE = 8
_HOLDOUT_SHARE = 10


def values(name: str) -> dict[str, Any]:
    """Recipe values by key; none for the project's own data sets.

    Networks see images of the size that the data set states, normalised by the mean and the standard deviation of its
    training images. Crops shift by an eighth of the side, as by 4 of CIFAR's 32 pixels. Top-5 counts five guesses, or
    half of the classes where there are fewer than ten. Tuned variants are chosen on a tenth of the training images, as
    on 5,000 of CIFAR's 50,000.

    Raises:
        UserError: the data set is unknown, or its data are missing, incomplete or unreadable.
    """
    if not data.code_of(name):
        return {}
    info, normalisation = data.describe(name), data.normalisation(name)
    found: dict[str, Any] = {
        "in_size": info.image_size,
        "top_k": min(_GUESSES, max(1, info.num_classes // 2)),
        HOLDOUT: max(1, info.num_train // _HOLDOUT_SHARE),
    }
    if normalisation is None:  # images of many sizes are cropped as ImageNet's
        return found
    return found | {
        "crop": "pad",
        "crop_padding": round(info.image_size / _CROP_SHARE),
        "crop_size": None,
        "crop_scale": None,
        "resize": None,
        "mean": normalisation.mean,
        "std": normalisation.std,
    }
