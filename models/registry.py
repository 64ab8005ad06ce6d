"""Finds the families of ``models/`` and builds their networks by name.

A family is one file in this folder, or one that ``models.plugins`` names. It decorates its builder with ``register``
and is found from then on: nothing else lists it.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from models import plugins
from models.features import Network


class UnknownNetworkError(ValueError):
    """No family knows the name."""


@dataclass(frozen=True)
class Images:
    """The images that a network is made for.

    Attributes:
        in_size: their usual side in pixels.
        num_classes: their usual number of classes.
        smallest: the least side in pixels at which the network makes sense.
    """

    in_size: int
    num_classes: int
    smallest: int


SMALL = Images(in_size=32, num_classes=100, smallest=8)
IMAGENET = Images(in_size=224, num_classes=1000, smallest=32)


@dataclass(frozen=True)
class Request:
    """What a builder is asked for.

    Attributes:
        name: registry name.
        num_classes: width of the logits.
        in_size: side of the square input in pixels.
        width: factor on every channel width.
    """

    name: str
    num_classes: int
    in_size: int
    width: float

    def __post_init__(self) -> None:
        """Refuse what no network can be built for.

        Raises:
            ValueError: there is no class, or the width factor is not positive and finite.
        """
        if self.num_classes < 1:
            raise ValueError(f"{self.name}: num_classes is {self.num_classes}, the smallest is 1")
        if not 0 < self.width < float("inf"):
            raise ValueError(f"{self.name}: width is {self.width}, it must be positive and finite")

    def channels(self, base: int, multiple: int = 4) -> int:
        """``base`` channels times the width factor, rounded to a multiple (halves up) and never below one multiple.

        ``base`` comes back unchanged at width 1, whatever it is.
        """
        if self.width == 1:
            return base
        return max(1, int(base * self.width / multiple + 0.5)) * multiple


Builder = Callable[[Request], Network]


@dataclass(frozen=True)
class NetworkEntry:
    """A builder, the images that what it builds is made for, and the revision of its code."""

    build: Builder
    images: Images
    revision: int


_by_name: dict[str, NetworkEntry] = {}
_by_pattern: dict[str, NetworkEntry] = {}


def register(
    *names: str, pattern: str | None = None, images: Images = SMALL, revision: int = 1
) -> Callable[[Builder], Builder]:
    """Decorator that registers a family's builder.

    Args:
        names: names of the tables that the builder takes; ``models.names`` lists them.
        pattern: regular expression of further names that it takes, unlisted.
        images: what all these networks are made for.
        revision: raise it when a change of the code changes what these networks compute, their initial weights or their
            parameters: from 2 on it is part of the ids of what was trained with them.

    Raises:
        ValueError: another builder has one of the names.
    """

    def add(builder: Builder) -> Builder:
        taken = _by_name.keys() & set(names)
        if taken:
            raise ValueError(f"network '{min(taken)}' is registered twice")
        entry = NetworkEntry(builder, images, revision)
        _by_name.update(dict.fromkeys(names, entry))
        if pattern is not None:
            _by_pattern[pattern] = entry
        return builder

    return add


def names(pattern: str = "*") -> list[str]:
    """The registered names that match a shell pattern, sorted."""
    _discover()
    return sorted(name for name in _by_name if fnmatchcase(name, pattern))


def names_of(place: Path) -> list[str]:
    """The names that a file registers, or all files of a folder, sorted."""
    _discover()
    modules = {name: sys.modules[entry.build.__module__] for name, entry in _by_name.items()}
    files = {name: Path(str(module.__file__)).resolve() for name, module in modules.items()}
    return sorted(name for name, file in files.items() if place.resolve() in (file, file.parent))


def made_for(name: str) -> Images:
    """The images that a network is made for.

    Raises:
        UnknownNetworkError: no family knows the name.
    """
    return _entry(name).images


def revision_of(name: str) -> int:
    """The revision of a network's code.

    Raises:
        UnknownNetworkError: no family knows the name.
    """
    return _entry(name).revision


def create(name: str, num_classes: int, in_size: int = 32, width: float = 1.0) -> Network:
    """Build a network with fresh weights, drawn from torch's global generator.

    Args:
        name: a name out of ``names()``, or any that a family's pattern takes, such as ``wrn-22-3``.
        num_classes: width of the logits.
        in_size: side of the square input in pixels, at least ``made_for(name).smallest``.
        width: factor on every channel width, rounded to what the family can divide.

    Raises:
        UnknownNetworkError: no family knows the name.
        ValueError: the family knows the name but cannot build it, or another argument is out of range.
    """
    entry = _entry(name)
    if in_size < entry.images.smallest:
        raise ValueError(f"{name}: in_size is {in_size}, the smallest is {entry.images.smallest}")
    network = entry.build(Request(name, num_classes, in_size, width))
    network.name, network.num_classes, network.in_size = name, num_classes, in_size
    return network


def _entry(name: str) -> NetworkEntry:
    _discover()
    if name in _by_name:
        return _by_name[name]
    for pattern, entry in _by_pattern.items():
        if re.fullmatch(pattern, name):
            return entry
    raise UnknownNetworkError(_unknown(name, names()))


def _unknown(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"the nearest are {', '.join(near)}" if near else f"known are {', '.join(known)}"
    return f"unknown network '{name}': {hint}"


def _discover() -> None:
    _discover_families()
    for path in plugins.files():
        if plugins.registers(path):
            plugins.load_file(path)


@cache
def _discover_families() -> None:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")
