"""Objectives: how people name them, and what they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.errors import UserError, unknown
from benchmark.ids import canonical_json, parse_value
from benchmark.registry import catalog
from benchmark.registry.catalog import TUNED

STUDENT = catalog.STUDENT
"""Name of the objective without terms: cross-entropy alone."""


@dataclass(frozen=True)
class MethodName:
    """What ``--methods`` and tables call an objective: ``student``, ``kd``, ``srrl[sr]``, ``kd+srrl``.

    Attributes:
        terms: ``(method, options)`` by method name; empty for the plain student.
        tuned: the method whose options are to be chosen among its candidates, if any.
    """

    terms: tuple[tuple[str, Mapping[str, Any]], ...]
    tuned: str | None = None

    @property
    def name(self) -> str:
        """The canonical spelling: terms and options sorted, variants by their short name."""
        return "+".join(self._spelled(name) for name, _ in self.terms) or STUDENT

    @property
    def title(self) -> str:
        """The same with the methods' titles, for tables: ``KD+SRRL[sr]``."""
        terms = (self._spelled(name).replace(name, catalog.method(name).title, 1) for name, _ in self.terms)
        return "+".join(terms) or STUDENT.capitalize()

    @property
    def trials(self) -> tuple[MethodName, ...]:
        """The objectives among which a tuned one is chosen, in the order of the method's candidates."""
        if self.tuned is None:
            return ()
        info = catalog.method(self.tuned)
        # Whole, for what a candidate asks for outlives the recipe's own even where it is the default.
        return tuple(self._with(checked_options(info, candidate)) for candidate in info.candidates)

    def _with(self, options: Mapping[str, Any]) -> MethodName:
        terms = tuple((name, options if name == self.tuned else own) for name, own in self.terms)
        return MethodName(terms)

    def _spelled(self, name: str) -> str:
        return f"{name}[{TUNED}]" if name == self.tuned else _term_name(name, dict(self.terms)[name])


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
    tuned = [name for name, options in terms.items() if options is None]
    if len(tuned) > 1:
        raise UserError(f"method '{text}': one term at a time can be {TUNED}")
    return MethodName(tuple((name, options or {}) for name, options in sorted(terms.items())), *tuned)


def applicable(method: str, student: str, teacher: str) -> bool:
    """Whether a method can be used between two networks, as far as its requirements and what is known of them tell."""
    known = catalog.networks()
    if student not in known or teacher not in known:
        return True
    return catalog.applies(catalog.method(method), known[student], known[teacher])


def _parse_term(text: str, part: str) -> tuple[str, Mapping[str, Any] | None]:
    """A method and its options, None where they are to be chosen."""
    match = _TERM.fullmatch(part.strip())
    if match is None:
        raise UserError(f"cannot read method '{text}': write NAME, NAME[variant], NAME[option=value] or NAME+NAME")
    if match["name"].strip() == STUDENT:
        raise UserError(f"method '{text}': {STUDENT} is cross-entropy alone, it takes no options and joins no sum")
    info = catalog.method(match["name"].strip())
    if (match["options"] or "").strip() == TUNED:
        if not info.candidates:
            raise UserError(f"method '{text}': {info.name} declares no candidates to choose among")
        return info.name, None
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


# Values become part of a folder's name. Lists and the like are spelled as JSON.
_PLAIN_TEXT, _PLAIN_JSON = re.compile(r"[\w.+-]+", re.ASCII), re.compile(r'[\w.+\-:,"\[\]{}]+', re.ASCII)


def checked_options(info: catalog.MethodInfo, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, sorted, numbers in the type of the method's default.

    Raises:
        UserError: an option is unknown or its value is of another kind than its default.
    """
    return {key: _checked_option(info, key, value) for key, value in sorted(options.items())}


def unusual(info: catalog.MethodInfo, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that differ from the method's defaults."""
    return {option: value for option, value in options.items() if value != info.options[option]}


def _checked_option(info: catalog.MethodInfo, key: str, value: Any) -> Any:
    if key not in info.options:
        raise unknown(f"option of {info.name}", key, info.options)
    default = info.options[key]
    number = isinstance(default, int | float) and not isinstance(default, bool)
    fits = isinstance(value, int | float) and not isinstance(value, bool) if number else type(value) is type(default)
    fits = fits or default is None
    plain = fits and _is_plain(value)
    if not plain or (isinstance(default, int) and value != int(value)):
        kind = "a plain value" if default is None else f"of type {type(default).__name__} like {default!r}"
        why = ": it becomes part of a folder's name, where only letters, digits, _, ., + and - go" if fits else ""
        raise UserError(
            f"option {key} of {info.name} must be {kind}, not {value!r}{why if isinstance(value, str) else ''}"
        )
    if value not in info.choices.get(key, (value,)):
        raise unknown(f"{key} of {info.name}", value, info.choices[key])
    return type(default)(value) if number else value


def _is_plain(value: object) -> bool:
    """Whether a value can be spelled in the name of a folder."""
    try:
        return (_PLAIN_TEXT if isinstance(value, str) else _PLAIN_JSON).fullmatch(_spelled(value)) is not None
    except (TypeError, ValueError):  # it is no JSON, or not finite
        return False


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
        sha256: of the code itself where it is a draft, or from outside the project; else empty.
    """

    name: str
    weight: float
    options: Mapping[str, Any]
    revision: int
    sha256: str = ""

    @property
    def title(self) -> str:
        """The method's name with these options, as people type it."""
        return _term_name(self.name, self.options)

    @property
    def code(self) -> dict[str, Any]:
        """What of the term stands for the code that runs."""
        own = {"sha256": self.sha256} if self.sha256 else {}
        return {"options": dict(self.options), "revision": self.revision, **own}


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
        return {"ce": self.ce, "terms": {term.name: {"weight": term.weight, **term.code} for term in self.terms}}

    @property
    def folder(self) -> str:
        """A readable name that follows from the terms and their options."""
        return "+".join(term.title for term in self.terms) or STUDENT
