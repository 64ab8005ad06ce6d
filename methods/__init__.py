"""Distillation methods, found by their files' names: ``load("kd")`` is the one method of ``methods/kd.py``."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from methods.base import Batch, Method, NotApplicableError, Pair

__all__ = ["Batch", "Method", "NotApplicableError", "Pair", "load", "names"]


def load(name: str) -> type[Method]:
    """The method that the file ``name`` defines.

    Raises:
        ValueError: there is no such file, or it defines no method.
    """
    found = _methods_of(import_module(f"{__name__}.{name}")) if name in _files() else []
    if not found:
        raise ValueError(f"unknown method '{name}': known are {', '.join(names())}")
    return found[0]


def names() -> list[str]:
    """Names of all methods, sorted; files without a method (helpers) are left out."""
    return [name for name in _files() if _methods_of(import_module(f"{__name__}.{name}"))]


def _files() -> list[str]:
    return sorted(module.name for module in iter_modules(__path__))


def _methods_of(module: ModuleType) -> list[type[Method]]:
    classes = (value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Method))
    return [cls for cls in classes if cls.__module__ == module.__name__ and cls is not Method]
