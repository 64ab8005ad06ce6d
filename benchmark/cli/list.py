"""``--list``: what there is of methods, networks, tables, recipes, profiles and presets, a line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from benchmark.cli.commands import DONE, Say
from benchmark.config import overrides
from benchmark.registry import catalog
from benchmark.runs.objective import STUDENT
from benchmark.tables import reader

if TYPE_CHECKING:
    from benchmark.cli.session import Session


def run(session: Session, say: Say) -> int:
    """Print one of the lists."""
    for name, about in LISTS[session.options.list]():
        say(f"{name:22} {about}")
    return DONE


def _list_methods() -> Iterator[tuple[str, str]]:
    yield STUDENT, "cross-entropy alone"
    for info in catalog.methods().values():
        options = ", ".join(f"{key}={value!r}" for key, value in info.options.items())
        yield info.name, f"{info.title}: {info.citation}" + (f" [{options}]" if options else "")


def _list_networks() -> Iterator[tuple[str, str]]:
    for info in catalog.networks().values():
        yield info.name, f"{info.params:,} parameters, {info.macs / 1e6:,.1f} M MACs"


def _list_tables() -> Iterator[tuple[str, str]]:
    for number in reader.numbers():
        yield number, reader.load(number).title
    for number in reader.figures():
        yield f"figure {number}", reader.load(number, "figure").title


def _list_recipes() -> Iterator[tuple[str, str]]:
    for name in overrides.names("recipe"):
        values = overrides.load_recipe(name).values
        yield name, ", ".join(f"{key}={value}" for key, value in values.items() if "." not in key)


def _list_profiles() -> Iterator[tuple[str, str]]:
    for name in overrides.names("profile"):
        yield name, overrides.load_profile(name).title


def _list_presets() -> Iterator[tuple[str, str]]:
    for name in overrides.names("preset"):
        yield name, overrides.load_preset(name).title


LISTS: Mapping[str, Callable[[], Iterator[tuple[str, str]]]] = MappingProxyType(
    {
        "methods": _list_methods,
        "networks": _list_networks,
        "tables": _list_tables,
        "recipes": _list_recipes,
        "profiles": _list_profiles,
        "presets": _list_presets,
    }
)
