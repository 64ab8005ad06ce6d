"""What planning knows of methods and networks without importing torch, one's own among them."""

from __future__ import annotations

from functools import cache

from benchmark.errors import UserError, unknown
from benchmark.registry import plugins
from benchmark.registry.method_info import STUDENT, TEACHER, TUNED, MethodInfo, read_method
from benchmark.registry.network_info import NetworkInfo, all_networks
from benchmark.registry.plugins import ROOT

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
    """All methods by name that can be read: those of ``methods/``, of plug-ins and of installed packages.

    Raises:
        UserError: a plug-in cannot be read, or has the name of another method.
    """
    return _methods(plugins.listed())


@cache
def _methods(_plugins: str) -> dict[str, MethodInfo]:
    found = plugins.found()
    return {info.name: info for info in (*found.inside, *found.methods)}


def method(name: str) -> MethodInfo:
    """One method by name.

    Raises:
        UserError: there is none, and which one is nearest; or its file cannot be read, and why.
    """
    known = methods()
    if fault := plugins.found().unreadable.get(name):
        raise UserError(fault)
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
    """Whether the method can be applied to two networks: feats paired from the stem on may need equal channels."""
    if "equal_channels" not in method.requires:
        return True
    pairs = zip(student.feats.split(), teacher.feats.split(), strict=False)
    return all(mine.split("x")[0] == theirs.split("x")[0] for mine, theirs in pairs)
