"""A measure whose code changes must raise its ``REVISION``, or old results would pass for those of the new code.

Run as a script, this file brings ``revisions.json`` up to date, after a revision was raised or for a new measure; with
``--same-results`` after a change that alters no result.
"""

import ast
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmark import catalog
from benchmark.analysis import measures
from benchmark.catalog import syntax

RECORDED = Path(__file__).with_name("revisions.json")
COMMAND = "python tests/benchmark/analysis/test_revisions.py"


def current():
    folder = catalog.ROOT / "benchmark" / "analysis"
    trees = {name: ast.parse((folder / f"{name}.py").read_text(encoding="utf-8")) for name in measures()}
    return {
        name: {"revision": info.revision, "code": syntax.code_hash(trees[name])} for name, info in measures().items()
    }


def complaint(name, old, new):
    """What is wrong with one measure's entry and what to do about it, or None."""
    if old is None or new is None:
        return f"'{name}' is in one of benchmark/analysis/ and {RECORDED.name} only: run `{COMMAND}`"
    if old == new:
        return None
    if new["revision"] > old["revision"]:
        return f"'{name}' has a new revision: run `{COMMAND}`"
    return f"'{name}' changed: raise its REVISION and run `{COMMAND}`; with no changed result, add --same-results"


@pytest.mark.parametrize("name", sorted(measures()))
def test_changed_code_has_a_new_revision(name):
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert set(recorded) <= set(measures())
    if text := complaint(name, recorded.get(name), current()[name]):
        pytest.fail(text, pytrace=False)


def test_complaints_name_what_to_do():
    entry, newer = {"revision": 1, "code": "a"}, {"revision": 2, "code": "b"}
    assert complaint("x", entry, entry) is None
    assert "raise its REVISION" in complaint("x", entry, {"revision": 1, "code": "b"})
    assert "run `" in complaint("x", entry, newer)
    assert "run `" in complaint("x", None, newer)


if __name__ == "__main__":
    before = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    texts = [complaint(name, before[name], entry) for name, entry in current().items() if name in before]
    refused = [text for text in texts if text and "raise its REVISION" in text and "--same-results" not in sys.argv]
    sys.stderr.writelines(f"{text}\n" for text in refused)
    if not refused:
        RECORDED.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
    sys.exit(len(refused))
