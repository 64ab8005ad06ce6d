"""``list``: methods, networks, data sets, tables, recipes, profiles and presets, one line each.

With ``--markdown`` the methods are printed as ``docs/methods.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from benchmark import data
from benchmark.cli import OK, Say
from benchmark.cli.arguments import DEFAULT_SEEDS
from benchmark.cli.session import Session
from benchmark.config import overrides
from benchmark.registry import catalog
from benchmark.registry.method_text import options_text
from benchmark.runs.names import STUDENT
from benchmark.tables import leaderboard, reader

_Rows = Iterator[tuple[str, ...]]


def run(session: Session, say: Say) -> int:
    """Print one of the lists in columns, or the page of methods."""
    if session.options.markdown:
        for line in _catalogue(session).split("\n"):
            say(line)
        return OK
    rows = [*_LISTS[session.options.what]()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return OK


def _list_methods() -> _Rows:
    yield "method", "title", "teacher", "views", "own recipe", "published recipe", "options"
    yield STUDENT, "Student: cross-entropy alone", "none", "1", *["-"] * 3
    for info in catalog.methods().values():
        own, options = (options_text(given) or "-" for given in (info.recipe, info.options))
        yield info.name, info.title, info.teacher, str(info.views), own, info.published_recipe or "-", options


def _catalogue(session: Session) -> str:
    """The page of methods, with the costs that the committed runs of profile digits show."""
    # A second, which no list needs.
    from benchmark.report import Context, method_catalogue
    from benchmark.report.leaderboard.data import LeaderboardData

    digits = next(each for each in session.at_every_profile() if each.options.profile == "digits")
    table = leaderboard.load().extended([info.name for info in method_catalogue.settled_methods()])
    plan = digits.plan([table], DEFAULT_SEEDS)
    return method_catalogue.render(LeaderboardData(table, plan, Context("digits", "", (), DEFAULT_SEEDS)))


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
