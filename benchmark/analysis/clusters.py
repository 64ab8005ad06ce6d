"""Table 3: normalised mutual information of the classes with clusters of the embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmark.analysis.outputs import Outputs

REVISION = 1
COMPARES = False

_RESTARTS = 10
_SEED = 0


def mutual_information(labels: NDArray[Any], clusters: NDArray[Any]) -> float:
    """Normalised mutual information ``2 I(Y; C) / (H(Y) + H(C))`` in percent (Manning et al., chapter 16).

    Args:
        labels: ``(N,)``.
        clusters: ``(N,)``; any numbering.
    """
    from sklearn.metrics import normalized_mutual_info_score

    return 100 * float(normalized_mutual_info_score(labels, clusters, average_method="arithmetic"))


def k_means(embedding: NDArray[np.float64], count: int) -> NDArray[np.int32]:
    """The best of ten k-means clusterings with k-means++ initialisation and a fixed seed.

    10,000 images with 256 channels in 100 clusters take about ten seconds.

    Args:
        embedding: ``(N, C)``.
        count: number of clusters, at most ``N``.

    Returns:
        ``(N,)``, the cluster of every row.
    """
    from sklearn.cluster import KMeans

    # Several threads would add in random order, so that the last digits and with them clusters would vary.
    with threadpool_limits(1):
        fitted = KMeans(count, init="k-means++", n_init=_RESTARTS, random_state=_SEED).fit(embedding)
    return np.asarray(fitted.labels_)


def measure(subject: Outputs, teacher: Outputs | None, num_classes: int) -> dict[str, Any]:  # noqa: ARG001
    """``nmi`` of the labels with as many k-means clusters as classes, ``nmi_predicted`` with the predicted classes.

    The paper does not say how it clusters. Its numbers are close to its top-1 accuracy in every column, which predicted
    classes would explain.
    """
    labels = subject.targets.numpy()
    found = k_means(subject.embedding.double().numpy(), num_classes)
    return {
        "metrics": {
            "nmi": mutual_information(labels, found),
            "nmi_predicted": mutual_information(labels, subject.logits.argmax(dim=1).numpy()),
        }
    }
