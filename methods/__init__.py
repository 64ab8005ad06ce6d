"""Distillation methods, found by their files' names: ``load("kd")`` is the one method of ``methods/kd.py``.

Methods from outside the project are found, too: in the files that ``models.plugins`` names, and by the entry points of
installed packages.
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
"""Entry points by which installed packages state methods."""


def load(name: str) -> type[Method]:
    """The method that the file ``name`` defines, or the entry point of that name.

    Raises:
        ValueError: there is no such file, or it defines no method.
    """
    found = _methods_of(import_module(f"{__name__}.{name}")) if name in _files() else _outside(name)
    if not found:
        raise ValueError(f"unknown method '{name}': known are {', '.join(names())}")
    return found[0]


def names() -> list[str]:
    """Names of all methods, sorted; files without a method (helpers) are left out."""
    inside = [name for name in _files() if _methods_of(import_module(f"{__name__}.{name}"))]
    elsewhere = {*(path.stem for path in plugins.files()), *entry_points(group=GROUP).names} - {*_files()}
    return sorted([*inside, *filter(_is_usable, elsewhere)])


def _is_usable(name: str) -> bool:
    """Whether there is a method of that name outside; a package that is broken offers none."""
    with suppress(ImportError, AttributeError):
        return bool(_outside(name))
    return False


def _outside(name: str) -> list[type[Method]]:
    """The methods of that name in plug-ins, or in installed packages if there are none."""
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
