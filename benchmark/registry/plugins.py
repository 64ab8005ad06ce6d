"""Methods, networks and data sets of one's own, from files outside the project and from installed packages.

Which files, an environment variable says: so it reaches every process that works for a command, and ``methods`` and
``models`` read it themselves. Packages state methods as entry points. Nothing is imported here: what a file holds is
read from its syntax tree.
"""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from benchmark.errors import UserError
from benchmark.files import expanded
from benchmark.registry.method_info import DRAFT, STUDENT, TEACHER, MethodInfo, method_classes, read_method, registered
from benchmark.registry.source_hash import code_of, module_file, parsed

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("benchmark", "methods", "models")
"""The project's own, where no plug-in may lie."""
VARIABLE = "SRRL_BENCH_PLUGINS"
"""Names the files, between the signs that separate the folders of PATH; ``models.plugins`` reads it, too."""
CACHE_VARIABLE = "SRRL_BENCH_CACHE"
"""Names the folder where what is found out about one's own networks is kept."""
GROUP = "srrl_bench.methods"
"""Entry points: a method's name, and its ``package.module`` or ``package.module:Class``."""

_PLAIN = re.compile(r"[a-z][a-z0-9_]*")
_PROJECT = {name: ROOT / name for name in ("methods", "models")}
# What states, finds and reads methods and networks computes nothing of them.
_APART = (
    ROOT / "benchmark",
    *(_PROJECT["methods"] / name for name in ("__init__.py", "base.py")),
    *(_PROJECT["models"] / name for name in ("__init__.py", "features.py", "published.py", "registry.py")),
)


@dataclass(frozen=True)
class OwnFile:
    """A file with networks or a data set.

    Attributes:
        path: the file.
        code: SHA-256 of its code and of what it imports of one's own.
        names: of the networks; none of a data set, which only the file itself knows.
    """

    path: Path
    code: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """Methods of the project, and what there is outside it.

    Attributes:
        methods: from outside, with the code of their files.
        networks: files that register some.
        datasets: files that assign ``SOURCES``.
        problems: entry points and files of ``methods/`` that cannot be used, as sentences.
        inside: methods of the project, drafts with their code.
        unreadable: what is wrong with other files of ``methods/``, by the names of their methods.
    """

    methods: tuple[MethodInfo, ...]
    networks: tuple[OwnFile, ...]
    datasets: tuple[OwnFile, ...]
    problems: tuple[str, ...]
    inside: tuple[MethodInfo, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)


def use(paths: Sequence[Path | str], cache_dir: Path | None = None) -> None:
    """Make files known to this process and all that it starts, besides those that the environment names.

    Args:
        paths: Python files, each with a method, with networks or with data sets.
        cache_dir: where what is found out about networks is kept; None for the default.

    Raises:
        UserError: a file is not there, cannot be read or holds nothing of these.
    """
    named = [*map(Path, filter(None, listed().split(os.pathsep))), *map(Path, paths)]
    files = [str(expanded(path).resolve()) for path in named]
    if wrong := next((file for file in files if os.pathsep in file), None):
        raise UserError(f"--plugin {wrong}: the path of a plug-in may not contain '{os.pathsep}'")
    if files:
        os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys(files))
    if cache_dir is not None:
        os.environ[CACHE_VARIABLE] = str(cache_dir.resolve())
    for problem in found().problems:
        warnings.warn(problem, stacklevel=2)


def listed() -> str:
    """What the environment variable says: what is remembered of plug-ins is remembered by it."""
    return os.environ.get(VARIABLE, "")


def cache_folder() -> Path:
    """Where what is found out about one's own networks is kept."""
    return Path(os.environ.get(CACHE_VARIABLE, ROOT / ".cache"))


def found() -> Found:
    """Methods of the project, and what there is outside it.

    Raises:
        UserError: a file that the environment names cannot be used.
    """
    return _found(listed())


@cache
def _found(files: str) -> Found:
    # A helper's name is taken, too: it would be imported instead.
    places = {path.stem: path for path in sorted(_PROJECT["methods"].glob("*.py"))}
    methods: list[MethodInfo] = []
    networks: list[OwnFile] = []
    datasets: list[OwnFile] = []
    for path in (Path(file).resolve() for file in files.split(os.pathsep) if file):
        tree = _tree(path)
        held = _held(path, tree)
        if held == "a method":
            methods.append(_method(path, places))
            places[path.stem] = path
        elif held == "networks":
            networks.append(OwnFile(path, own_code(path), registered(tree, path)))
        else:
            datasets.append(OwnFile(path, own_code(path)))
    installed, problems = _installed(places)
    inside, unreadable = _inside()
    problems += tuple(f"method '{name}' is left out: {fault}" for name, fault in unreadable.items())
    return Found((*methods, *installed), tuple(networks), tuple(datasets), problems, inside, unreadable)


