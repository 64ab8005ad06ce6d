"""Methods and networks by name, as planning knows them without importing torch."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from benchmark.errors import UserError, unknown
from benchmark.registry import plugins
from benchmark.registry.method_info import STUDENT, TEACHER, TUNED, MethodInfo, read_method
from benchmark.registry.network_info import NetworkInfo, Networks, read_networks
from benchmark.registry.plugins import METHOD, ROOT, SourceFile

__all__ = [
    "ROOT",
    "STUDENT",
    "TEACHER",
    "TUNED",
    "MethodInfo",
    "NetworkInfo",
    "applies",
    "invalidate_caches",
    "method",
    "methods",
    "networks",
    "read_method",
    "use",
]

_PLAIN = re.compile(r"[a-z][a-z0-9_]*")


def use(paths: Sequence[Path | str], cache_dir: Path | None = None) -> None:
    """Make plug-ins known to this process and all that it starts, and warn of methods that cannot be read.

    Args:
        paths: Python files, each with a method, networks or data sets, besides those that the environment names.
        cache_dir: the folder of cached descriptions; None for the default.

    Raises:
        UserError: a plug-in does not exist, cannot be read or defines nothing.
    """
    plugins.export(paths, cache_dir)
    for problem in _methods(plugins.listed())[1].values():
        warnings.warn(problem, stacklevel=2)


def methods() -> dict[str, MethodInfo]:
    """All readable methods by name: those of ``methods/``, of plug-ins and of installed packages.

    Raises:
        UserError: a plug-in cannot be read, or has the name of another method.
    """
    return _methods(plugins.listed())[0]


def method(name: str) -> MethodInfo:
    """One method by name.

    Raises:
        UserError: it is unknown, with the nearest known name; or its file cannot be read.
    """
    known, problems = _methods(plugins.listed())
    if name in known:
        return known[name]
    if name in problems:
        raise UserError(problems[name])
    raise unknown("method", name, [STUDENT, *known])


def networks() -> Networks:
    """All networks by name: those of ``models/networks.csv``, and drafts, which are measured once.

    Raises:
        UserError: a draft cannot be built, or has the name of another network.
    """
    return _networks(plugins.listed())


def invalidate_caches() -> None:
    """Find and read all files again on the next call, as after this process has written or installed some."""
    for known in (plugins.invalidate, _methods.cache_clear, _networks.cache_clear):
        known()


def applies(method: MethodInfo, student: NetworkInfo, teacher: NetworkInfo) -> bool:
    """Whether two networks meet a method's requirements; some methods need equal channels in all paired feats."""
    if "equal_channels" not in method.requires:
        return True
    pairs = zip(student.feats.split(), teacher.feats.split(), strict=False)  # from the stem on
    return all(mine.split("x")[0] == theirs.split("x")[0] for mine, theirs in pairs)


@cache
def _networks(_plugins: str) -> Networks:
    return read_networks()


@cache
def _methods(_plugins: str) -> tuple[dict[str, MethodInfo], dict[str, str]]:
    """Methods by name, and why others of the project and of packages are left out: that fails no other command."""
    files = plugins.discovered(METHOD)
    # A helper's name is taken as well: ``methods.load`` would import the helper.
    places = {file.name: file.path for file in files if file.inside}
    known: dict[str, MethodInfo] = {}
    problems: dict[str, str] = {}
    for file in files:
        try:
            if info := _read(file, places):
                known[info.name] = info
                places[info.name] = info.path
        except UserError as error:
            if not file.inside and not file.entry:
                raise
            package = f" of the package {file.distribution}" if file.entry else ""
            problems[file.name] = f"method '{file.name}'{package} is left out: {error}"
    return known, problems


def _read(file: SourceFile, places: dict[str, Path]) -> MethodInfo | None:
    """The method of a file, or None for a helper of the project."""
    if file.fault:
        raise UserError(file.fault)
    info = read_method(file)
    if info is None and not file.inside:
        raise UserError(
            f"{file.path}: it holds no method (a class of Method), no networks (@register, imported from models, on a "
            "function) and no data sets (SOURCES)"
        )
    if info is None:
        return None
    if file.name in (STUDENT, TEACHER):
        fault = f"'{STUDENT}' and '{TEACHER}' are reserved names"
    elif file.name in places and not file.inside:
        fault = f"{places[file.name]} has that name, too"
    elif not _PLAIN.fullmatch(file.name):
        fault = "a method's name is made of small letters, digits and _"
    else:
        return info
    raise UserError(f"method '{file.name}' of {file.path}: {fault}: choose another name")
