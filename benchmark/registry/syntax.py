"""Read from syntax trees what files define: planning imports neither them nor torch."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from itertools import chain

_REGISTER = ("models.register", "models.registry.register")
# ``Method`` from anywhere, or a class of another method's file.
_METHOD = re.compile(r"(.*\.)?Method|methods\.(?!base\.)\w+\..+")


def method_classes(tree: ast.Module) -> list[ast.ClassDef]:
    """Classes of a file that derive from ``Method`` or may do so through a class of another method's file.

    A class from which another class of the file derives is left out: it is an abstract base.
    """
    origins = _origins(tree, "methods")
    found: dict[str, ast.ClassDef] = {}
    abstract: set[str] = set()
    for node in tree.body:
        bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
        if isinstance(node, ast.ClassDef) and any(
            base in found or _METHOD.fullmatch(_resolved(base, origins)) for base in bases
        ):
            abstract.update(bases)
            found[node.name] = node
    return [node for name, node in found.items() if name not in abstract]


def has_subclass(tree: ast.Module) -> bool:
    """Whether a class of the file has a base: it may be a method even where the syntax does not show it."""
    return any(isinstance(node, ast.ClassDef) and node.bases for node in tree.body)


def network_names(tree: ast.Module) -> list[str]:
    """Names that a file registers with ``models.register``, or their expressions where they are no literals.

    Names may be the items, or keys, of a literal at the top of the file, as in ``@register(*SIZES)``.
    """
    origins = _origins(tree, "models")
    decorators = [each for node in tree.body if isinstance(node, ast.FunctionDef) for each in node.decorator_list]
    calls = [each for each in decorators if isinstance(each, ast.Call)]
    arguments = [call.args for call in calls if _resolved(ast.unparse(call.func), origins) in _REGISTER]
    assigned = [(ast.unparse(node.targets[0]), node.value) for node in tree.body if isinstance(node, ast.Assign)]
    tops = {f"*{name}": getattr(value, "keys", getattr(value, "elts", [value])) for name, value in assigned}
    items = (item for each in chain.from_iterable(arguments) for item in tops.get(ast.unparse(each), [each]))
    names = (item.value if isinstance(item, ast.Constant) else ast.unparse(item) for item in items)
    return [str(name) for name in names]


def declares_datasets(tree: ast.Module) -> bool:
    """Whether a file assigns ``SOURCES``."""
    assigned = (node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)] for node in tree.body)
    return any(isinstance(target, ast.Name) and target.id == "SOURCES" for target in chain.from_iterable(assigned))


def _resolved(name: str, origins: Mapping[str, str]) -> str:
    """A dotted name with its first part replaced by the module or object that the file imports under it."""
    first, dot, rest = name.partition(".")
    return f"{origins.get(first, first)}{dot}{rest}"


def _origins(tree: ast.Module, package: str) -> dict[str, str]:
    """Full names of what a file imports, by the names it imports them under; relative imports start at the package."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*([package] if node.level else []), *([node.module] if node.module else [])])
            found |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
    return found