def _inside() -> tuple[tuple[MethodInfo, ...], dict[str, str]]:
    """Methods of the project, and what is wrong with the others: who wants none of these need not mend them."""
    methods, unreadable = [], {}
    for path in sorted(_PROJECT["methods"].glob("*.py")):
        try:
            info = read_method(path)
            if info is not None:
                _check_name(info.name, "the file must be renamed")
                # The code of a draft is part of its identity, a revision stands for that of others.
                methods.append(replace(info, code=own_code(path)) if info.revision == DRAFT else info)
        except UserError as error:
            unreadable[path.stem] = str(error)
    return tuple(methods), unreadable


def _tree(path: Path) -> ast.Module:
    if not path.is_file() or path.suffix != ".py":
        raise UserError(f"--plugin {path}: there is no such Python file")
    if any(path.is_relative_to(ROOT / folder) for folder in PACKAGES):
        raise UserError(f"--plugin {path}: what lies there is found by itself: leave the option out")
    return parsed(path)


def _held(path: Path, tree: ast.Module) -> str:
    """What a file holds."""
    kinds = {
        "a method": bool(method_classes(tree)),
        "networks": bool(registered(tree, path)),
        "data sets": any(_assigns_sources(node) for node in tree.body),
    }
    held = [kind for kind, there in kinds.items() if there]
    if not held:
        raise UserError(
            f"--plugin {path}: it holds no method (a class of Method), no networks (@register, imported from models, "
            "on a function) and no data sets (SOURCES)"
        )
    if len(held) > 1:
        raise UserError(f"--plugin {path}: it holds {' and '.join(held)}: put each into a file of its own")
    return held[0]


def _assigns_sources(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(target, ast.Name) and target.id == "SOURCES" for target in targets)


def _method(path: Path, places: Mapping[str, Path]) -> MethodInfo:
    info = read_method(path)
    assert info is not None
    _check_name(path.stem, f"{path}: rename the file")
    _check_free(path.stem, places, f"method '{path.stem}' of {path}: ")
    return replace(info, code=own_code(path))


def own_code(path: Path, package: Path | None = None) -> str:
    """SHA-256 of the code that results rest on, as it stands in its files now.

    These are a file and what it imports, step by step: of the project's methods and networks, and of its own package.
    A file outside of packages may import what lies beside it.

    Args:
        path: the file, with a method, with networks or with data sets.
        package: the folder of the package that it is part of, unless that is one of the project's.

    Raises:
        UserError: one of the files cannot be read.
    """
    package = package or next((folder for folder in _PROJECT.values() if folder == path.parent), None)
    if package is not None:
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        return code_of(path, module, {**_PROJECT, package.name: package}, _APART)
    installed = any(path.parent.glob("*.dist-info"))  # then all packages lie beside it
    return code_of(path, path.stem, _PROJECT, _APART, None if installed else path.parent)


@cache
def loaded_code(path: Path, package: Path | None = None) -> str:
    """The same, asked once a process, right after it loaded the file: what is edited later does not run in it."""
    return own_code(path, package)


def _check_name(name: str, advice: str) -> None:
    if not _PLAIN.fullmatch(name):
        raise UserError(f"{advice}: a method's name is made of small letters, digits and _, not '{name}'")


def _check_free(name: str, places: Mapping[str, Path | str], whose: str = "") -> None:
    if name in (STUDENT, TEACHER):
        raise UserError(f"{whose}tables call something else so: choose another name")
    if name in places:
        raise UserError(f"{whose}{places[name]} has that name, too: choose another one")


def _installed(places: Mapping[str, Path | str]) -> tuple[tuple[MethodInfo, ...], tuple[str, ...]]:
    """Methods of packages, and what is wrong with the others: nobody's command fails for a package that is broken.

    Args:
        places: files whose names are taken.
    """
    methods, problems = [], []
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    several = [name for name, count in Counter(point.name for point in points).items() if count > 1]
    places = {**places, **dict.fromkeys(several, "another entry point")}
    for point in points:
        try:
            _check_free(point.name, places)
            methods.append(_of_package(point))
        except UserError as error:
            package = point.dist.name if point.dist else point.value
            problems.append(f"method '{point.name}' of the package {package} is left out: {error}")
    return tuple(methods), tuple(problems)


def _of_package(point: EntryPoint) -> MethodInfo:
    _check_name(point.name, "its entry point must be renamed")
    top, *rest = point.module.split(".")
    for folder in _folders(top):
        path = module_file(folder, rest) if folder.is_dir() else None if rest else folder
        if path is not None:
            package = folder if folder.is_dir() else None
            info = read_method(path, point.name, point.attr or "")
            if info is None:
                raise UserError(f"{path} holds no class {point.attr or ''} of Method".replace("  ", " "))
            return replace(info, package=package, code=own_code(path, package))
    raise UserError(f"there is no module {point.module}")


def _folders(top: str) -> Iterator[Path]:
    """Where a package lies, or the file of a single module; found, not imported."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    if spec.submodule_search_locations is not None:
        yield from map(Path, spec.submodule_search_locations)
    elif spec.origin and Path(spec.origin).is_file():
        yield Path(spec.origin)
