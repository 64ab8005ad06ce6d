"""Figure 2: t-SNE of the embeddings of some classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.analysis.outputs import Outputs

REVISION = 1
COMPARES = False

_CLASSES = 20
_IMAGES = 100
_PERPLEXITY = 30.0
_SEED = 0
_DECIMALS = 2


def shown(targets: NDArray[np.int64], num_classes: int) -> NDArray[np.intp]:
    """The images that the figure shows: the first 100 (or all) of each of 20 (or all) evenly spaced classes.

    They are the same for every network.

    Args:
        targets: ``(N,)``.
        num_classes: of the data set.

    Returns:
        Rows in ascending order, so that classes are mixed and none is drawn over all others.
    """
    count = min(_CLASSES, num_classes)
    classes = [position * num_classes // count for position in range(count)]
    return np.sort(np.concatenate([np.flatnonzero(targets == label)[:_IMAGES] for label in classes]))


def coordinates(embedding: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """t-SNE of the embeddings, initialised by principal components, with a fixed seed.

    Args:
        embedding: ``(M, C)``, at least two channels.

    Returns:
        ``(M, 2)`` coordinates, and the final Kullback-Leibler divergence.

    Raises:
        ValueError: all rows are equal.
    """
    from sklearn.manifold import TSNE

    if not np.ptp(embedding, axis=0).any():
        raise ValueError("the embeddings of all images are equal, so t-SNE has nothing to show")
    # A third of all points is the largest neighbourhood that the method's authors search.
    perplexity = min(_PERPLEXITY, (len(embedding) - 1) / 3)
    method = TSNE(perplexity=perplexity, init="pca", random_state=_SEED)
    # Several threads would add in random order, and the picture would vary.
    with threadpool_limits(1):
        points = method.fit_transform(embedding)
    return points.astype(np.float64), float(method.kl_divergence_)


def measure(subject: Outputs, teacher: Outputs | None, num_classes: int) -> dict[str, Any]:  # noqa: ARG001
    """``points`` as lists ``x``, ``y`` and ``label``, and the ``kl_divergence`` of the embedding."""
    labels = subject.targets.numpy()
    rows = shown(labels, num_classes)
    points, divergence = coordinates(subject.embedding.double().numpy()[rows])
    x, y = points.round(_DECIMALS).T.tolist()
    return {
        "metrics": {"kl_divergence": divergence},
        "points": {"x": x, "y": y, "label": labels[rows].tolist()},
    }
