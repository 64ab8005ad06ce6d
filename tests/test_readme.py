"""The README shows what the committed records say, and points at files that are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROFILES = sorted(path.parent.name for path in (ROOT / "results").glob("*/records"))


@pytest.mark.parametrize("profile", PROFILES)
def test_committed_tables_follow_from_the_records(profile, tmp_path):
    """Rendered anew from the committed records alone, every form of every table and figure is the committed file."""
    committed, folder = ROOT / "results" / profile, tmp_path / "results" / profile
    folder.mkdir(parents=True)
    (folder / "records").symlink_to(committed / "records")
    seeds = {re.match(r"seed(\d+)-", path.name)[1] for path in (committed / "records").rglob("*.json")}
    command = [sys.executable, str(ROOT / "run_all.py"), "--table", "all", "--profile", profile, "--render"]
    options = ["--seeds", ",".join([*sorted(seeds), ""]), "--results", str(tmp_path / "results")]
    subprocess.run(
        [*command, *options, "--checkpoints", str(tmp_path / "checkpoints")], check=True, capture_output=True
    )
    tables = sorted(path.relative_to(committed) for path in committed.glob("tables/*"))
    assert {path.stem for path in tables} >= {f"table{number:02d}" for number in range(1, 13)}
    for path in [*tables, *(path.relative_to(committed) for path in committed.glob("figures/*.md"))]:
        assert (folder / path).read_text(encoding="utf-8") == (committed / path).read_text(encoding="utf-8"), path


def test_shows_the_committed_table():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"<!-- (results/\S+\.md) -->\n(.*?)\n<!-- end -->", text, flags=re.DOTALL)
    assert shown
    for path, table in shown:
        assert table.strip() == (ROOT / path).read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("page", ["README.md", "docs/design.md", "docs/decisions.md"])
def test_names_files_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:benchmark|methods|models|tables|docs|tests|results)/[\w./*-]+)`", text)
    named = [name for name in named if "PROFILE" not in name]
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []
