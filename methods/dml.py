"""Deep mutual learning (DML): two networks of the same architecture train at the same time and match each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

import models
from methods.base import Batch, Method, Pair
from methods.logits import divergence
from methods.masking import restricted
from models import Features, Network
from models.features import resize


def mutual_loss(network: Tensor, other: Tensor) -> Tensor:
    """Divergence ``1 / B * sum_bk P ln(P / Q)`` of a network's probabilities ``Q`` from another's, the constant ``P``.

    A class that one of the networks masks by minus infinity adds nothing.

    Source: Zhang et al., Eq. 5.

    Args:
        network: logits ``(B, K)`` of the network that learns.
        other: logits ``(B, K)`` of the network that it learns from.
    """
    constant = other.detach()
    return divergence(restricted(network, constant), restricted(constant, network), 1.0).mean()


def published_mutual_loss(network: Tensor, other: Tensor) -> Tensor:
    """`mutual_loss` with two constants, ``1 / B * sum_bk P ln(1e-8 + P / (Q + 1e-8))``, as the authors' code has them.

    Args:
        network: logits ``(B, K)`` of the network that learns.
        other: logits ``(B, K)`` of the network that it learns from.
    """
    p, q = other.detach().softmax(dim=1), network.softmax(dim=1)
    return (p * (1e-8 + p / (q + 1e-8)).log()).sum(dim=1).mean()


def peer_of(student: Network) -> Network:
    """A network of the student's architecture with fresh weights, laid out in memory as the student's are."""
    peer = models.create(student.name, student.num_classes, student.in_size, student.width)
    for mine, theirs in zip(peer.parameters(), student.parameters(), strict=True):
        mine.data = torch.empty_like(theirs.detach(), device=mine.device).copy_(mine.detach())
    return peer


FORMS = {"exact": mutual_loss, "published": published_mutual_loss}


class DML(Method):
    """Divergence between the student and a peer that trains with it, in both directions.

    The peer has the student's architecture and other initial weights. Both networks take their step from the same
    forward passes, as in the authors' code, while the paper updates one after the other. The peer is dropped after the
    training.

    Options:
        form: of the divergence: "exact", or "published" with the authors' constants.
    """

    title = "DML"
    citation = "Zhang, Xiang, Hospedales & Lu, Deep Mutual Learning, CVPR 2018"
    revision = 1
    objective: ClassVar[Mapping[str, float]] = {"ce": 1.0, "weight": 1.0}
    variants: ClassVar[Mapping[str, Mapping[str, object]]] = {"published": {"form": "published"}}
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"form": ("exact", "published")}
    teacher = "none"
    published_recipe = "200 epochs with Nesterov momentum at a rate of 0.1, times 0.1 every 60"
    formula = "KL(softmax(peer) || softmax(z)); the peer's loss is CE + KL(softmax(z) || softmax(peer))"

    def __init__(self, pair: Pair, *, form: str = "exact") -> None:
        super().__init__(pair)
        self.mutual = FORMS[form]
        self.peer = peer_of(pair.student_network)

    def forward(self, student: Features, teacher: Features, batch: Batch) -> dict[str, Tensor]:
        peer = self.peer(resize(batch.images, self.peer.in_size)).full().logits
        return {
            "mimic": self.mutual(student.logits, peer),
            "peer": functional.cross_entropy(peer, batch.targets) + self.mutual(peer, student.logits),
        }
