"""Imports go downwards: a room of `benchmark/` imports from rooms below it, and no modules form a circle."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (
    *("bench", "cli", "execution", "training", "report", "lineage", "claims", "planning", "tables", "config"),
    *("runs", "data", "registry", "analysis"),
)
"""From the top down. Below them lies the ground floor: the single files of `benchmark/`."""
FILES = {path.relative_to(ROOT).with_suffix("").parts: path for path in (ROOT / "benchmark").rglob("*.py")}
MODULES = {".".join(parts).removesuffix(".__init__"): path for parts, path in FILES.items()}


def imports(path):
    """Modules of `benchmark` that a file imports, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in names if name.startswith("benchmark."))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("benchmark."))


GRAPH = {name: set(imports(path)) - {name} for name, path in MODULES.items() if name != "benchmark"}


def height(module):
    room = module.split(".")[1]
    return ROOMS.index(room) if room in ROOMS else len(ROOMS)


def test_every_room_is_in_the_order():
    assert {path.parent.name for path in (ROOT / "benchmark").glob("*/__init__.py")} == set(ROOMS)


@pytest.mark.parametrize("module", sorted(GRAPH))
def test_nothing_is_imported_from_above(module):
    assert {other for other in GRAPH[module] if height(other) < height(module)} == set()


def test_no_modules_form_a_circle():
    waiting = dict(GRAPH)
    while free := {name for name, others in waiting.items() if not others & waiting.keys()}:
        waiting = {name: others for name, others in waiting.items() if name not in free}
    assert sorted(waiting) == []
