"""What planning knows of networks without importing torch: ``models/networks.csv``, and what processes have measured.

A draft is a network that the CSV does not list: one of a plug-in, or a new one in ``models/``. A process builds and
measures it once. So it does with a network whose name only fits the pattern of a family, as ``wrn-22-3`` and
``torchvision/resnet18``, when it is first asked for.
"""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from benchmark.errors import UserError
from benchmark.files import LONGEST_WORD, write_atomically
from benchmark.ids import digest
from benchmark.registry import plugins
from benchmark.registry.description import described, run_module
from benchmark.registry.plugins import NETWORKS, ROOT, SourceFile
from benchmark.registry.source_hash import parsed
from benchmark.registry.syntax import network_names

# A network's name is part of a record's path and of pairs such as TEACHER--STUDENT and TEACHER:STUDENT.
_PLAIN = re.compile(r"[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*")
_SECONDS = 600.0


@dataclass(frozen=True)
class NetworkInfo:
    """One network, measured at its standard input size.

    Attributes:
        name: registry name.
        family: family name.
        params: number of parameters.
        macs: multiply-accumulates of one image's forward pass.
        in_size: input side in pixels at which the shapes hold.
        classes: number of classes at which the counts hold.
        feats: shapes of the feats as ``CxHxW`` joined by spaces.
        map: shape of the penultimate map.
        code: SHA-256 of the code of a draft, which is part of ids; empty for networks of the CSV.
        path: a draft's file.
        revision: of its code; part of ids from 2 on.
        package: name and version of the installed package whose network it is, which are part of ids; else empty.
    """

    name: str
    family: str
    params: int
    macs: int
    in_size: int
    classes: int
    feats: str
    map: str
    code: str = ""
    path: Path | None = None
    revision: int = 1
    package: str = ""


class Networks(Mapping[str, NetworkInfo]):
    """Networks by name. Those that only fit a pattern are measured when they are asked for, and are not listed.

    Args:
        listed: the networks to list.
    """

    def __init__(self, listed: Mapping[str, NetworkInfo]) -> None:
        self._listed = listed
        self._measured: dict[str, NetworkInfo] = {}

    def __getitem__(self, name: str) -> NetworkInfo:
        """The network of a name.

        Raises:
            KeyError: it is not listed and fits no pattern.
            UserError: it fits a pattern and cannot be built.
        """
        if name in self._listed:
            return self._listed[name]
        if name not in self._measured:
            file = next((file for pattern, file in self._patterns if re.fullmatch(pattern, name)), None)
            if file is None:
                raise KeyError(name)
            self._measured[name] = _measured(name, file)
        return self._measured[name]

    @cached_property
    def _patterns(self) -> list[tuple[str, SourceFile]]:
        return list(_patterns())

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


@cache
def settled() -> dict[str, NetworkInfo]:
    """The networks of ``models/networks.csv``."""
    text = (ROOT / "models" / "networks.csv").read_text(encoding="utf-8")
    return {info.name: info for info in _rows(text)}


def read_networks() -> Networks:
    """All networks by name, drafts included.

    Raises:
        UserError: a draft cannot be built, or has the name of another network.
    """
    known = dict(settled())
    for file in plugins.discovered(NETWORKS):
        if _is_settled(file):
            continue
        for measured in described(file, _rows):
            info = _draft(measured, file)
            if (other := known.get(info.name)) and not file.inside:
                raise UserError(f"network '{info.name}' of {file.path}: {other.path} registers one of that name, too")
            known.setdefault(info.name, info)
    return Networks(known)


def _draft(measured: NetworkInfo, file: SourceFile, package: str = "") -> NetworkInfo:
    """A network of a file whose code is part of ids.

    Raises:
        UserError: its name would break paths or pairs.
    """
    if not _PLAIN.fullmatch(measured.name.removeprefix(f"{package}/")) or len(measured.name) > LONGEST_WORD:
        raise UserError(
            f"{file.path}: network {measured.name!r}: a name is made of letters and digits, with single - or _ "
            f"between them, {LONGEST_WORD} characters at most"
        )
    return replace(measured, revision=1, code=file.code, path=file.path)


def _is_settled(file: SourceFile) -> bool:
    """Whether the project has settled the code of a file: the CSV has all networks that it lists."""
    return file.inside and {*network_names(parsed(file.path))} <= settled().keys()


def _patterns() -> Iterator[tuple[str, SourceFile]]:
    """The patterns of ``@register(pattern=...)``, each with its file."""
    for file in plugins.discovered(NETWORKS):
        for node in parsed(file.path).body:
            calls = [each for each in getattr(node, "decorator_list", ()) if isinstance(each, ast.Call)]
            keywords = [keyword for call in calls for keyword in call.keywords if keyword.arg == "pattern"]
            literals = [keyword.value.value for keyword in keywords if isinstance(keyword.value, ast.Constant)]
            yield from ((literal, file) for literal in literals if isinstance(literal, str))


def _measured(name: str, file: SourceFile) -> NetworkInfo:
    """A network that fits a pattern of a file, measured once for the file's code and the version of its package."""
    package, release = _package(name)
    kept = plugins.cache_folder() / "models.describe" / f"{digest([name, release, file.code])}.txt"
    try:
        [info] = _rows(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        answer = _asked(name, file)
        [info] = _rows(answer.decode())
        with suppress(UserError):  # planning works where nothing can be written, too
            write_atomically(kept, answer)
    info = info if _is_settled(file) else _draft(info, file, package)
    return replace(info, package=f"{package} {release}".strip())


def _asked(name: str, file: SourceFile) -> bytes:
    """What a process that builds the network prints."""
    plugin = {plugins.VARIABLE: "" if file.inside else str(file.path)}
    done = run_module("models.describe", "--network", name, seconds=_SECONDS, environment=plugin)
    if not done.returncode:
        return done.stdout
    words = done.stderr.decode(errors="replace").strip().splitlines() or ["no answer"]
    raise UserError(words[-1] if name in words[-1] else f"network '{name}' cannot be built: {words[-1]}")


def _package(name: str) -> tuple[str, str]:
    """The installed package whose network ``PACKAGE/NETWORK`` is, and its version; empty for other networks.

    Raises:
        UserError: the package is not installed.
    """
    package, slash, _ = name.partition("/")
    if not slash:
        return "", ""
    try:
        return package, version(package).partition("+")[0]  # the rest says how it was compiled
    except PackageNotFoundError:
        raise UserError(f"network '{name}' needs the package {package}: pip install {package}") from None


def _rows(text: str) -> list[NetworkInfo]:
    """The networks of a CSV text."""
    return [msgspec.convert(row, NetworkInfo, strict=False) for row in csv.DictReader(io.StringIO(text))]
