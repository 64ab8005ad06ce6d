"""Table 3: how well the classes can be found again as clusters of the embeddings."""

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
        clusters: ``(N,)``; their numbers mean nothing.
    """
    from sklearn.metrics import normalized_mutual_info_score

    return 100 * float(normalized_mutual_info_score(labels, clusters, average_method="arithmetic"))


def k_means(embedding: NDArray[np.float64], count: int) -> NDArray[np.int32]:
    """The best of ten k-means clusterings by Euclidean distance, begun by k-means++ from a fixed seed.

    Ten thousand images, 256 channels and 100 clusters take some ten seconds.

    Args:
        embedding: ``(N, C)``.
        count: number of clusters, at most ``N``.

    Returns:
        ``(N,)``, every row's cluster.
    """
    from sklearn.cluster import KMeans

    # Threads add up their sums in any order, so that the last digits, and with them clusters, would depend on chance.
    with threadpool_limits(1):
        fitted = KMeans(count, init="k-means++", n_init=_RESTARTS, random_state=_SEED).fit(embedding)
    return np.asarray(fitted.labels_)


def measure(subject: Outputs, teacher: Outputs | None, num_classes: int) -> dict[str, Any]:  # noqa: ARG001
    """``nmi`` of the labels with k-means clusters, as many as classes; ``nmi_predicted`` with the predicted classes.

    The paper does not say how it clusters; what it prints is close to its top-1 accuracy in every column, which the
    predicted classes would explain.
    """
    labels = subject.targets.numpy()
    found = k_means(subject.embedding.double().numpy(), num_classes)
    return {
        "metrics": {
            "nmi": mutual_information(labels, found),
            "nmi_predicted": mutual_information(labels, subject.logits.argmax(dim=1).numpy()),
        }
    }
