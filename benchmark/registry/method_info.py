"""What files of methods and networks state as literals, read from their syntax trees: planning never imports torch."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from benchmark.errors import UserError, unknown
from benchmark.files import ALPHABET, LONGEST_WORD, is_plain
from benchmark.registry.source_hash import parsed

STUDENT = "student"
"""What tables call cross-entropy alone; no method may have the name."""

TEACHER = "teacher"
"""What tables call a cell about the teacher; no method may have the name."""

REQUIREMENTS = ("teacher_in_train_mode", "equal_channels")
"""What a method may need beyond the common: of the trainer, or of the two networks."""

FIRST_STAGES = ("", "student", "teacher")
"""Whose features a method's first stage trains on; most have none."""

TUNED = "tuned"
"""The variant that chooses among a method's candidates."""

DRAFT = 0
"""The revision of a method that is still being written."""

DECLARED = (
    "title",
    "citation",
    "revision",
    "objective",
    "variants",
    "choices",
    "requires",
    "pretrain",
    "candidates",
)
"""The class attributes of a method that planning knows."""

# It becomes part of a record's path, and stands beside others in TEACHER--STUDENT and TEACHER:STUDENT.
_NETWORK = re.compile(r"[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*")
_REGISTER = ("models.register", "models.registry.register")


