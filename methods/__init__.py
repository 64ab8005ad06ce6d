"""Distillation methods, found by their files' names: ``load("kd")`` returns the method of ``methods/kd.py``.

Methods outside the project are found in the files that ``models.plugins`` lists and by the entry points of installed
packages.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from types import ModuleType

from methods.base import Batch, Method, NotApplicableError, Pair
from models import plugins

__all__ = ["Batch", "Method", "NotApplicableError", "Pair", "load", "names"]

GROUP = "srrl_bench.methods"
"""Entry point group by which installed packages offer methods."""


def load(name: str) -> type[Method]:
    """The method class of the file or the entry point ``name``.

    Raises:
        ValueError: no file or entry point of that name defines a method.
    """
    found = _methods_of(import_module(f"{__name__}.{name}")) if name in _files() else _outside(name)
    if not found:
        raise ValueError(f"unknown method '{name}': known are {', '.join(names())}")
    return found[0]


def names() -> list[str]:
    """Names of all methods, sorted; helper files, which define no method, are left out."""
    inside = [name for name in _files() if _methods_of(import_module(f"{__name__}.{name}"))]
    elsewhere = {*(path.stem for path in plugins.files()), *entry_points(group=GROUP).names} - {*_files()}
    return sorted([*inside, *filter(_is_usable, elsewhere)])


def _is_usable(name: str) -> bool:
    """Whether a plug-in or package defines a method of that name; a package that cannot be imported does not."""
    with suppress(ImportError, AttributeError):
        return bool(_outside(name))
    return False


def _outside(name: str) -> list[type[Method]]:
    """The methods of that name in plug-ins, or else in installed packages."""
    found = [method for path in plugins.files() if path.stem == name for method in _methods_of(plugins.load_file(path))]
    for point in () if found else entry_points(group=GROUP, name=name):
        loaded = point.load()
        found += _methods_of(loaded) if isinstance(loaded, ModuleType) else [loaded]
    return found


def _files() -> list[str]:
    return sorted(module.name for module in iter_modules(__path__))


def _methods_of(module: ModuleType) -> list[type[Method]]:
    classes = (value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Method))
    return [cls for cls in classes if cls.__module__ == module.__name__ and cls is not Method]
