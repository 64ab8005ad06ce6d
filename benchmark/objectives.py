"""Objectives: how people name them, and what they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark import catalog
from benchmark.canonical import canonical_json, parse_value
from benchmark.errors import UserError, unknown

STUDENT = "student"
"""Name of the objective without terms: cross-entropy alone."""


@dataclass(frozen=True)
class MethodName:
    """What ``--methods`` and tables call an objective: ``student``, ``kd``, ``srrl[sr]``, ``kd+srrl``.

    Attributes:
        terms: ``(method, options)`` by method name; empty for the plain student.
    """

    terms: tuple[tuple[str, Mapping[str, Any]], ...]

    @property
    def name(self) -> str:
        """The canonical spelling: terms and options sorted, variants by their short name."""
        return "+".join(_term_name(name, options) for name, options in self.terms) or STUDENT

    @property
    def title(self) -> str:
        """The same with the methods' titles, for tables: ``KD+SRRL[sr]``."""
        terms = (_term_name(name, options).replace(name, catalog.method(name).title, 1) for name, options in self.terms)
        return "+".join(terms) or STUDENT.capitalize()


_TERM = re.compile(r"(?P<name>[^\[\]+]+)(?:\[(?P<options>[^\]]*)\])?")


def parse_method(text: str) -> MethodName:
    """Read a method's name.

    Raises:
        UserError: the spelling is wrong, or a method, a variant, an option or a value is unknown.
    """
    if text.strip() == STUDENT:
        return MethodName(())
    parts = re.split(r"\+(?![^\[]*\])", text)
    terms = dict(_parse_term(text, part) for part in parts)
    if len(terms) < len(parts):
        raise UserError(f"method '{text}' names a term twice")
    return MethodName(tuple(sorted(terms.items())))


def _parse_term(text: str, part: str) -> tuple[str, Mapping[str, Any]]:
    match = _TERM.fullmatch(part.strip())
    if match is None:
        raise UserError(f"cannot read method '{text}': write NAME, NAME[variant], NAME[option=value] or NAME+NAME")
    if match["name"].strip() == STUDENT:
        raise UserError(f"method '{text}': {STUDENT} is cross-entropy alone, it takes no options and joins no sum")
    info = catalog.method(match["name"].strip())
    options: dict[str, Any] = {}
    for word in filter(None, (match["options"] or "").split(",")):
        key, equals, value = (part.strip() for part in word.partition("="))
        if not equals and key not in info.variants:
            raise unknown(f"variant of {info.name}", key, [*info.variants, *(f"{name}=..." for name in info.options)])
        meant = {key: parse_value(value)} if equals else info.variants[key]
        if twice := options.keys() & meant.keys():
            raise UserError(f"method '{text}' gives {info.name}'s option {min(twice)} twice")
        options |= meant
    return info.name, checked_options(info, options)


_PLAIN = re.compile(r"[\w.+-]+", re.ASCII)


def checked_options(info: catalog.MethodInfo, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, sorted, numbers in the type of the method's default.

    Raises:
        UserError: an option is unknown or its value is of another kind than its default.
    """
    return {key: _checked_option(info, key, value) for key, value in sorted(options.items())}


def _checked_option(info: catalog.MethodInfo, key: str, value: Any) -> Any:
    if key not in info.options:
        raise unknown(f"option of {info.name}", key, info.options)
    default = info.options[key]
    number = isinstance(default, int | float) and not isinstance(default, bool)
    fits = isinstance(value, int | float) and not isinstance(value, bool) if number else type(value) is type(default)
    # Text becomes part of a folder's name.
    fits = fits and (not isinstance(value, str) or _PLAIN.fullmatch(value) is not None)
    if not fits or (isinstance(default, int) and value != int(value)):
        raise UserError(
            f"option {key} of {info.name} must be of type {type(default).__name__} like {default!r}, not {value!r}"
        )
    if value not in info.choices.get(key, (value,)):
        raise unknown(f"{key} of {info.name}", value, info.choices[key])
    return type(default)(value) if number else value


def _term_name(name: str, options: Mapping[str, Any]) -> str:
    if not options:
        return name
    for variant, meant in catalog.method(name).variants.items():
        if dict(meant) == dict(options):
            return f"{name}[{variant}]"
    return f"{name}[{','.join(f'{key}={_spelled(value)}' for key, value in sorted(options.items()))}]"


def _spelled(value: object) -> str:
    """What `parse_value` reads back."""
    return value if isinstance(value, str) else canonical_json(value)


@dataclass(frozen=True)
class Term:
    """One weighted loss of an objective.

    Attributes:
        name: the method.
        weight: its factor.
        options: the options that differ from the method's defaults.
        revision: of the method's code.
    """

    name: str
    weight: float
    options: Mapping[str, Any]
    revision: int


@dataclass(frozen=True)
class Objective:
    """``ce`` times cross-entropy plus weighted terms.

    Attributes:
        ce: weight of cross-entropy.
        terms: the methods' losses, by name.
    """

    ce: float
    terms: tuple[Term, ...] = ()

    @property
    def spec(self) -> dict[str, Any]:
        """The objective as it stands in a record."""
        terms = {
            term.name: {"weight": term.weight, "options": dict(term.options), "revision": term.revision}
            for term in self.terms
        }
        return {"ce": self.ce, "terms": terms}

    @property
    def folder(self) -> str:
        """A readable name that follows from the terms and their options."""
        return "+".join(_term_name(term.name, term.options) for term in self.terms) or STUDENT
