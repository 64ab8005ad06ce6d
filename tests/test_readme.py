"""The README shows what the committed records say, and points at files that are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TABLES = sorted((ROOT / "results").glob("*/tables/*.md"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_committed_table_follows_from_the_records(path, tmp_path):
    """Rendered anew from the committed records alone, every form is the committed file."""
    profile, number = path.parts[-3], path.stem.removeprefix("table").lstrip("0")
    folder = tmp_path / "results" / profile
    folder.mkdir(parents=True)
    (folder / "records").symlink_to(path.parents[1] / "records")
    command = [sys.executable, str(ROOT / "run_all.py"), "--table", number, "--profile", profile, "--render"]
    folders = ["--results", str(tmp_path / "results"), "--checkpoints", str(tmp_path / "checkpoints")]
    subprocess.run([*command, *folders], check=True, capture_output=True)
    for suffix in (".md", ".tex", ".csv"):
        rendered = folder / "tables" / f"{path.stem}{suffix}"
        assert rendered.read_text(encoding="utf-8") == path.with_suffix(suffix).read_text(encoding="utf-8")


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
