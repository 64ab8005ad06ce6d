"""Accuracy and cross-entropy of a network on held-out images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.training.precision import autocast
from benchmark.training.views import resize
from models import Network


def evaluate(network: Network, batches: Iterable[tuple[Tensor, Tensor]], precision: str) -> dict[str, float]:
    """Top-1 and top-5 accuracy in percent and mean cross-entropy in nats, in evaluation mode.

    Args:
        network: left in the mode it was in.
        batches: ``(images, targets)``, normalised, on the network's device.
        precision: of the forward pass.
    """
    training = network.training
    network.eval()
    count, sums = 0, torch.zeros(3, dtype=torch.float64)
    with torch.no_grad():
        for images, targets in batches:
            with autocast(precision, images.device):
                logits = network(resize(images, network.in_size)).logits
            sums = sums.to(logits.device) + _sums(logits.double(), targets)
            count += len(targets)
    network.train(training)
    top1, top5, loss = (sums / count).tolist()
    return {"top1": 100 * top1, "top5": 100 * top5, "loss": loss}


def _sums(logits: Tensor, targets: Tensor) -> Tensor:
    ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices
    hits = (ranked == targets[:, None]).double()
    loss = functional.cross_entropy(logits, targets, reduction="sum")
    return torch.stack([hits[:, 0].sum(), hits.sum(), loss])
