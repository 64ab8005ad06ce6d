"""The README shows what the committed records say, and points at files that are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"


PROFILES = sorted(path.parent.name for path in RESULTS.glob("*/records"))


@pytest.mark.parametrize("profile", PROFILES)
def test_committed_files_follow_from_the_records(profile):
    """Every form of every table, the figure, the leaderboard with its page and the claims are what the records say."""
    command = [sys.executable, str(ROOT / "run_all.py"), "check", "--profile", profile, "--seeds", "1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    written = [*(RESULTS / profile).glob("*/*.md"), *(RESULTS / profile).glob("*.md")]
    if written:
        assert done.returncode == 0, done.stdout + done.stderr
        assert [path.name for path in written if path.name not in done.stdout] == []


def test_what_is_committed_is_all_there_is():
    tables = {path.stem for path in (RESULTS / "digits" / "tables").glob("*")}
    assert tables == {f"table{number:02d}" for number in range(1, 13)}


def test_shows_the_committed_table():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"<!-- (results/\S+\.md) -->\n(.*?)\n<!-- end -->", text, flags=re.DOTALL)
    assert shown
    for path, table in shown:
        assert table.strip() == (ROOT / path).read_text(encoding="utf-8").strip()


def test_shows_lines_of_the_file_that_it_names():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [(path, shown)] = re.findall(r"<!-- (methods/\S+\.py) -->\n```python\n(.*?)\n```", text, flags=re.DOTALL)
    lines = iter((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert [line for line in shown.splitlines() if line and line not in lines] == []


@pytest.mark.parametrize("page", ["README.md", "docs/design.md", "docs/decisions.md", "docs/your-own.md"])
def test_names_files_that_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:benchmark|methods|models|tables|docs|tests|results)/[\w./*-]+)`", text)
    named = [name for name in named if "PROFILE" not in name]
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []
