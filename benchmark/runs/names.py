"""Names that people type, as values: a pair of networks, a method, and a cell of a table.

Each is a string in its canonical spelling that also knows its parts: it is parsed once, where it enters, and prints as
itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, Self

from benchmark.errors import UserError, unknown
from benchmark.files import fitted
from benchmark.ids import parse_value
from benchmark.registry import catalog
from benchmark.registry.catalog import TUNED
from benchmark.runs.options import checked_options, term_name

STUDENT = catalog.STUDENT
"""Name of the objective without terms: cross-entropy alone."""
NO_TEACHER = "none"
"""The teacher in the pair of a network that is trained alone."""

MAX_CHAIN = 16
"""Teachers in a chain: a run has as many jobs behind it."""

Terms = tuple[tuple[str, Mapping[str, Any]], ...]
"""``(method, options)`` of an objective, sorted by the method's name."""


class Link(NamedTuple):
    """One teacher of a chain.

    Attributes:
        network: registry name of its network.
        method: the objective that trained it under the teacher before it; the plain student for the first teacher.
    """

    network: str
    method: MethodName

    def __str__(self) -> str:
        return self.network if self.method == STUDENT else f"{self.network}[{self.method}]"


class PairName(str):
    """A teacher and its student: ``wrn-40-4:wrn-16-2``, or a chain: ``wrn-40-4>wrn-22-2[kd]:wrn-16-2``.

    In a chain each network teaches the next one: the student's teacher is the last network before the colon.

    Attributes:
        teacher: registry name of the teacher's network, or ``none``; of a chain all that stands before the colon.
        student: registry name of the student's network.
        teachers: the teachers in the order of their training; the last one teaches the student.
    """

    __slots__ = ("student", "teacher", "teachers")

    teacher: str
    student: str
    teachers: tuple[Link, ...]

    def __new__(cls, teacher: str, student: str) -> Self:
        """A pair of two registry names."""
        return cls.of((Link(teacher, ALONE),), student)

    @classmethod
    def of(cls, teachers: tuple[Link, ...], student: str) -> Self:
        """The pair of a student and its teachers, of which there is at least one."""
        teacher = ">".join(map(str, teachers))
        pair = super().__new__(cls, f"{teacher}:{student}")
        pair.teacher, pair.student, pair.teachers = teacher, student, teachers
        return pair

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts."""
        return PairName.of, (self.teachers, self.student)

    @property
    def teacher_network(self) -> str:
        """Registry name of the network that teaches the student, or ``none``."""
        return self.teachers[-1].network

    @property
    def lessons(self) -> tuple[tuple[str, MethodName, str], ...]:
        """Teacher's network, method and taught network of each distillation before the student's own."""
        return tuple((one.network, other.method, other.network) for one, other in pairwise(self.teachers))

    @property
    def folder(self) -> str:
        """The pair in the path of a record: ``TEACHER--STUDENT``, the networks alone."""
        return f"{self.teacher_network}--{self.student}".replace("/", ".")


def path_part(folder: str) -> str:
    """A job's folder in paths; if it is too long, the part before ``@`` is shortened."""
    name, at, what = folder.partition("@")
    return f"{fitted(name, len((at + what).encode()))}{at}{what}"


def parse_pair(text: str) -> PairName:
    """Read ``TEACHER:STUDENT``, or the chain ``TEACHER>ASSISTANT[METHOD]:STUDENT`` with one assistant or more.

    Spaces around ``>`` and ``:`` have no meaning.

    Raises:
        UserError: it is spelled otherwise, a network or method is unknown, or the method of an assistant is missing,
            the plain student, or to be tuned.
    """
    # Only the last colon separates: options may hold others.
    before, _, student = (part.strip() for part in text.rpartition(":"))
    words = [word.strip() for word in before.split(">")]
    if not (student and all(words)):
        raise UserError(f"'{text}' is no pair: write TEACHER:STUDENT or TEACHER>ASSISTANT[METHOD]:STUDENT")
    first, *others = words
    if len(words) > MAX_CHAIN:
        raise UserError(f"a chain has at most {MAX_CHAIN} teachers, not {len(words)}: leave some out")
    if "[" in first:
        name = first.partition("[")[0]
        raise UserError(f"'{text}': the first teacher of a chain is trained alone: write {name} without a method")
    teachers = (Link(_network(first), ALONE), *(_assistant(text, word) for word in others))
    return PairName.of(teachers, _network(student))


