"""Similarity of classes, in the features that a network has of their images or in the weights of its classifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from models import Features

BLOCK = 2**26
"""Elements of a block of products."""


def cosines(rows: Tensor) -> Tensor:
    """Cosines ``(K, K)`` of rows ``(K, C)``; a row of zeros is similar to none."""
    length: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    unit = rows / length.masked_fill(length == 0, torch.inf)
    return unit @ unit.T


def positions(features: Features) -> Tensor:
    """The vectors of all positions of the last feat, ``(B, P, C)``."""
    return features.feats[-1].flatten(2).mT


def outputs(features: Features) -> Tensor:
    """The logits as one vector of each image, ``(B, 1, K)``; 0 where a class is masked by minus infinity."""
    return features.logits.masked_fill(features.logits == -torch.inf, 0.0)[:, None]


def class_features(
    images: Iterable[tuple[Features, Tensor]], labels: Tensor, num_classes: int, take: Callable[[Features], Tensor]
) -> Tensor:
    """Features of the first images of each class, in the order of the images, ``(K, R, C)``.

    Every class has as many images as the smallest one that has any, with ``P`` rows each. A class without images is 0.
    The result is allocated once, from the first batch on: nothing else of that size is held.

    Args:
        images: batches of features with labels ``(B,)`` of the same images.
        labels: ``(N,)``, of at least these images, from which the number of images of a class follows.
        num_classes: ``K``.
        take: returns ``(B, P, C)`` of a batch.

    Raises:
        ValueError: there are no images.
    """
    wanted = min(Counter(labels.tolist()).values(), default=0)
    found: Counter[int] = Counter()
    kept: Tensor | None = None
    for features, targets in images:
        rows = take(features)
        if kept is None:
            kept = rows.new_zeros(num_classes, wanted, *rows.shape[1:])
        places = []
        for image, label in enumerate(targets.tolist()):
            if found[label] < wanted:
                places.append((image, label, found[label]))
                found[label] += 1
        if places:
            images_kept, classes, numbers = torch.tensor(places, device=rows.device).unbind(1)
            kept[classes, numbers] = rows[images_kept]
    if kept is None:
        raise ValueError("class features need images")
    return kept[:, : min(found.values())].flatten(1, 2)


def cka(features: Tensor) -> Tensor:
    """Linear centred kernel alignment of all pairs of classes, ``(K, K)``, between 0 and 1.

    ``|X_j' X_i|^2 / (|X_i' X_i| |X_j' X_j|)`` with columns of mean 0. A class whose features do not vary is similar to
    none.

    Source: Kornblith, Norouzi, Lee & Hinton, Similarity of Neural Network Representations Revisited, ICML 2019.

    Args:
        features: ``(K, R, C)``, row ``r`` of a class paired with row ``r`` of the others; is centred in place.
    """
    features -= features.mean(dim=1, keepdim=True)
    rows, columns = features.shape[1:]
    products = _by_rows(features) if rows <= columns else _by_columns(features)
    length = products.diagonal().sqrt()
    inverse = 1 / length.masked_fill(length == 0, torch.inf)
    return products * inverse[:, None] * inverse


def _by_rows(features: Tensor) -> Tensor:
    """``|X_j' X_i|^2`` as the inner product of ``X_i X_i'`` and ``X_j X_j'``, which are small where rows are few."""
    products = torch.bmm(features, features.mT).flatten(1)
    return products @ products.T


def _by_columns(features: Tensor) -> Tensor:
    """``|X_j' X_i|^2`` in blocks of products ``X_i' X_j``, one class with many at a time."""
    classes, _, columns = features.shape
    several = max(1, BLOCK // columns**2)
    products = features.new_zeros(classes, classes)
    for one in range(classes):
        for first in range(one, classes, several):
            block = features[one].T @ features[first : first + several]
            products[one, first : first + several] = block.square().sum(dim=(1, 2))
    return products.triu() + products.triu(1).T
