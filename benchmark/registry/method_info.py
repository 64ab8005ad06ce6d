"""What planning knows of a method without importing torch.

A class that derives directly from ``Method`` and states literals is read from the file's syntax tree. Any other class
(computed attributes, a base that is another method) is described by a process that imports the file.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.errors import UserError, unknown
from benchmark.files import ALPHABET, is_plain
from benchmark.registry.description import described
from benchmark.registry.plugins import SourceFile
from benchmark.registry.source_hash import parsed
from benchmark.registry.syntax import derives_directly, has_subclass, method_classes

STUDENT = "student"
"""The name of cross-entropy alone in tables; reserved."""

TEACHER = "teacher"
"""The name of the teacher's own cells in tables; reserved."""

REQUIREMENTS = ("teacher_in_train_mode", "equal_channels")
"""Values of ``requires``: the first concerns the trainer, the second the two networks."""

FIRST_STAGES = ("", "student", "teacher")
"""Values of ``pretrain``."""

TUNED = "tuned"
"""The variant that chooses among a method's candidates; reserved."""

DRAFT = 0
"""The revision of a method that is still being written."""

_POSITIONAL = "options of a method come after a *, each with a default"


@dataclass(frozen=True)
class MethodInfo:
    """The class attributes and options of one method; `methods.Method` documents the attributes.

    Attributes:
        name: the file's stem or the name of the entry point.
        path: the file.
        code: SHA-256 of its code where that is part of ids: for drafts, plug-ins and methods of installed packages;
            else empty, and the revision is part of ids.
        package: folder of the installed package that contains the file; None for all others.
        options: every option with its default; tuples are lists, as in JSON.
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


_FOUND = {"name", "path", "code", "package", "options"}
DECLARED = tuple(each.name for each in fields(MethodInfo) if each.name not in _FOUND)
"""The class attributes of a method that planning reads."""


def read_method(file: SourceFile) -> MethodInfo | None:
    """The method that a file defines, or None where it defines none.

    Raises:
        UserError: the file defines several methods, cannot be imported, or an attribute or default is not usable.
    """
    path = file.path
    tree = parsed(path)
    classes = [node for node in method_classes(tree) if file.attribute in ("", node.name)]
    if not classes and (file.inside or not (file.attribute or has_subclass(tree))):
        return None
    plain = [_literals(node) for node in classes] if all(map(derives_directly, classes)) else []
    literals = [declared for declared in plain if declared is not None]
    if not literals or len(literals) < len(plain):
        literals = described(file, partial(_read, path))
    found = [_sound(path, declared) for declared in literals]
    if len(found) > 1:
        raise UserError(f"{path}: one file holds one method, this one holds {len(found)}")
    if not found:
        return None
    known, options = _as_json(found[0].attributes), _as_json(found[0].options)
    _check_declared(path, known, options)
    for key in ("requires", "candidates"):
        known[key] = tuple(known.get(key, ()))
    known["choices"] = {key: tuple(values) for key, values in known.get("choices", {}).items()}
    code = "" if file.inside and known.get("revision") != DRAFT else file.code
    return MethodInfo(**known, name=file.name, path=path, code=code, package=file.package, options=options)


class _Declared(NamedTuple):
    """The class attributes and options of a method as its file states them, or why they cannot be used."""

    line: int
    attributes: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}
    fault: str = ""


def _read(path: Path, text: str) -> list[_Declared]:
    """The classes that `methods.describe` printed; faults are errors here, so that they are not cached."""
    return [_sound(path, _Declared(**each)) for each in json.loads(text)]


def _sound(path: Path, declared: _Declared) -> _Declared:
    if declared.fault:
        raise UserError(f"{path}:{declared.line}: {declared.fault}")
    return declared


def _literals(node: ast.ClassDef) -> _Declared | None:
    """What a class declares with literals only; None where its file has to be imported to know it."""
    attributes: dict[str, Any] = {}
    found = _Declared(node.lineno, attributes)
    if node.decorator_list or node.keywords:
        return None
    try:
        for statement in node.body:
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    if name in DECLARED:
                        attributes[name] = ast.literal_eval(value)
                case ast.FunctionDef(name="__init__", args=arguments, decorator_list=[]):
                    if len(arguments.args) + len(arguments.posonlyargs) > 2:
                        return _Declared(statement.lineno, fault=_POSITIONAL)
                    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
                    options = {key.arg: ast.literal_eval(value) for key, value in pairs if value is not None}
                    found = found._replace(options=options)
                case ast.FunctionDef(name=name) if name not in {"__init__", *DECLARED}:
                    pass
                case ast.Expr() | ast.Pass() | ast.AnnAssign():
                    pass
                case _:
                    return None
    except (ValueError, TypeError):  # an unhashable key is a TypeError
        return None
    return found


def _as_json(value: Any) -> Any:
    """A value with lists for tuples, as values of the command line and of records are."""
    if isinstance(value, Mapping):
        return {key: _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, list | tuple) else value


def _check_declared(path: Path, known: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    for key in ("citation", "title"):
        if key not in known:
            raise UserError(f"{path}: the method lacks the class attribute '{key}'")
        if not isinstance(known[key], str) or not known[key]:
            raise UserError(f"{path}: {key} must be a text, not {known[key]!r}")
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
    _check_option_sets(path, known, options)


def _check_option_sets(path: Path, known: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    variants, candidates = known.get("variants", {}), known.get("candidates", [])
    if not isinstance(variants, dict) or not _are_sets(variants.values()):
        raise UserError(
            f"{path}: variants must be sets of options by name, like {{'a': {{'size': 1}}}}, not {variants!r}"
        )
    if not isinstance(candidates, list) or not _are_sets(candidates):
        raise UserError(f"{path}: candidates must be sets of options, like ({{'weight': 1.0}},), not {candidates!r}")
    for name in variants:
        if not is_plain(name):
            raise UserError(f"{path}: variant {name!r}: a variant's name is made of {ALPHABET}")
    if TUNED in variants:
        raise UserError(f"{path}: no variant may be called '{TUNED}', which chooses among the candidates")
    for key, sets in (("variants", variants.values()), ("candidates", candidates)):
        for option in chain.from_iterable(sets):
            if option not in options:
                raise unknown(f"option among the {key} in {path}", str(option), options)


def _are_sets(values: Iterable[object]) -> bool:
    return all(isinstance(value, dict) for value in values)
