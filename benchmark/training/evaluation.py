"""Accuracy and cross-entropy of a network on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.analysis.outputs import Outputs
from benchmark.training.precision import autocast
from benchmark.training.views import resize
from models import Features, Network


def evaluate(
    network: Network, batches: Iterable[tuple[Tensor, Tensor]], precision: str, top_k: int
) -> dict[str, float]:
    """Top-1 and top-k accuracy in percent and mean cross-entropy in nats, in evaluation mode.

    Args:
        network: left in the mode it was in.
        batches: ``(images, targets)``, normalised, on the network's device.
        precision: of the forward pass.
        top_k: how many guesses the second accuracy counts.
    """
    training = network.training
    network.eval()
    count, sums = 0, torch.zeros(3, dtype=torch.float64)
    with torch.no_grad():
        for images, targets in batches:
            with autocast(precision, images.device):
                logits = network(resize(images, network.in_size)).logits
            sums = sums.to(logits.device) + _sums(logits.double(), targets, top_k)
            count += len(targets)
    network.train(training)
    top1, topk, loss = (sums / count).tolist()
    return {"top1": 100 * top1, "topk": 100 * topk, "loss": loss}


def outputs(
    network: Network,
    batches: Iterable[tuple[Tensor, Tensor]],
    connect: Callable[[Features], Tensor | None] | None = None,
) -> Outputs:
    """What a network gives on held-out images, in evaluation mode and full precision.

    Args:
        network: on the batches' device; left in evaluation mode.
        batches: ``(images, targets)``, normalised.
        connect: makes an embedding in the teacher's space of the features, where there is a connector.
    """
    network.eval()
    found: list[tuple[Tensor, ...]] = []
    with torch.no_grad():
        for images, targets in batches:
            features = network(resize(images, network.in_size))
            connected = connect(features) if connect else None
            parts = (features.logits, features.embedding, targets, *([] if connected is None else [connected]))
            found.append(tuple(part.cpu() for part in parts))
    logits, embedding, labels, *connection = map(torch.cat, zip(*found, strict=True))
    return Outputs(logits, embedding, connection[0] if connection else None, labels)


def _sums(logits: Tensor, targets: Tensor, top_k: int) -> Tensor:
    ranked = logits.topk(min(top_k, logits.shape[1]), dim=1).indices
    hits = (ranked == targets[:, None]).double()
    loss = functional.cross_entropy(logits, targets, reduction="sum")
    return torch.stack([hits[:, 0].sum(), hits.sum(), loss])
