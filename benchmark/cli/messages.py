"""Texts that several commands print."""

from __future__ import annotations

import tomllib
from pathlib import Path

from rich.console import Console

from benchmark.planning.plan import Plan
from benchmark.registry.catalog import ROOT
from benchmark.runs import provenance
from benchmark.runs.store import FAILED, Store


def console() -> Console:
    """A console that prints texts as they are, without highlighting and without ``:names:`` as emoji."""
    return Console(highlight=False, emoji=False)


def disk_line(store: Store) -> str:
    """The disk space that checkpoints, weights and logs take."""
    return f"{store.disk_use() / 2**20:.0f} MiB of checkpoints, weights and logs in {store.checkpoints}"


def failures(plan: Plan) -> str:
    """The number of failed jobs, as the end of a sentence; empty where there are none."""
    failed = list(plan.states.values()).count(FAILED)
    return f"; {failed} failed, --retry-failed trains them again" if failed else ""


def short(path: Path) -> str:
    """A path relative to the working folder where it lies inside."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def version() -> str:
    """The project's version, and the code revision in a git checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    facts = provenance.describe("cpu", 1)
    changes = ", with changes that are not committed" if facts["dirty"] else ""
    revision = f", revision {facts['revision'][:12]}{changes}" if facts["revision"] else ""
    return f"{project['name']} {project['version']}{revision}"