def _assistant(text: str, word: str) -> Link:
    """The teacher that ``NETWORK[METHOD]`` stands for in the chain ``text``."""
    name, bracket, rest = word.partition("[")
    network = _network(name.strip())
    if not bracket or not rest.endswith("]") or rest == "]":
        raise UserError(f"'{text}': say which method trains {network}, as in {network}[kd]")
    method = parse_method(rest[:-1])
    if method == STUDENT or method.tuned is not None:
        raise UserError(f"'{text}': name one distillation method that trains {network} in the place of '{method}'")
    return Link(network, method)


def _network(name: str) -> str:
    if name not in catalog.networks():
        raise unknown("network", name, catalog.networks())
    return name


class MethodName(str):
    """What ``--methods`` and tables call an objective: ``student``, ``kd``, ``srrl[sr]``, ``kd+srrl``.

    The canonical spelling has its terms and options sorted, and variants by their short name.

    Attributes:
        terms: the methods of the objective with their options; empty for the plain student.
        tuned: the method whose options are to be chosen among its candidates, or None.
    """

    __slots__ = ("terms", "tuned")

    terms: Terms
    tuned: str | None

    def __new__(cls, terms: Terms = (), tuned: str | None = None, role: str = STUDENT) -> Self:
        """A method of some terms; without terms, what ``role`` names."""
        words = (_word(name, options, tuned) for name, options in terms)
        method = super().__new__(cls, "+".join(words) or role)
        method.terms, method.tuned = terms, tuned
        return method

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts."""
        return MethodName, (self.terms, self.tuned, str(self))

    @property
    def label(self) -> str:
        """The method in tables, with the titles of its terms: ``KD+SRRL[sr]``."""
        words = (
            _word(name, options, self.tuned).replace(name, catalog.method(name).title, 1)
            for name, options in self.terms
        )
        return "+".join(words) or self.capitalize()

    @property
    def trials(self) -> tuple[MethodName, ...]:
        """The objectives among which a tuned one is chosen, in the order of the method's candidates."""
        if self.tuned is None:
            return ()
        info = catalog.method(self.tuned)
        # Whole, since what a candidate asks for outlives the recipe's own even where it is the default.
        return tuple(self._with(checked_options(info, candidate)) for candidate in info.candidates)

    def _with(self, options: Mapping[str, Any]) -> MethodName:
        return MethodName(tuple((name, options if name == self.tuned else own) for name, own in self.terms))


def _word(name: str, options: Mapping[str, Any], tuned: str | None) -> str:
    return f"{name}[{TUNED}]" if name == tuned else term_name(name, options)


ALONE = MethodName()
"""What trains a network without a teacher: the plain student's objective."""
TEACHER = MethodName(role=catalog.TEACHER)
"""Stands for a method in cells about a pair's teacher."""

_TERM = re.compile(r"(?P<name>[^\[\]+]+)(?:\[(?P<options>[^\]]*)\])?")


def parse_method(text: str) -> MethodName:
    """Read a method's name.

    Raises:
        UserError: the spelling is wrong, or a method, a variant, an option or a value is unknown.
    """
    if text.strip() == STUDENT:
        return MethodName()
    parts = re.split(r"\+(?![^\[]*\])", text)
    terms = dict(_parse_term(text, part) for part in parts)
    if len(terms) < len(parts):
        raise UserError(f"method '{text}' names a term twice")
    tuned = [name for name, options in terms.items() if options is None]
    if len(tuned) > 1:
        raise UserError(f"method '{text}': one term at a time can be {TUNED}")
    return MethodName(tuple((name, options or {}) for name, options in sorted(terms.items())), *tuned)


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


class CellKey(str):
    """The name of a cell: ``table06/wrn-40-4:wrn-16-2/kd/top1``, with a probe's recipe before the metric.

    Attributes:
        table: name of the table.
        pair: the networks that it is about.
        method: what trained the student, or `TEACHER`.
        metric: which number of a record.
        probe: name of the probe's recipe; empty for a number of the network as it was trained.
    """

    __slots__ = ("method", "metric", "pair", "probe", "table")

    table: str
    pair: PairName
    method: MethodName
    metric: str
    probe: str

    def __new__(cls, table: str, pair: PairName, method: MethodName, metric: str, probe: str = "") -> Self:
        """A key of these parts."""
        key = super().__new__(cls, "/".join(filter(None, (table, pair, method, probe, metric))))
        key.table, key.pair, key.method, key.metric, key.probe = table, pair, method, metric, probe
        return key

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts."""
        return CellKey, (self.table, self.pair, self.method, self.metric, self.probe)
