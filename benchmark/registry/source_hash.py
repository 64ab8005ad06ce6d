"""Hashes of the code in Python files: comments, docstrings and layout do not change them."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.ids import digest


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file.

    Raises:
        UserError: the file does not exist or is not valid Python.
    """
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (OSError, SyntaxError, ValueError) as error:  # a null byte and text that is not UTF-8 are ValueErrors
        raise UserError(f"{path}: this is no Python that can be read ({error})") from None


def code_hash(tree: ast.Module) -> str:
    """SHA-256 of a syntax tree without docstrings and comments."""
    return hashlib.sha256(repr(_code(tree)).encode()).hexdigest()


def code_of(
    path: Path, module: str, packages: Mapping[str, Path], apart: Collection[Path] = (), beside: Path | None = None
) -> str:
    """SHA-256 of the code of a file and of the modules that it imports, directly or through others.

    Args:
        path: the file.
        module: its dotted name, from which relative imports start.
        packages: folders of the packages whose modules count, by name; imports from other packages do not count.
        apart: files and folders that do not count.
        beside: a folder whose modules count as well.

    Raises:
        UserError: one of the files cannot be read.
    """
    names, hashes, waiting = {path: ""}, {}, [(path, module)]
    while waiting:
        file, dotted = waiting.pop()
        tree = parsed(file)
        hashes[names[file]] = code_hash(tree)
        for found, name in _imported(tree, file, dotted, packages, beside):
            if found not in names and not any(found.is_relative_to(each) for each in apart):
                names[found] = name
                waiting.append((found, name))
    return digest(hashes)


def module_file(folder: Path, parts: list[str]) -> Path | None:
    """The file of a module below a package's folder, or None where there is none."""
    stem = folder.joinpath(*parts)
    places = (stem.with_name(f"{stem.name}.py"), stem / "__init__.py") if parts else (stem / "__init__.py",)
    return next((place for place in places if place.is_file()), None)


def _imported(
    tree: ast.Module, path: Path, module: str, packages: Mapping[str, Path], beside: Path | None
) -> Iterator[tuple[Path, str]]:
    """Files of the packages, and of the folder, that a file imports, each with its dotted name."""
    parents = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
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


def _code(node: Any) -> Any:
    """A syntax tree as nested tuples, without docstrings, positions and fields that differ between Python versions."""
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
