"""Measure networks.

``python -m models.describe`` rewrites ``models/networks.csv``; ``python -m models.describe FILE`` prints the lines of
the networks that one file registers.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.features import Network
from models.plugins import answers_only
from models.registry import create, made_for, names_of, revision_of

NETWORKS_CSV = Path(__file__).with_name("networks.csv")
COLUMNS = ("name", "family", "revision", "params", "macs", "in_size", "classes", "feats", "map")


def parameters(network: nn.Module) -> int:
    """Number of parameters, frozen ones included and running statistics of batch norms excluded."""
    return sum(parameter.numel() for parameter in network.parameters())


def macs(network: Network) -> int:
    """Multiply-accumulates of the convolutions and linear layers in one image's forward pass."""
    counts: list[int] = []

    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        counts.append(output.numel() * cast("Tensor", module.weight)[0].numel())

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        network.shapes()
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counts)


def row(name: str) -> dict[str, str | int]:
    """One line of ``networks.csv``: the network at width 1 and at its standard input size."""
    images = made_for(name)
    with torch.device("meta"):
        network = create(name, images.num_classes, images.in_size)
    shapes = network.shapes()
    return {
        "name": name,
        "family": shapes.family,
        "revision": revision_of(name),
        "params": parameters(network),
        "macs": macs(network),
        "in_size": images.in_size,
        "classes": images.num_classes,
        "feats": " ".join(_text(shape) for shape in shapes.feats),
        "map": _text(shapes.map),
    }


def describe(place: Path = NETWORKS_CSV.parent) -> str:
    """Measurements of all networks of a folder, or of those that a file registers, as ``networks.csv`` has them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(row, names_of(place)))
    return text.getvalue()


def main(arguments: Sequence[str]) -> None:
    """Rewrite ``networks.csv``, or print the lines of the networks that a file registers."""
    if not arguments:
        NETWORKS_CSV.write_text(describe(), encoding="utf-8")
        return
    with answers_only() as output:
        output.write(describe(Path(arguments[0]).resolve()))


def _text(shape: tuple[int, int, int]) -> str:
    return "x".join(str(size) for size in shape)


if __name__ == "__main__":
    main(sys.argv[1:])
