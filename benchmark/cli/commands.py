"""What the command can do, a module each: ``run(request, say)`` does it and returns the exit status."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from benchmark.errors import UserError

if TYPE_CHECKING:
    from benchmark.cli.session import Session

Say = Callable[[str], None]
"""Prints a line for people."""

DONE, FAILURE, INTERRUPTED = 0, 1, 130
"""Exit statuses; 2 is a user's error."""


@dataclass(frozen=True)
class Command:
    """Something else than to regenerate tables.

    Attributes:
        module: of this package, that does it.
        of_tables: whether it looks at the tables that are named.
    """

    module: str
    of_tables: bool = False


BY_OPTION: Mapping[str, Command] = MappingProxyType(
    {
        "list": Command("list"),
        "status": Command("status", of_tables=True),
        "new_method": Command("new_method"),
        "claims": Command("claims"),
        "why": Command("why", of_tables=True),
        "export": Command("export", of_tables=True),
    }
)
"""What is done where an option is given; tables are regenerated where none of them is."""

_TABLES = ("table", "figure", "leaderboard")
_INSTEAD = ("plan", "render")
_TRAINING = ("retrain",)
"""Options that only change what is trained."""
_FORMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"json": ("plan",), "brief": ("plan",), "check": ("render", "claims"), "to": ("export",)}
)
"""Options that only change what another one does."""


def run(session: Session, say: Say) -> int:
    """Do what the arguments ask for.

    Raises:
        UserError: they ask for two things at once, or for a form of something that they do not ask for.
    """
    options = session.options
    asked = _given(options, BY_OPTION)
    for form in _given(options, _FORMS):
        if not _given(options, _FORMS[form]):
            bases = " or ".join(map(_spelled, _FORMS[form]))
            raise UserError(f"{_spelled(form)} is a form of {bases}: add {_spelled(_FORMS[form][0])}")
    if len(instead := _given(options, _INSTEAD)) > 1:
        raise UserError(f"one thing at a time: leave out {' or '.join(map(_spelled, instead))}")
    training = _given(options, _TRAINING)
    if not asked and training and options.render:
        raise UserError(f"one thing at a time: leave out --render or {_spelled(training[0])}")
    if not asked:
        regenerate: int = import_module("benchmark.cli.run").run(session, say)
        return regenerate
    command = BY_OPTION[asked[0]]
    others = [*asked[1:], *training, *instead, *([] if command.of_tables else _given(options, _TABLES))]
    if others:
        raise UserError(f"one thing at a time: leave out {_spelled(asked[0])} or {', '.join(map(_spelled, others))}")
    status: int = import_module(f"benchmark.cli.{command.module}").run(session, say)
    return status


def _given(options: argparse.Namespace, names: Iterable[str]) -> list[str]:
    return [name for name in names if getattr(options, name)]


def _spelled(option: str) -> str:
    return f"--{option.replace('_', '-')}"
