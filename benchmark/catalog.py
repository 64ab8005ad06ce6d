"""What planning knows of methods and networks without importing torch.

Methods are read from their files' syntax trees, networks from ``models/networks.csv``.
"""

from __future__ import annotations

import ast
import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from benchmark.errors import UserError, unknown

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ("teacher_in_train_mode", "equal_channels")
"""What a method may need beyond the common: of the trainer, or of the two networks."""

FIRST_STAGES = ("", "student", "teacher")
"""Whose features a method's first stage trains on; most have none."""

TUNED = "tuned"
"""The variant that chooses among a method's candidates."""

_DECLARED = (
    "title",
    "citation",
    "revision",
    "objective",
    "variants",
    "choices",
    "requires",
    "first_stage",
    "candidates",
)


@dataclass(frozen=True)
class MethodInfo:
    """The literals of one method's class.

    Attributes:
        name: the file's stem, the method's name everywhere.
        title: its name in tables.
        citation: its source.
        revision: raised when a change of code changes results.
        objective: default weights, ``ce`` and ``weight``.
        variants: short names for sets of options.
        choices: what an option may be, where that is a few words.
        requires: what the trainer must supply, or the networks must have.
        first_stage: whose first stage comes before a run: "student", "teacher", or none if empty.
        candidates: sets of options among which ``NAME[tuned]`` chooses.
        options: every option with its default.
        code: SHA-256 of the file's syntax tree without docstrings.
    """

    name: str
    title: str
    citation: str
    code: str
    revision: int = 1
    objective: Mapping[str, float] = field(default_factory=lambda: {"ce": 1.0, "weight": 1.0})
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    first_stage: str = ""
    candidates: tuple[Mapping[str, Any], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkInfo:
    """One line of ``models/networks.csv``, measured at its standard input size.

    Attributes:
        name: registry name.
        family: family name.
        params: trainable scalars.
        macs: multiply-accumulates of one image's forward pass.
        in_size: input side in pixels at which the shapes hold.
        classes: number of classes at which the counts hold.
        taps: shapes of the taps as ``CxHxW`` joined by spaces.
        map: shape of the penultimate map.
    """

    name: str
    family: str
    params: int
    macs: int
    in_size: int
    classes: int
    taps: str
    map: str


@cache
def methods() -> dict[str, MethodInfo]:
    """All methods of ``methods/`` by name."""
    found = (read_method(path) for path in sorted((ROOT / "methods").glob("*.py")))
    return {info.name: info for info in found if info is not None}


def method(name: str) -> MethodInfo:
    """One method by name; an unknown one is an error that names its nearest neighbour."""
    if name not in methods():
        raise unknown("method", name, ["student", *methods()])
    return methods()[name]


@cache
def networks() -> dict[str, NetworkInfo]:
    """All networks that tables name, by name."""
    with (ROOT / "models" / "networks.csv").open(newline="", encoding="utf-8") as file:
        return {
            row["name"]: NetworkInfo(
                name=row["name"],
                family=row["family"],
                params=int(row["params"]),
                macs=int(row["macs"]),
                in_size=int(row["in_size"]),
                classes=int(row["classes"]),
                taps=row["taps"],
                map=row["map"],
            )
            for row in csv.DictReader(file)
        }


def applies(method: MethodInfo, student: NetworkInfo, teacher: NetworkInfo) -> bool:
    """Whether the method can be applied to two networks: taps paired from the stem on may need equal channels."""
    if "equal_channels" not in method.requires:
        return True
    pairs = zip(student.taps.split(), teacher.taps.split(), strict=False)
    return all(mine.split("x")[0] == theirs.split("x")[0] for mine, theirs in pairs)


def read_method(path: Path) -> MethodInfo | None:
    """The method that a file defines, or None if it defines none.

    Raises:
        UserError: the file defines several methods, or a class attribute is no literal.
    """
    tree = _parsed(path)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and _is_method(node)]
    if not classes:
        return None
    if len(classes) > 1:
        raise UserError(f"{path}: one file holds one method, this one holds {len(classes)}")
    literals = dict(_literals(path, classes[0]))
    missing = {"title", "citation"} - set(literals)
    if missing:
        raise UserError(f"{path}: the method lacks the class attribute '{min(missing)}'")
    known = {key: literals[key] for key in _DECLARED if key in literals}
    for key in ("requires", "candidates"):
        if isinstance(known.get(key), list):
            known[key] = tuple(known[key])
    options = dict(_options(path, classes[0]))
    _check_literals(path, known)
    _check_candidates(path, known, options)
    return MethodInfo(**known, name=path.stem, options=options, code=_code_hash(tree))


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: this is no Python that can be read ({error})") from None


def _check_literals(path: Path, known: Mapping[str, Any]) -> None:
    for requirement in known.get("requires", ()):
        if requirement not in REQUIREMENTS:
            raise unknown(f"requirement in {path}", requirement, REQUIREMENTS)
    if known.get("first_stage", "") not in FIRST_STAGES:
        raise unknown(f"first_stage in {path}", str(known["first_stage"]), FIRST_STAGES[1:])
    weights = known.get("objective", {"ce": 1.0, "weight": 1.0})
    numbers = isinstance(weights, dict) and all(isinstance(value, int | float) for value in weights.values())
    if not numbers or set(weights) != {"ce", "weight"}:
        raise UserError(f"{path}: objective must be two numbers, like {{'ce': 1.0, 'weight': 1.0}}, not {weights!r}")


def _check_candidates(path: Path, known: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    candidates = known.get("candidates", ())
    if not isinstance(candidates, tuple) or not all(isinstance(candidate, dict) for candidate in candidates):
        raise UserError(f"{path}: candidates must be sets of options, like ({{'weight': 1.0}},), not {candidates!r}")
    for option in chain.from_iterable(candidates):
        if option not in options:
            raise unknown(f"option among the candidates in {path}", str(option), options)
    if TUNED in known.get("variants", {}):
        raise UserError(f"{path}: no variant may be called '{TUNED}', which chooses among the candidates")


def _is_method(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).rpartition(".")[2] == "Method" for base in node.bases)


def _literals(path: Path, node: ast.ClassDef) -> list[tuple[str, Any]]:
    pairs = []
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            pairs.append((statement.targets[0].id, _literal(path, statement.value)))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            pairs.append((statement.target.id, _literal(path, statement.value)))
    return pairs


def _options(path: Path, node: ast.ClassDef) -> list[tuple[str, Any]]:
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            arguments = statement.args
            if len(arguments.args) + len(arguments.posonlyargs) > 2:
                raise UserError(f"{path}:{statement.lineno}: options of a method come after a *, each with a default")
            return [
                (argument.arg, _literal(path, default))
                for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
                if default is not None
            ]
    return []


def _literal(path: Path, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise UserError(
            f"{path}:{node.lineno}: class attributes and option defaults of a method must be literals"
        ) from None


def _code_hash(tree: ast.Module) -> str:
    return hashlib.sha256(repr(_code(tree)).encode()).hexdigest()


def _code(node: Any) -> Any:
    """A syntax tree as nested tuples: no docstrings, no positions, nothing that differs between Python versions."""
    if isinstance(node, list):
        return tuple(_code(item) for item in node)
    if not isinstance(node, ast.AST):
        return node
    parts = dict(ast.iter_fields(node))
    if (
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and ast.get_docstring(node, clean=False) is not None
    ):
        parts["body"] = node.body[1:]
    kept = ((name, _code(part)) for name, part in parts.items() if part is not None and part != [])
    return type(node).__name__, *kept
