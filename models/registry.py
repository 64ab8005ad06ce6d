"""Finds the network families and builds networks by name.

A family is one file in this folder, or one that ``models.plugins`` lists, which decorates its builder with
``register``.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from models import plugins
from models.features import Network


class UnknownNetworkError(ValueError):
    """No family has a network of that name."""


@dataclass(frozen=True)
class Images:
    """The images that a network is designed for.

    Attributes:
        in_size: default input size in pixels.
        num_classes: default number of classes.
        smallest: smallest input size in pixels.
    """

    in_size: int
    num_classes: int
    smallest: int


SMALL = Images(in_size=32, num_classes=100, smallest=8)
IMAGENET = Images(in_size=224, num_classes=1000, smallest=32)


@dataclass(frozen=True)
class Request:
    """The arguments of a builder.

    Attributes:
        name: registry name.
        num_classes: number of logits.
        in_size: height and width of the input in pixels.
        width: factor on all numbers of channels.
    """

    name: str
    num_classes: int
    in_size: int
    width: float

    def __post_init__(self) -> None:
        """Check the arguments.

        Raises:
            ValueError: there is no class, or the width factor is not positive and finite.
        """
        if self.num_classes < 1:
            raise ValueError(f"{self.name}: num_classes is {self.num_classes}, the smallest is 1")
        if not 0 < self.width < float("inf"):
            raise ValueError(f"{self.name}: width is {self.width}, it must be positive and finite")

    def channels(self, base: int, multiple: int = 4) -> int:
        """``base`` times the width factor, rounded to a multiple (halves up), at least one multiple.

        At width 1, ``base`` is returned unchanged.
        """
        if self.width == 1:
            return base
        return max(1, int(base * self.width / multiple + 0.5)) * multiple

    def check_width(self) -> None:
        """Check the width factor of a network that has one width.

        Raises:
            ValueError: it is not 1.
        """
        if self.width != 1:
            raise ValueError(f"{self.name}: width is {self.width:g}, but this network has one width: --set width=1")

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn errors of a package that builds the network into a ValueError of one line."""
        try:
            yield
        except NotImplementedError:  # an operation that the meta device lacks
            raise
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            size = f"{self.in_size} pixels and {self.num_classes} classes"
            raise ValueError(f"{self.name} cannot be built for {size}: {' '.join(str(error).split())}") from error


Builder = Callable[[Request], Network]


@dataclass(frozen=True)
class NetworkEntry:
    """A builder, the images that its networks are designed for, and the revision of its code."""

    build: Builder
    images: Images
    revision: int


registered: dict[str, NetworkEntry] = {}
registered_patterns: dict[str, NetworkEntry] = {}


def register(
    *names: str, pattern: str | None = None, images: Images = SMALL, revision: int = 1
) -> Callable[[Builder], Builder]:
    """Decorator that registers a family's builder.

    Args:
        names: of the networks that it builds; ``models.names`` lists them.
        pattern: regular expression of further names that it builds, which are not listed.
        images: that these networks are designed for.
        revision: raise it when a change of the code changes outputs, initial weights or parameters of these networks;
            from 2 on it is part of the ids of runs that use them.

    Raises:
        ValueError: another builder has one of the names.
    """

    def add(builder: Builder) -> Builder:
        taken = registered.keys() & set(names)
        if taken:
            raise ValueError(f"network '{min(taken)}' is registered twice")
        entry = NetworkEntry(builder, images, revision)
        registered.update(dict.fromkeys(names, entry))
        if pattern is not None:
            registered_patterns[pattern] = entry
        return builder

    return add


def names(pattern: str = "*") -> list[str]:
    """The registered names that match a shell pattern, sorted."""
    _discover()
    return sorted(name for name in registered if fnmatchcase(name, pattern))


def names_of(place: Path) -> list[str]:
    """The names that a file, or all files of a folder, register, sorted."""
    _discover()
    modules = {name: sys.modules[entry.build.__module__] for name, entry in registered.items()}
    files = {name: Path(str(module.__file__)).resolve() for name, module in modules.items()}
    return sorted(name for name, file in files.items() if place.resolve() in (file, file.parent))


def made_for(name: str) -> Images:
    """The images that a network is designed for.

    Raises:
        UnknownNetworkError: no family has a network of that name.
    """
    return _entry(name).images


def revision_of(name: str) -> int:
    """The revision of a network's code.

    Raises:
        UnknownNetworkError: no family has a network of that name.
    """
    return _entry(name).revision


def create(name: str, num_classes: int, in_size: int = 32, width: float = 1.0) -> Network:
    """Build a network with fresh weights, drawn from torch's global generator.

    Args:
        name: one of ``names()``, or a name that matches a family's pattern, such as ``wrn-22-3``.
        num_classes: number of logits.
        in_size: height and width of the input in pixels, at least ``made_for(name).smallest``.
        width: factor on all numbers of channels, which are rounded to what the family can divide.

    Raises:
        UnknownNetworkError: no family has a network of that name.
        ValueError: the family cannot build this network, or another argument is out of range.
    """
    entry = _entry(name)
    if in_size < entry.images.smallest:
        raise ValueError(f"{name}: in_size is {in_size}, the smallest is {entry.images.smallest}")
    network = entry.build(Request(name, num_classes, in_size, width))
    network.name, network.num_classes, network.in_size, network.width = name, num_classes, in_size, width
    return network


def _entry(name: str) -> NetworkEntry:
    _discover()
    if name in registered:
        return registered[name]
    for pattern, entry in registered_patterns.items():
        if re.fullmatch(pattern, name):
            return entry
    near = get_close_matches(name, names(), n=3, cutoff=0.5)
    hint = f"the nearest are {', '.join(near)}" if near else f"known are {', '.join(names())}"
    raise UnknownNetworkError(f"unknown network '{name}': {hint}")


def _discover() -> None:
    _discover_families()
    for path in plugins.files():
        if plugins.registers(path):
            plugins.load_file(path)


@cache
def _discover_families() -> None:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")
