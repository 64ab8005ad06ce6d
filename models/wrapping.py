"""Builds again what a method has wrapped a network into, without the method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from models import reused_classifier
from models.features import Network

KINDS: Mapping[str, Callable[..., Network]] = {reused_classifier.KIND: reused_classifier.ReusedClassifier}
"""What builds a network around a plain one, by the ``kind`` of the wrapping; its other entries are arguments."""


def rewrap(network: Network, wrapping: Mapping[str, Any] | None) -> Network:
    """The network that ``wrapping`` describes, around a plain one and with initial weights.

    Args:
        network: plain; becomes a part of the result.
        wrapping: the `Network.wrapping` of another network. With None the plain network is returned.

    Raises:
        ValueError: there is no such kind, or the arguments are not those of the kind.
    """
    if wrapping is None:
        return network
    arguments = dict(wrapping)
    kind = arguments.pop("kind", None)
    if kind not in KINDS:
        raise ValueError(f"{network.name} is wrapped as '{kind}', but the known kinds are {', '.join(KINDS)}")
    try:
        return KINDS[kind](network, **arguments)
    except TypeError as error:
        raise ValueError(f"{network.name} cannot be wrapped as '{kind}': {error}") from error
