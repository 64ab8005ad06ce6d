"""README and docs show what the committed records say, and point at files and functions that exist."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}
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


def test_pages_show_the_committed_tables():
    texts = [path.read_text(encoding="utf-8") for path in PAGES.values()]
    pattern = re.compile(r"<!-- (results/\S+\.md) -->\n(.*?)\n<!-- end -->", re.DOTALL)
    shown = [found for text in texts for found in pattern.findall(text)]
    assert {path for path, _ in shown} == {"results/digits/tables/table09.md", "results/bench/speed.md"}
    for path, table in shown:
        assert table.strip() == (ROOT / path).read_text(encoding="utf-8").strip()


def test_shows_lines_of_the_file_that_it_names():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [(path, shown)] = re.findall(r"<!-- (methods/\S+\.py) -->\n```python\n(.*?)\n```", text, flags=re.DOTALL)
    lines = iter((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert [line for line in shown.splitlines() if line and line not in lines] == []


@pytest.mark.parametrize("page", PAGES)
def test_names_files_that_exist(page):
    text = PAGES[page].read_text(encoding="utf-8")
    named = re.findall(r"`((?:benchmark|methods|models|tables|docs|tests|results)/[\w./*-]+)`", text)
    named = [name for name in named if "PROFILE" not in name]
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (PAGES[page].parent / link).exists()] == []


def test_the_walks_name_functions_that_exist():
    walks = PAGES["docs/design.md"].read_text(encoding="utf-8").partition("## Three walks")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+\.py)` `(\w+)`", walks)
    assert len(named) > 20
    kinds = (ast.FunctionDef, ast.ClassDef)
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, kinds)}, f"{path} {name}"
