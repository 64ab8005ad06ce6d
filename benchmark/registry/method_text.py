"""Texts about methods: what the docstrings of a file say, read without importing it, and options as they are typed."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.registry.method_info import MethodInfo
from benchmark.registry.source_hash import parsed
from benchmark.registry.syntax import method_classes

_OPTIONS = "Options:"
_ITEM = re.compile(r"(\w+): (.*)")


class MethodText(NamedTuple):
    """What docstrings say of a method.

    Attributes:
        idea: first line of the module's docstring; empty where there is none.
        about: paragraphs of the class's docstring before its options.
        options: one text for each option, by name; those of a base in another file included.
    """

    idea: str
    about: tuple[str, ...]
    options: Mapping[str, str]


def read_text(info: MethodInfo) -> MethodText:
    """The docstrings of a method's file.

    Raises:
        UserError: the file is not valid Python.
    """
    tree = parsed(info.path)
    idea = (ast.get_docstring(tree) or "").partition("\n")[0]
    nodes = method_classes(tree)
    if not nodes:
        return MethodText(idea, (), {})
    about, options = _class_text(nodes[-1])
    return MethodText(idea, about, {**_inherited(tree, nodes[-1], info.path), **options})


def option_text(value: Any) -> str:
    """A value as it is typed in a method's name: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def options_text(options: Mapping[str, Any]) -> str:
    """``temperature=4.0, form=kl``."""
    return ", ".join(f"{key}={option_text(value)}" for key, value in options.items())


def _inherited(tree: ast.Module, node: ast.ClassDef, path: Path) -> dict[str, str]:
    """The options of the class of another method's file, beside this one, from which a class derives."""
    bases = {ast.unparse(base) for base in node.bases}
    for each in ast.walk(tree):
        if isinstance(each, ast.ImportFrom) and bases & {alias.asname or alias.name for alias in each.names}:
            beside = path.with_name(f"{(each.module or '').rpartition('.')[2]}.py")
            found = method_classes(parsed(beside)) if beside.is_file() else []
            return _class_text(found[-1])[1] if found else {}
    return {}


def _class_text(node: ast.ClassDef) -> tuple[tuple[str, ...], dict[str, str]]:
    """Paragraphs before the block of options, and the texts of that block."""
    lines = inspect.cleandoc(ast.get_docstring(node) or "").splitlines()
    start = lines.index(_OPTIONS) if _OPTIONS in lines else len(lines)
    paragraphs = "\n".join(lines[:start]).split("\n\n")
    return tuple(" ".join(each.split()) for each in paragraphs if each.strip()), _items(lines[start + 1 :])


def _items(lines: Iterable[str]) -> dict[str, str]:
    """``name: text`` of each indented item; deeper lines continue it."""
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line and not indent:
            break
        if indent == 4 and (item := _ITEM.match(line.strip())):
            name, found[item[1]] = item[1], item[2]
        elif line.strip() and name:
            found[name] += f" {line.strip()}"
    return found
