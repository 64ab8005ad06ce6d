"""What planning knows of methods and networks without importing torch, one's own among them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from benchmark.catalog import plugins
from benchmark.catalog.literals import DRAFT, STUDENT, TEACHER, TUNED, MethodInfo, read_method
from benchmark.catalog.network_info import NetworkInfo, all_networks
from benchmark.catalog.plugins import ROOT
from benchmark.errors import unknown

__all__ = [
    "ROOT",
    "STUDENT",
    "TEACHER",
    "TUNED",
    "MethodInfo",
    "NetworkInfo",
    "applies",
    "method",
    "methods",
    "networks",
    "read_method",
]


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
    return known | {info.name: info for info in plugins.found().methods}


def _with_code(info: MethodInfo) -> MethodInfo:
    """A method of the project; the code of a draft is part of its identity, a revision stands for that of others."""
    if info.revision != DRAFT:
        return info
    return replace(info, code=plugins.own_code(info.path))


def method(name: str) -> MethodInfo:
    """One method by name; an unknown one is an error that names its nearest neighbour."""
    known = methods()
    if name not in known:
        raise unknown("method", name, [STUDENT, *known])
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
