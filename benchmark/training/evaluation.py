"""Accuracy and cross-entropy of a network on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.analysis.outputs import Outputs
from benchmark.training.precision import autocast
from models import Features, Network
from models.features import resize


class MetricAccumulator:
    """Accumulates accuracy and cross-entropy of a network, which stays in evaluation mode until `metrics` is called.

    Args:
        network: on the batches' device.
        precision: of the forward pass.
        top_k: ``k`` of the top-k accuracy.
    """

    def __init__(self, network: Network, precision: str, top_k: int) -> None:
        self._training = network.training
        self._network = network.eval()
        self._precision = precision
        self._top_k = top_k
        self._count = 0
        # Allocated here on the main stream, because a member's stream changes when another member leaves.
        device = next((parameter.device for parameter in network.parameters()), None)
        self._sums = torch.zeros(3, dtype=torch.float64, device=device)

    def add(self, images: Tensor, targets: Tensor) -> None:
        """Add a batch.

        Args:
            images: ``(B, 3, S, S)``, normalised.
            targets: ``(B,)`` int64 labels.
        """
        with torch.no_grad():
            with autocast(self._precision, images.device):
                logits = self._network(resize(images, self._network.in_size)).logits
            self._sums += _sums(logits.double(), targets, self._top_k)
        self._count += len(targets)

    def metrics(self) -> dict[str, float]:
        """Top-1 and top-k accuracy in percent and mean cross-entropy in nats; restores the network's mode."""
        self._network.train(self._training)
        top1, topk, loss = (self._sums / self._count).tolist()
        return {"top1": 100 * top1, "topk": 100 * topk, "loss": loss}


def evaluate(
    network: Network, batches: Iterable[tuple[Tensor, Tensor]], precision: str, top_k: int
) -> dict[str, float]:
    """The metrics of a `MetricAccumulator` over all batches."""
    accumulator = MetricAccumulator(network, precision, top_k)
    for images, targets in batches:
        accumulator.add(images, targets)
    return accumulator.metrics()


def outputs(
    network: Network,
    batches: Iterable[tuple[Tensor, Tensor]],
    project: Callable[[Features], Tensor | None] | None = None,
) -> Outputs:
    """Logits and embeddings of a network on held-out images, in evaluation mode and full precision.

    Args:
        network: on the batches' device; left in evaluation mode.
        batches: ``(images, targets)``, normalised.
        project: maps features to the teacher's embedding space (`Method.project`), or returns None.
    """
    network.eval()
    found: list[tuple[Tensor, ...]] = []
    with torch.no_grad():
        for images, targets in batches:
            features = network(resize(images, network.in_size))
            connected = project(features) if project else None
            parts = (features.logits, features.embedding, targets, *([] if connected is None else [connected]))
            found.append(tuple(part.cpu() for part in parts))
    logits, embedding, labels, *connection = map(torch.cat, zip(*found, strict=True))
    return Outputs(logits, embedding, connection[0] if connection else None, labels)


def _sums(logits: Tensor, targets: Tensor, top_k: int) -> Tensor:
    ranked = logits.topk(min(top_k, logits.shape[1]), dim=1).indices
    hits = (ranked == targets[:, None]).double()
    loss = functional.cross_entropy(logits, targets, reduction="sum")
    return torch.stack([hits[:, 0].sum(), hits.sum(), loss])