@dataclass(frozen=True)
class MethodInfo:
    """The literals of one method's class.

    Attributes:
        name: the file's stem, the method's name everywhere.
        title: its name in tables.
        citation: its source.
        path: the file.
        code: SHA-256 of its code where that is part of ids: of a draft, and of a method from outside the project. Empty
            where the revision stands for it.
        package: the folder of the installed package that it is part of; None for all others.
        revision: raised when a change of code changes results; 0 for a draft.
        objective: default weights, ``ce`` and ``weight``.
        variants: short names for sets of options.
        choices: what an option may be, where that is a few words.
        requires: what the trainer must supply, or the networks must have.
        pretrain: whose first stage comes before a run: "student", "teacher", or none if empty.
        candidates: sets of options among which ``NAME[tuned]`` chooses.
        options: every option with its default.
    """

    name: str
    title: str
    citation: str
    path: Path
    code: str = ""
    package: Path | None = None
    revision: int = 1
    objective: Mapping[str, float] = field(default_factory=lambda: {"ce": 1.0, "weight": 1.0})
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    pretrain: str = ""
    candidates: tuple[Mapping[str, Any], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def read_method(path: Path, name: str | None = None, only: str = "") -> MethodInfo | None:
    """The method that a file defines, or None if it defines none.

    Args:
        path: the file.
        name: of the method; None for the file's stem.
        only: the one class to look at; empty for all.

    Raises:
        UserError: the file defines several methods, or a class attribute is no literal.
    """
    classes = [node for node in method_classes(parsed(path)) if only in ("", node.name)]
    if not classes:
        return None
    if len(classes) > 1:
        raise UserError(f"{path}: one file holds one method, this one holds {len(classes)}")
    literals = dict(_literals(path, classes[0]))
    missing = {"title", "citation"} - set(literals)
    if missing:
        raise UserError(f"{path}: the method lacks the class attribute '{min(missing)}'")
    known = {key: literals[key] for key in DECLARED if key in literals}
    for key in ("requires", "candidates"):
        if isinstance(known.get(key), list):
            known[key] = tuple(known[key])
    options = dict(_options(path, classes[0]))
    _check_literals(path, known)
    _check_variants(path, known, options)
    _check_candidates(path, known, options)
    return MethodInfo(**known, name=name or path.stem, path=path, options=options)


def method_classes(tree: ast.Module) -> list[ast.ClassDef]:
    """The classes of a file that derive from ``Method``, however that is written."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return [node for node in classes if any(ast.unparse(base).rpartition(".")[2] == "Method" for base in node.bases)]


def registered(tree: ast.Module, path: Path) -> tuple[str, ...]:
    """The names of networks that the decorators ``@register`` of a file state, imported from ``models``.

    Raises:
        UserError: a name is neither a literal nor stands in a literal at the top of the file, or cannot be a network's.
    """
    origins = dict(_origins(tree))
    tops = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    decorators = (each for node in tree.body if isinstance(node, ast.FunctionDef) for each in node.decorator_list)
    calls = (each for each in decorators if isinstance(each, ast.Call))
    asked = (call.args for call in calls if _registers(ast.unparse(call.func), origins))
    return tuple(name for argument in chain.from_iterable(asked) for name in _names(argument, tops, path))


def _registers(function: str, origins: Mapping[str, str]) -> bool:
    """Whether a function, as it is written, is the ``register`` of ``models``: others have one, too."""
    first, dot, rest = function.partition(".")
    return function.rpartition(".")[2] == "register" and f"{origins.get(first, '')}{dot}{rest}" in _REGISTER


def _origins(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The names that a file's imports give, each with what it stands for; what is relative is relative to models."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield alias.asname or top, alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*(["models"] if node.level else []), *([node.module] if node.module else [])])
            for alias in node.names:
                yield alias.asname or alias.name, f"{base}.{alias.name}"


def _names(argument: ast.expr, tops: Mapping[str, ast.expr], path: Path) -> Iterator[str]:
    items: list[Any] = [argument]
    if isinstance(argument, ast.Starred) and isinstance(argument.value, ast.Name):
        top = tops.get(argument.value.id)
        items = list(top.keys if isinstance(top, ast.Dict) else getattr(top, "elts", [None]))
    for item in items:
        if not isinstance(item, ast.Constant) or not isinstance(item.value, str):
            raise UserError(
                f"{path}:{argument.lineno}: names of networks must be literals, as in @register('a', 'b'), or those of "
                "a literal at the top of the file, as in @register(*SIZES)"
            )
        if not _NETWORK.fullmatch(item.value) or len(item.value) > LONGEST_WORD:
            raise UserError(
                f"{path}:{item.lineno}: network {item.value!r}: a name is made of letters and digits, with single "
                f"- or _ between them, {LONGEST_WORD} characters at most"
            )
        yield item.value


def _check_literals(path: Path, known: Mapping[str, Any]) -> None:
    revision = known.get("revision", 1)
    if type(revision) is not int or revision < DRAFT:
        raise UserError(f"{path}: revision must be a whole number, {DRAFT} for a draft, not {revision!r}")
    for requirement in known.get("requires", ()):
        if requirement not in REQUIREMENTS:
            raise unknown(f"requirement in {path}", requirement, REQUIREMENTS)
    if known.get("pretrain", "") not in FIRST_STAGES:
        raise unknown(f"pretrain in {path}", str(known["pretrain"]), FIRST_STAGES[1:])
    weights = known.get("objective", {"ce": 1.0, "weight": 1.0})
    numbers = isinstance(weights, dict) and all(isinstance(value, int | float) for value in weights.values())
    if not numbers or set(weights) != {"ce", "weight"}:
        raise UserError(f"{path}: objective must be two numbers, like {{'ce': 1.0, 'weight': 1.0}}, not {weights!r}")


def _check_variants(path: Path, known: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    for key in ("title", "citation"):
        if not isinstance(known[key], str) or not known[key]:
            raise UserError(f"{path}: {key} must be a text, not {known[key]!r}")
    variants = known.get("variants", {})
    if not isinstance(variants, dict) or not all(isinstance(meant, dict) for meant in variants.values()):
        raise UserError(
            f"{path}: variants must be sets of options by name, like {{'a': {{'size': 1}}}}, not {variants!r}"
        )
    for name in variants:
        if not is_plain(name):
            raise UserError(f"{path}: variant {name!r}: a variant's name is made of {ALPHABET}")
    for option in chain.from_iterable(variants.values()):
        if option not in options:
            raise unknown(f"option among the variants in {path}", str(option), options)
    if TUNED in variants:
        raise UserError(f"{path}: no variant may be called '{TUNED}', which chooses among the candidates")


def _check_candidates(path: Path, known: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    candidates = known.get("candidates", ())
    if not isinstance(candidates, tuple) or not all(isinstance(candidate, dict) for candidate in candidates):
        raise UserError(f"{path}: candidates must be sets of options, like ({{'weight': 1.0}},), not {candidates!r}")
    for option in chain.from_iterable(candidates):
        if option not in options:
            raise unknown(f"option among the candidates in {path}", str(option), options)


def _literals(path: Path, node: ast.ClassDef) -> list[tuple[str, Any]]:
    pairs = []
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            pairs.append((statement.targets[0].id, _literal(path, statement.value)))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            pairs.append((statement.target.id, _literal(path, statement.value)))
    return pairs


def _options(path: Path, node: ast.ClassDef) -> list[tuple[str, Any]]:
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            arguments = statement.args
            if len(arguments.args) + len(arguments.posonlyargs) > 2:
                raise UserError(f"{path}:{statement.lineno}: options of a method come after a *, each with a default")
            return [
                (argument.arg, _literal(path, default))
                for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
                if default is not None
            ]
    return []


def _literal(path: Path, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise UserError(
            f"{path}:{node.lineno}: class attributes and option defaults of a method must be literals"
        ) from None
