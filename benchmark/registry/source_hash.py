"""Python files as data: their syntax trees, and hashes that see what runs and no words."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.ids import digest


def parsed(path: Path) -> ast.Module:
    """A file's syntax tree.

    Raises:
        UserError: there is no such file, or it is no Python.
    """
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (OSError, SyntaxError, ValueError) as error:  # a null byte and text in no UTF-8 are values
        raise UserError(f"{path}: this is no Python that can be read ({error})") from None


def code_hash(tree: ast.Module) -> str:
    """SHA-256 of a syntax tree without docstrings and comments."""
    return hashlib.sha256(repr(_code(tree)).encode()).hexdigest()


def code_of(
    path: Path, module: str, packages: Mapping[str, Path], apart: Collection[Path] = (), beside: Path | None = None
) -> str:
    """SHA-256 of the code of a file and of what it imports, step by step, from some packages.

    Args:
        path: the file.
        module: its name as a module: where relative imports start.
        packages: folders of the packages by name; what is imported from elsewhere does not count.
        apart: files, and folders of files, that do not count either.
        beside: a folder whose modules count, too; None for none.

    Raises:
        UserError: one of the files cannot be read.
    """
    found, waiting = {path: ""}, [(path, module)]
    while waiting:
        for file, name in _imported(*waiting.pop(), packages, beside):
            if file not in found and not any(file.is_relative_to(each) for each in apart):
                found[file] = name
                waiting.append((file, name))
    return digest({name: code_hash(parsed(file)) for file, name in found.items()})


def _imported(path: Path, module: str, packages: Mapping[str, Path], beside: Path | None) -> Iterator[tuple[Path, str]]:
    """Files of the packages and of a folder that a file imports, each with its name as a module."""
    parents = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(parsed(path)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            top, *rest = name.split(".")
            folder, parts = (packages[top], rest) if top in packages else (beside, [top, *rest])
            if folder is not None and (file := module_file(folder, parts)) is not None:
                yield file, name


def module_file(folder: Path, parts: list[str]) -> Path | None:
    """The file of a module below a package's folder, or None where there is none."""
    stem = folder.joinpath(*parts)
    places = (stem.with_name(f"{stem.name}.py"), stem / "__init__.py") if parts else (stem / "__init__.py",)
    return next((place for place in places if place.is_file()), None)


def _code(node: Any) -> Any:
    """A syntax tree as nested tuples: no docstrings, no positions, nothing that differs between Python versions."""
    if isinstance(node, list):
        return tuple(_code(item) for item in node)
    if not isinstance(node, ast.AST):
        return node
    parts = dict(ast.iter_fields(node))
    if (
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and ast.get_docstring(node, clean=False) is not None
    ):
        parts["body"] = node.body[1:]
    kept = ((name, _code(part)) for name, part in parts.items() if part is not None and part != [])
    return type(node).__name__, *kept
