"""Find the Python files that define methods, networks and data sets, without importing them.

They lie in the project's folders, are named with ``--plugin`` (kept in an environment variable, which reaches every
process that a command starts, and which ``methods`` and ``models`` read as well), or are entry points of installed
packages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from benchmark.errors import UserError
from benchmark.files import expanded
from benchmark.registry.source_hash import code_of, module_file, parsed
from benchmark.registry.syntax import declares_datasets, method_classes, network_names

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("benchmark", "methods", "models")
"""The packages of the project, where no plug-in may lie."""
VARIABLE = "SRRL_BENCH_PLUGINS"
"""Names the plug-ins, separated like the folders of PATH."""
CACHE_VARIABLE = "SRRL_BENCH_CACHE"
"""Names the folder of cached descriptions of methods and networks."""
GROUP = "srrl_bench.methods"
"""Group of entry points: a method's name, and its ``package.module`` or ``package.module:Class``."""
METHOD, NETWORKS, DATASETS = "a method", "networks", "data sets"
"""Kinds of files, as errors call them."""

_FOLDERS = {METHOD: "methods", NETWORKS: "models", DATASETS: "benchmark/data"}
# Text that the project's files of a kind contain: searching for it is faster than parsing every file.
_MARKS = {NETWORKS: r"^@(\w+\.)*register\(", DATASETS: r"^SOURCES\b"}
# Files that define the contracts and find methods and networks; results do not depend on them.
_APART = (
    "benchmark",
    *(f"methods/{name}" for name in ("__init__.py", "base.py")),
    *(f"models/{name}" for name in ("__init__.py", "features.py", "published.py", "registry.py")),
)


@dataclass(frozen=True)
class SourceFile:
    """A Python file that defines a method, networks or data sets.

    Attributes:
        kind: `METHOD`, `NETWORKS` or `DATASETS`. A file of ``methods/`` may be a helper without a method.
        path: the file.
        entry: name of the entry point; empty for files of the project and plug-ins.
        attribute: the class that the entry point names, if any.
        package: folder of the installed package that contains the file; None for single modules and all others.
        distribution: name of the installed package.
        fault: why an entry point leads to no file; empty where it leads to one.
    """

    kind: str
    path: Path
    entry: str = ""
    attribute: str = ""
    package: Path | None = None
    distribution: str = ""
    fault: str = ""

    @property
    def name(self) -> str:
        """The method's name."""
        return self.entry or self.path.stem

    @property
    def inside(self) -> bool:
        """Whether the file is part of the project."""
        return not self.entry and self.path.parent == ROOT / _FOLDERS[self.kind]

    @cached_property
    def code(self) -> str:
        """SHA-256 of the file's code and of the code that it imports; see `own_code`."""
        return own_code(self.path, self.package)


def export(paths: Sequence[Path | str], cache_dir: Path | None = None) -> None:
    """Add plug-ins to the environment variable, for this process and all that it starts.

    Args:
        paths: Python files.
        cache_dir: the folder of cached descriptions; None for the default.
    """
    named = [*filter(None, listed().split(os.pathsep)), *paths]
    files = [str(expanded(path).resolve()) for path in named]
    if files:
        os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys(files))
    if cache_dir is not None:
        os.environ[CACHE_VARIABLE] = str(cache_dir.resolve())


def listed() -> str:
    """The value of the environment variable: the key of everything that is cached about plug-ins."""
    return os.environ.get(VARIABLE, "")


def cache_folder() -> Path:
    """The folder of cached descriptions."""
    return Path(os.environ.get(CACHE_VARIABLE, ROOT / ".cache"))


def discovered(kind: str) -> list[SourceFile]:
    """The files of a kind: of the project, then plug-ins, then those of installed packages.

    They are looked for once per process and list of plug-ins.

    Raises:
        UserError: a plug-in cannot be used.
    """
    return [file for file in _discovered(listed()) if file.kind == kind]


@cache
def _discovered(files: str) -> tuple[SourceFile, ...]:
    inside = [
        SourceFile(kind, path)
        for kind, folder in _FOLDERS.items()
        for path in sorted((ROOT / folder).glob("*.py"))
        if kind == METHOD or re.search(_MARKS[kind], path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    return (*inside, *(_plugin(Path(file).resolve()) for file in files.split(os.pathsep) if file), *_installed())


def invalidate() -> None:
    """Look for files again on the next call, as after this process has written or installed some."""
    _discovered.cache_clear()


def _plugin(path: Path) -> SourceFile:
    if not path.is_file() or path.suffix != ".py":
        raise UserError(f"--plugin {path}: there is no such Python file")
    if any(path.is_relative_to(ROOT / folder) for folder in PACKAGES):
        raise UserError(f"--plugin {path}: the project finds files of its own folders: leave the option out")
    tree = parsed(path)
    contents = {METHOD: method_classes(tree), NETWORKS: network_names(tree), DATASETS: declares_datasets(tree)}
    held = [kind for kind, content in contents.items() if content]
    if len(held) > 1:
        raise UserError(f"--plugin {path}: it holds {' and '.join(held)}: put each into a file of its own")
    return SourceFile(held[0] if held else METHOD, path)


def _installed() -> Iterator[SourceFile]:
    points = entry_points(group=GROUP)
    for point in sorted(points):
        package = point.dist.name if point.dist else point.module
        file = SourceFile(METHOD, Path(), point.name, point.attr or "", None, package)
        if len(points.select(name=point.name)) > 1:
            yield replace(file, fault="more than one package has an entry point of that name")
        else:
            yield _located(file, point.module)


def _located(file: SourceFile, module: str) -> SourceFile:
    """An entry point with the path of its module; the package is not imported."""
    top, *rest = module.split(".")
    spec = find_spec(top)
    for folder in map(Path, (spec and spec.submodule_search_locations) or ()):
        if path := module_file(folder, rest):
            return replace(file, path=path, package=folder)
    if spec and spec.origin and not rest:
        return replace(file, path=Path(spec.origin))
    return replace(file, fault=f"there is no module {module}")


def own_code(path: Path, package: Path | None = None) -> str:
    """SHA-256 of the code on which results with a file depend, as the files are now.

    The code is that of the file and of what it imports, directly or through others, from the project's methods and
    networks and from its own package. A file outside of packages may import modules from its own folder.

    Args:
        path: the file.
        package: folder of the installed package that contains it; None for files of the project and plug-ins.

    Raises:
        UserError: one of the files cannot be read.
    """
    project = {name: ROOT / name for name in ("methods", "models")}
    apart = [ROOT / place for place in _APART]
    package = package or next((folder for folder in project.values() if folder == path.parent), None)
    if package is not None:
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        return code_of(path, module, {**project, package.name: package}, apart)
    installed = any(path.parent.glob("*.dist-info"))  # then all installed packages lie in that folder
    return code_of(path, path.stem, project, apart, None if installed else path.parent)


@cache
def loaded_code(path: Path, package: Path | None = None) -> str:
    """`own_code`, computed once per process, right after the process loaded the file: later edits do not run in it."""
    return own_code(path, package)
