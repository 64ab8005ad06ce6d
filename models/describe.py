"""Measure networks.

``python -m models.describe`` rewrites ``models/networks.csv``; ``python -m models.describe FILE`` prints the lines of
the networks that one file registers, and ``python -m models.describe --network NAME`` the line of one network.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.features import Network
from models.plugins import answers_only
from models.registry import create, made_for, names_of, revision_of

NETWORKS_CSV = Path(__file__).with_name("networks.csv")
COLUMNS = ("name", "family", "revision", "params", "macs", "in_size", "classes", "feats", "map")


def parameters(network: nn.Module) -> int:
    """Number of parameters, frozen ones included and running statistics of batch norms excluded."""
    return sum(parameter.numel() for parameter in network.parameters())


def macs(network: Network) -> int:
    """Multiply-accumulates of the convolutions and matrix products in one image's forward pass."""
    with FlopCounterMode(display=False) as counter:
        network.shapes()
    return int(counter.get_total_flops()) // 2


def row(name: str) -> dict[str, str | int]:
    """One line of ``networks.csv``: the network at width 1 and at its standard input size."""
    images, network = made_for(name), _built(name)
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
    return table(names_of(place))


def table(names: Iterable[str]) -> str:
    """Measurements of some networks, as ``networks.csv`` has them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(row, names))
    return text.getvalue()


def main(arguments: Sequence[str]) -> None:
    """Rewrite ``networks.csv``, or print the lines of the networks that a file registers, or of one network.

    Raises:
        SystemExit: the one network cannot be built; standard error says why.
    """
    if not arguments:
        NETWORKS_CSV.write_text(describe(), encoding="utf-8")
        return
    with answers_only() as output:
        if arguments[0] != "--network":
            output.write(describe(Path(arguments[0]).resolve()))
            return
        try:
            output.write(table(arguments[1:]))
        except ValueError as error:
            raise SystemExit(str(error)) from None


def _built(name: str) -> Network:
    """The network, on the meta device if it can be built there: weights take time and memory."""
    images = made_for(name)
    try:
        with torch.device("meta"):
            network = create(name, images.num_classes, images.in_size)
    except NotImplementedError:
        network = create(name, images.num_classes, images.in_size).to("meta")
    # The counter of operations fails where a module gets a parameter as its input.
    return network.requires_grad_(requires_grad=False)


def _text(shape: tuple[int, int, int]) -> str:
    return "x".join(str(size) for size in shape)


if __name__ == "__main__":
    main(sys.argv[1:])
