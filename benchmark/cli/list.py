"""``list``: methods, networks, data sets, tables, recipes, profiles and presets, one line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from benchmark import data
from benchmark.cli import OK, Say
from benchmark.cli.session import Session
from benchmark.config import overrides
from benchmark.registry import catalog
from benchmark.runs.names import STUDENT
from benchmark.tables import reader

_Rows = Iterator[tuple[str, ...]]


def run(session: Session, say: Say) -> int:
    """Print one of the lists in columns."""
    rows = [*_LISTS[session.options.what]()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return OK


def _list_methods() -> _Rows:
    yield STUDENT, "cross-entropy alone"
    for info in catalog.methods().values():
        options = ", ".join(f"{key}={value!r}" for key, value in info.options.items())
        yield info.name, f"{info.title}: {info.citation}" + (f" [{options}]" if options else "")


def _list_networks() -> _Rows:
    yield "network", "parameters", "M MACs"
    for info in catalog.networks().values():
        yield info.name, f"{info.params:,}", f"{info.macs / 1e6:,.1f}"


def _list_datasets() -> _Rows:
    yield "data set", "training images", "test images", "classes", "pixels", "files, in --data or $KD_DATA"
    for name in data.names():
        info = data.describe(name)
        numbers = f"{info.num_train:,}", f"{info.num_test:,}", f"{info.num_classes:,}"
        yield name, *numbers, f"{info.image_size} x {info.image_size}", data.location(name)


def _list_tables() -> _Rows:
    for number in reader.numbers():
        yield number, reader.load(number).title
    for number in reader.figures():
        yield f"figure {number}", reader.load(number, "figure").title


def _list_recipes() -> _Rows:
    yield "recipe", "data set", "epochs", "batch", "optimizer", "lr", "schedule", "overrides for"
    for name in overrides.names("recipe"):
        recipe = overrides.load_recipe(name)
        values = recipe.values
        drops = ", ".join(map(str, values["milestones"]))
        special = (" ".join(f"{key}={pattern}" for key, pattern in other.match.items()) for other in recipe.overrides)
        texts = map(str, (values["dataset"], values["epochs"], values["batch_size"], values["optimizer"], values["lr"]))
        yield name, *texts, f"x {values['lr_decay']} after {drops}", ", ".join(dict.fromkeys(special)) or "none"


def _list_profiles() -> _Rows:
    for name in overrides.names("profile"):
        yield name, overrides.load_profile(name).title


def _list_presets() -> _Rows:
    for name in overrides.names("preset"):
        yield name, overrides.load_preset(name).title


_LISTS: Mapping[str, Callable[[], _Rows]] = {
    "methods": _list_methods,
    "networks": _list_networks,
    "datasets": _list_datasets,
    "tables": _list_tables,
    "recipes": _list_recipes,
    "profiles": _list_profiles,
    "presets": _list_presets,
}
