"""Read from syntax trees what files define: planning imports neither them nor torch."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.files import LONGEST_WORD

# A network's name is part of a record's path and of pairs such as TEACHER--STUDENT and TEACHER:STUDENT.
_NETWORK = re.compile(r"[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*")
_REGISTER = ("models.register", "models.registry.register")


def method_classes(tree: ast.Module) -> list[ast.ClassDef]:
    """Classes of a file that derive from ``Method`` or may do so through a class of another method's file.

    A class from which another class of the file derives is left out: it is an abstract base.
    """
    origins = _origins(tree, "methods")
    found: dict[str, ast.ClassDef] = {}
    derived_from: set[str] = set()
    for node in tree.body:
        bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
        if isinstance(node, ast.ClassDef) and any(_is_method(base, found, origins) for base in bases):
            derived_from.update(bases)
            found[node.name] = node
    return [node for name, node in found.items() if name not in derived_from]


def derives_directly(node: ast.ClassDef) -> bool:
    """Whether ``Method`` is the only base of a class."""
    return [ast.unparse(base).rpartition(".")[2] for base in node.bases] == ["Method"]


def has_subclass(tree: ast.Module) -> bool:
    """Whether a class of the file has a base: it may be a method even where the syntax does not show it."""
    return any(isinstance(node, ast.ClassDef) and node.bases for node in tree.body)


def network_names(tree: ast.Module, path: Path) -> tuple[str, ...]:
    """Names of the networks that a file registers with the decorator ``models.register``.

    Raises:
        UserError: a name is no literal, is not in a literal at the top of the file, or cannot name a network.
    """
    origins = _origins(tree, "models")
    tops = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    decorators = (each for node in tree.body if isinstance(node, ast.FunctionDef) for each in node.decorator_list)
    calls = (each for each in decorators if isinstance(each, ast.Call))
    arguments = (call.args for call in calls if _resolved(ast.unparse(call.func), origins) in _REGISTER)
    return tuple(name for argument in chain.from_iterable(arguments) for name in _names(argument, tops, path))


def declares_datasets(tree: ast.Module) -> bool:
    """Whether a file assigns ``SOURCES``."""
    assigned = (node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)] for node in tree.body)
    return any(isinstance(target, ast.Name) and target.id == "SOURCES" for target in chain.from_iterable(assigned))


def _is_method(base: str, found: Mapping[str, ast.ClassDef], origins: Mapping[str, str]) -> bool:
    package, *rest = _resolved(base, origins).split(".")
    elsewhere = package == "methods" and len(rest) > 1 and rest[0] != "base"  # methods.MODULE.CLASS
    return base in found or base.rpartition(".")[2] == "Method" or elsewhere


def _resolved(name: str, origins: Mapping[str, str]) -> str:
    """A dotted name with its first part replaced by the module or object that the file imports under it."""
    first, dot, rest = name.partition(".")
    return f"{origins.get(first, '')}{dot}{rest}"


def _origins(tree: ast.Module, package: str) -> dict[str, str]:
    """Full names of what a file imports, by the names it imports them under; relative imports start at the package."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*([package] if node.level else []), *([node.module] if node.module else [])])
            found |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
    return found


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
