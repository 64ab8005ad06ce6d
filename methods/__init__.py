"""Distillation methods by the names of their files: ``load("kd")`` is the method of ``methods/kd.py``.

Methods from outside the project are found in the files that ``models.plugins`` names and by the entry points of
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

__all__ = ["Batch", "Method", "NotApplicableError", "Pair", "classes", "load", "names"]

GROUP = "srrl_bench.methods"
"""Group of the entry points of installed packages."""


def load(name: str) -> type[Method]:
    """The method of the file ``name``, or of the entry point of that name.

    Raises:
        ValueError: there is no such file, or it defines no method.
    """
    found = classes(name)
    if not found:
        raise ValueError(f"unknown method '{name}': known are {', '.join(names())}")
    return found[0]


def classes(name: str) -> list[type[Method]]:
    """All methods of the file or entry point ``name``; a file that keeps the contract defines one."""
    if name in _files():
        return _methods_of(import_module(f"{__name__}.{name}"))
    found = [method for path in plugins.files() if path.stem == name for method in _methods_of(plugins.load_file(path))]
    for point in () if found else entry_points(group=GROUP, name=name):
        loaded = point.load()
        found += _methods_of(loaded) if isinstance(loaded, ModuleType) else [loaded]
    return found


def names() -> list[str]:
    """Names of all methods, sorted; files without a method (helpers) are left out."""
    inside = [name for name in _files() if classes(name)]
    elsewhere = {*(path.stem for path in plugins.files()), *entry_points(group=GROUP).names} - {*_files()}
    return sorted([*inside, *filter(_is_usable, elsewhere)])


def _is_usable(name: str) -> bool:
    """Whether a method from outside can be loaded; a broken package offers none."""
    with suppress(ImportError, AttributeError):
        return bool(classes(name))
    return False


def _files() -> list[str]:
    return sorted(module.name for module in iter_modules(__path__))


def _methods_of(module: ModuleType) -> list[type[Method]]:
    """The methods that a module defines, without the abstract bases of its own methods."""
    found = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Method)]
    own = [cls for cls in dict.fromkeys(found) if cls.__module__ == module.__name__ and cls is not Method]
    return [cls for cls in own if not any(other is not cls and issubclass(other, cls) for other in own)]
