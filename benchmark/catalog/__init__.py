"""What planning knows of methods and networks without importing torch, one's own among them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from benchmark.catalog import plugins
from benchmark.catalog.literals import DRAFT, TUNED, MethodInfo, read_method
from benchmark.catalog.network_info import NetworkInfo, all_networks
from benchmark.catalog.plugins import ROOT
from benchmark.errors import UserError, unknown

__all__ = ["ROOT", "TUNED", "MethodInfo", "NetworkInfo", "applies", "method", "methods", "networks", "read_method"]

# What else tables call an objective or a cell.
_TAKEN = ("student", "teacher")


def methods() -> dict[str, MethodInfo]:
    """All methods by name: those of ``methods/``, of plug-ins and of installed packages.

    Raises:
        UserError: a method cannot be read, or has the name of another one.
    """
    return _methods(plugins.listed())


@cache
def _methods(_plugins: str) -> dict[str, MethodInfo]:
    files = sorted((ROOT / "methods").glob("*.py"))
    inside = [info for info in map(read_method, files) if info is not None]
    known = {info.name: _with_code(info) for info in inside}
    places = {path.stem: path for path in files}  # a helper's name is taken, too: it would be imported instead
    for info in plugins.found().methods:
        if info.name in _TAKEN:
            raise UserError(f"method '{info.name}' of {info.path}: tables call something else so: choose another name")
        if other := places.get(info.name):
            raise UserError(f"method '{info.name}' of {info.path}: {other} has that name, too: choose another one")
        places[info.name] = info.path
        known[info.name] = info
    return known


def _with_code(info: MethodInfo) -> MethodInfo:
    """A method of the project; the code of a draft is part of its identity, a revision stands for that of others."""
    if info.revision != DRAFT:
        return info
    return replace(info, code=plugins.method_code(info.path, f"methods.{info.name}"))


def method(name: str) -> MethodInfo:
    """One method by name; an unknown one is an error that names its nearest neighbour."""
    known = methods()
    if name not in known:
        raise unknown("method", name, ["student", *known])
    return known[name]


def networks() -> dict[str, NetworkInfo]:
    """All networks by name: those of ``models/networks.csv``, and drafts, which are measured once.

    Raises:
        UserError: a network cannot be measured, or has the name of another one.
    """
    return all_networks()


def applies(method: MethodInfo, student: NetworkInfo, teacher: NetworkInfo) -> bool:
    """Whether the method can be applied to two networks: taps paired from the stem on may need equal channels."""
    if "equal_channels" not in method.requires:
        return True
    pairs = zip(student.taps.split(), teacher.taps.split(), strict=False)
    return all(mine.split("x")[0] == theirs.split("x")[0] for mine, theirs in pairs)
