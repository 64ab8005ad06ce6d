"""A method whose code changes must raise its ``revision``, or old results would pass for those of the new code.

``revisions.json`` holds, for every method, its revision and the code of its file and of the helpers that it imports. A
draft (revision 0) has no entry: its code is part of its ids.
Run as a script, this file brings it up to date::

    python tests/methods/test_revisions.py                  # after a revision was raised, or for a new method
    python tests/methods/test_revisions.py --same-results   # after a change that alters no result
"""

import argparse
import ast
import json
import sys
from pathlib import Path

import pytest

# A script finds its own folder, not the repository's.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmark import catalog
from benchmark.catalog import syntax
from benchmark.catalog.literals import DRAFT

FOLDER = catalog.ROOT / "methods"
RECORDED = Path(__file__).with_name("revisions.json")
COMMAND = "python tests/methods/test_revisions.py"
# The contract and the search for methods compute nothing.
APART = {"base", "__init__"}


def imported(stem, folder):
    """Stems of the files of ``folder`` that a method's result rests on: its own and, step by step, what it imports."""
    found, waiting = set(), {stem}
    while waiting:
        found |= waiting
        trees = [ast.parse((folder / f"{each}.py").read_text(encoding="utf-8")) for each in waiting]
        waiting = (
            {name for tree in trees for name in _imports(tree) if (folder / f"{name}.py").exists()} - found - APART
        )
    return found


def _imports(tree):
    """Last parts of all imported names and modules of the package ``methods``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "methods"):
            yield (node.module or "").split(".")[-1]
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[-1] for alias in node.names if alias.name.startswith("methods."))


def current(folder=FOLDER):
    """What ``revisions.json`` would hold for the files as they are."""
    known = {path.stem: catalog.read_method(path) for path in sorted(folder.glob("*.py"))}
    return {
        name: {
            "revision": info.revision,
            "code": {stem: code(folder / f"{stem}.py") for stem in sorted(imported(name, folder))},
        }
        for name, info in known.items()
        if info is not None
    }


def recorded_entries(path=RECORDED):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def code(path):
    return syntax.code_hash(syntax.parsed(path))


def changed(old, new):
    """The files of one method that differ."""
    return sorted(stem for stem in old["code"] | new["code"] if old["code"].get(stem) != new["code"].get(stem))


def complaint(name, old, new):
    """What is wrong with one method's entry and what to do about it, or None."""
    if new is None:
        return f"'{name}' is in {RECORDED.name} but no longer in methods/: run `{COMMAND}`"
    if old is None:
        return None if new["revision"] == DRAFT else f"'{name}' is not in {RECORDED.name} yet: run `{COMMAND}`"
    if old == new:
        return None
    if new["revision"] > old["revision"]:
        return f"'{name}' has revision {new['revision']}, {RECORDED.name} has {old['revision']}: run `{COMMAND}`"
    if new["revision"] < old["revision"]:
        return (
            f"'{name}' has revision {new['revision']}, below the {old['revision']} of {RECORDED.name}: raise it above"
        )
    files = ", ".join(f"methods/{stem}.py" for stem in changed(old, new))
    return (
        f"'{name}' rests on {files}, which changed, and its revision is still {old['revision']}: raise `revision` in "
        f"methods/{name}.py and run `{COMMAND}`; if no result can have changed, run `{COMMAND} --same-results`"
    )


def refused(old, new):
    """Complaints about methods whose code changed without a higher revision."""
    both = [name for name in new if name in old and new[name]["revision"] <= old[name]["revision"]]
    return [text for name in both if (text := complaint(name, old[name], new[name]))]


def refresh(arguments, recorded=RECORDED, folder=FOLDER):
    """Write ``revisions.json``, or say why not; the exit status."""
    parser = argparse.ArgumentParser(description="Bring tests/methods/revisions.json up to date.")
    parser.add_argument("--same-results", action="store_true", help="the changes of code alter no result")
    options = parser.parse_args(arguments)
    old, new = recorded_entries(recorded), current(folder)
    complaints = [] if options.same_results else refused(old, new)
    if not complaints:
        settled = {name: entry for name, entry in new.items() if entry["revision"] != DRAFT}
        recorded.write_text(json.dumps(settled, indent=1) + "\n", encoding="utf-8")
    sys.stderr.writelines(f"{text}\n" for text in complaints)
    return len(complaints)


@pytest.mark.parametrize("name", sorted(recorded_entries() | current()))
def test_changed_code_has_a_new_revision(name):
    if text := complaint(name, recorded_entries().get(name), current().get(name)):
        pytest.fail(text, pytrace=False)


METHOD = '''
from methods.helper import half
from methods.base import Method
class Example(Method):
    """Text."""
    title = "Example"
    citation = "Nobody"
    revision = {revision}
    def forward(self): return half({value})
'''


@pytest.fixture
def write(tmp_path):
    """``write(revision, value, helper)`` makes a folder of methods; ``write.refresh(...)`` refreshes its entries."""

    def make(revision, value, helper="x / 2"):
        (tmp_path / "base.py").write_text("class Method: pass\n", encoding="utf-8")
        (tmp_path / "helper.py").write_text(f"def half(x): return {helper}\n", encoding="utf-8")
        (tmp_path / "example.py").write_text(METHOD.format(revision=revision, value=value), encoding="utf-8")

    make.refresh = lambda *arguments: refresh(list(arguments), tmp_path / "revisions.json", tmp_path)
    make(1, 1)
    assert make.refresh() == 0
    return make


def test_refresh_refuses_changed_code_of_the_same_or_a_lower_revision(write, capsys):
    write(1, 2)
    assert write.refresh() == 1
    assert "methods/example.py, which changed" in capsys.readouterr().err
    write(0, 2)
    assert write.refresh() == 1
    write(2, 2)
    assert write.refresh() == 0


def test_a_draft_needs_no_entry_until_it_is_settled(write, tmp_path):
    (tmp_path / "revisions.json").write_text("{}", encoding="utf-8")
    write(0, 2)
    draft = current(tmp_path)["example"]
    assert complaint("example", None, draft) is None
    assert write.refresh() == 0
    assert recorded_entries(tmp_path / "revisions.json") == {}
    write(1, 2)
    assert COMMAND in complaint("example", None, current(tmp_path)["example"])
    assert write.refresh() == 0
    assert recorded_entries(tmp_path / "revisions.json")["example"]["revision"] == 1


def test_refresh_refuses_a_changed_helper(write, capsys):
    write(1, 1, helper="x * 0.5")
    assert write.refresh() == 1
    assert "methods/helper.py, which changed" in capsys.readouterr().err
    assert write.refresh("--same-results") == 0
    assert write.refresh() == 0


def test_missing_and_surplus_entries_name_the_command():
    entry = {"revision": 1, "code": {"example": "0"}}
    for old, new in ((None, entry), (entry, None), (entry, {"revision": 2, "code": {"example": "1"}})):
        assert COMMAND in complaint("example", old, new)
    assert complaint("example", entry, entry) is None


if __name__ == "__main__":
    sys.exit(refresh(sys.argv[1:]))
