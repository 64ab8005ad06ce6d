"""What planning knows of a method without importing torch.

A class that derives directly from ``Method`` and states literals is read from the file's syntax tree. Any other class
(computed attributes, a base that is another method) is described by a process that imports the file.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from benchmark.errors import UserError, unknown
from benchmark.files import ALPHABET, is_plain
from benchmark.registry.description import described
from benchmark.registry.plugins import SourceFile
from benchmark.registry.source_hash import parsed
from benchmark.registry.syntax import has_subclass, method_classes
from benchmark.yaml_schema import YamlFile

STUDENT = "student"
"""The name of cross-entropy alone in tables; reserved."""

TEACHER = "teacher"
"""The name of the teacher's own cells in tables; reserved."""

TUNED = "tuned"
"""The variant that chooses among a method's candidates; reserved."""

DRAFT = 0
"""The revision of a method that is still being written."""

_Text = Annotated[str, Meta(min_length=1)]
_Options = Mapping[str, Any]


class MethodInfo(Struct, frozen=True):
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
    title: _Text
    citation: _Text
    path: Path
    code: str = ""
    package: Path | None = None
    revision: Annotated[int, Meta(ge=DRAFT)] = 1
    objective: Annotated[Mapping[Literal["ce", "weight"], float], Meta(min_length=2)] = msgspec.field(
        default_factory=lambda: {"ce": 1.0, "weight": 1.0}
    )
    variants: Mapping[str, _Options] = {}
    choices: Mapping[str, tuple[str, ...]] = {}
    requires: tuple[Literal["teacher_in_train_mode", "equal_channels"], ...] = ()
    pretrain: Literal["", "student", "teacher"] = ""
    candidates: tuple[_Options, ...] = ()
    teacher: Literal["given", "none", "student"] = "given"
    views: Annotated[int, Meta(ge=1, le=2)] = 1
    recipe: Mapping[str, Any] = {}
    published_recipe: str = ""
    formula: str = ""
    options: _Options = {}


_FOUND = {"name", "path", "code", "package", "options"}
DECLARED = tuple(name for name in MethodInfo.__struct_fields__ if name not in _FOUND)
"""The class attributes of a method that planning reads."""


def read_method(file: SourceFile) -> MethodInfo | None:
    """The method that a file defines, or None where it defines none.

    Raises:
        UserError: the file defines several methods, cannot be imported, or an attribute or default is not usable.
    """
    tree = parsed(file.path)
    classes = [node for node in method_classes(tree) if file.attribute in ("", node.name)]
    if not classes and (file.inside or not (file.attribute or has_subclass(tree))):
        return None
    found = [declaration for node in classes if (declaration := _literals(node))]
    if not found or len(found) < len(classes):
        found = described(file, _declarations)
    if len(found) > 1:
        raise UserError(f"{file.path}: one file holds one method, this one holds {len(found)}")
    if not found:
        return None
    known = found[0].attributes
    code = "" if file.inside and known.get("revision") != DRAFT else file.code
    place = {"name": file.name, "path": file.path, "code": code, "package": file.package}
    info = YamlFile(str(file.path), {**known, **place, "options": found[0].options}, None).convert(MethodInfo)
    _check_options(info)
    return info


class _Declaration(Struct):
    """The class attributes and options of a method as its file states them."""

    attributes: dict[str, Any]
    options: dict[str, Any]


def _declarations(text: str) -> list[_Declaration]:
    """The classes that `methods.describe` printed."""
    return msgspec.convert(json.loads(text), list[_Declaration])


def _literals(node: ast.ClassDef) -> _Declaration | None:
    """What a class declares with literals only; None where its file has to be imported to know it."""
    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
    if node.decorator_list or node.keywords or bases != ["Method"]:
        return None
    attributes: dict[str, Any] = {}
    options: dict[str, Any] = {}
    try:
        for statement in node.body:
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    if name in DECLARED:
                        attributes[name] = ast.literal_eval(value)
                case ast.FunctionDef(
                    name="__init__", args=ast.arguments(posonlyargs=[], args=[_, _]) as arguments, decorator_list=[]
                ):
                    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
                    options = {key.arg: ast.literal_eval(value) for key, value in pairs if value is not None}
                case ast.FunctionDef(name=name) if name not in {"__init__", *DECLARED}:
                    pass
                case ast.Expr() | ast.Pass() | ast.AnnAssign():
                    pass
                case _:
                    return None
        text = json.dumps([{"attributes": attributes, "options": options}], allow_nan=False)
    except (ValueError, TypeError):  # an unhashable key is a TypeError
        return None
    return _declarations(text)[0]


def _check_options(info: MethodInfo) -> None:
    for name in info.variants:
        if not is_plain(name) or name == TUNED:
            raise UserError(
                f"{info.path}: variant {name!r}: a variant's name is made of {ALPHABET}, and is not '{TUNED}', "
                "which chooses among the candidates"
            )
    for key, sets in (("variants", info.variants.values()), ("candidates", info.candidates)):
        for option in chain.from_iterable(sets):
            if option not in info.options:
                raise unknown(f"option among the {key} in {info.path}", option, info.options)
