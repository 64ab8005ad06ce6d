"""Code whose changes must raise a revision, or old results would pass for those of the new code.

``revisions.json`` holds, for everything that results rest on, its revision and the code of its file and of the helpers
that it imports:

* every settled method and its ``revision`` (the code of a draft, of revision 0, is part of its ids);
* every network of ``models/networks.csv`` and the ``revision`` that it is registered with;
* every measure of ``benchmark/analysis`` and its ``REVISION``;
* the engine, which is what loads data, trains and tests, and ``NUMERICS``.

What counts is the code without comments and docstrings. As a script, this file brings ``revisions.json`` up to date::

    python tests/test_revisions.py                  # after a revision was raised, or for something new
    python tests/test_revisions.py --same-results   # after a change that alters no result
"""

import argparse
import ast
import json
import sys
from pathlib import Path

import pytest

# A script finds its own folder, not the repository's.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmark.analysis import measures
from benchmark.registry import catalog, plugins, source_hash, syntax
from benchmark.registry.method_info import DRAFT
from benchmark.registry.network_info import settled
from benchmark.registry.plugins import SourceFile
from benchmark.runs.job import NUMERICS

ROOT = catalog.ROOT
RECORDED = Path(__file__).with_name("revisions.json")
COMMAND = "python tests/test_revisions.py"
APART = {"base", "__init__", "registry", "describe", "export", "plugins", "published", "safe_load"}
"""Files of methods and models that compute nothing: contracts, and the search for what there is."""
ENGINE = ("benchmark/training/*.py", "benchmark/data/*.py", "benchmark/ids.py")
BESIDE = {
    "benchmark/training/__init__.py",
    "benchmark/training/plugin_check.py",
    "benchmark/training/python_state.py",
    "benchmark/training/replay.py",
    "benchmark/training/samples.py",
    "benchmark/training/step_check.py",
    "benchmark/training/teacher_check.py",
}
"""Files of the engine's folders that check what is to be trained, and train nothing."""
RAISE = {
    "method": "`revision` in methods/{name}.py",
    "network": "`revision` where models/ registers it, then run `python -m models.describe`,",
    "measure": "`REVISION` in benchmark/analysis/{name}.py",
    "engine": "`NUMERICS` in benchmark/runs/job.py",
}


def imported(stem, folder):
    """Stems of the files of a package's folder that a result rests on: its own and, step by step, what it imports."""
    found, waiting = set(), {stem}
    while waiting:
        found |= waiting
        trees = [ast.parse((folder / f"{each}.py").read_text(encoding="utf-8")) for each in waiting]
        names = {name for tree in trees for name in _imports(tree, folder.name)}
        waiting = {name for name in names if (folder / f"{name}.py").exists()} - found - APART
    return found


def _imports(tree, package):
    """Last parts of all imported names and modules of a package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == package):
            yield (node.module or "").split(".")[-1]
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[-1] for alias in node.names if alias.name.startswith(f"{package}."))


def code(path):
    return source_hash.code_hash(source_hash.parsed(path))


def _entry(revision, stem, folder):
    return {
        "revision": revision,
        "code": {each: code(folder / f"{each}.py") for each in sorted(imported(stem, folder))},
    }


def _methods(root):
    folder = root / "methods"
    files = [SourceFile(plugins.METHOD, path) for path in sorted(folder.glob("*.py"))]
    known = {file.name: catalog.read_method(file) for file in files}
    return {f"method {name}": _entry(info.revision, name, folder) for name, info in known.items() if info is not None}


def _networks(root):
    folder = root / "models"
    places = {
        name: path.stem
        for path in sorted(folder.glob("*.py"))
        for name in syntax.network_names(source_hash.parsed(path))
    }
    return {f"network {name}": _entry(info.revision, places[name], folder) for name, info in settled().items()}


def _measures(root):
    folder = root / "benchmark" / "analysis"
    return {f"measure {name}": _entry(info.revision, name, folder) for name, info in measures().items()}


def _engine(root):
    files = sorted(path for pattern in ENGINE for path in root.glob(pattern))
    names = {path.relative_to(root).as_posix(): path for path in files}
    return {"engine": {"revision": NUMERICS, "code": {name: code(names[name]) for name in names if name not in BESIDE}}}


def current():
    """What ``revisions.json`` would hold for the files as they are."""
    return {**_methods(ROOT), **_networks(ROOT), **_measures(ROOT), **_engine(ROOT)}


def recorded_entries(path=RECORDED):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def changed(old, new):
    """The files of one entry that differ."""
    return sorted(stem for stem in old["code"] | new["code"] if old["code"].get(stem) != new["code"].get(stem))


def complaint(title, old, new):
    """What is wrong with one entry and what to do about it, or None."""
    if new is None:
        return f"'{title}' is in {RECORDED.name} but no longer in the project: run `{COMMAND}`"
    if old is None:
        return None if new["revision"] == DRAFT else f"'{title}' is not in {RECORDED.name} yet: run `{COMMAND}`"
    if old == new:
        return None
    if new["revision"] > old["revision"]:
        return f"'{title}' has revision {new['revision']}, {RECORDED.name} has {old['revision']}: run `{COMMAND}`"
    if new["revision"] < old["revision"]:
        return (
            f"'{title}' has revision {new['revision']}, below the {old['revision']} of {RECORDED.name}: raise it above"
        )
    kind, _, name = title.partition(" ")
    return (
        f"'{title}' rests on {', '.join(changed(old, new))}, which changed, and its revision is still "
        f"{old['revision']}: raise {RAISE[kind].format(name=name)} and run `{COMMAND}`; if no result can have changed, "
        f"run `{COMMAND} --same-results`"
    )


def refused(old, new):
    """Complaints about what changed without a higher revision."""
    both = [title for title in new if title in old and new[title]["revision"] <= old[title]["revision"]]
    return [text for title in both if (text := complaint(title, old[title], new[title]))]


def refresh(arguments, recorded=RECORDED, found=current):
    """Write ``revisions.json``, or say why not; the exit status."""
    parser = argparse.ArgumentParser(description=f"Bring {recorded} up to date.")
    parser.add_argument("--same-results", action="store_true", help="the changes of code alter no result")
    options = parser.parse_args(arguments)
    old, new = recorded_entries(recorded), found()
    complaints = [] if options.same_results else refused(old, new)
    if not complaints:
        entries = {title: entry for title, entry in new.items() if entry["revision"] != DRAFT}
        recorded.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    sys.stderr.writelines(f"{text}\n" for text in complaints)
    return len(complaints)


@pytest.fixture(scope="module")
def now():
    return current()


def titles():
    """What is to be looked at, known without reading all code."""
    there = [f"method {name}" for name in catalog.methods()] + [f"network {name}" for name in settled()]
    return sorted({*recorded_entries(), *there, *(f"measure {name}" for name in measures()), "engine"})


@pytest.mark.parametrize("title", titles())
def test_changed_code_has_a_new_revision(title, now):
    # A method from outside the project has its code in its ids.
    if title in now and (text := complaint(title, recorded_entries().get(title), now[title])):
        pytest.fail(text, pytrace=False)
    elif title in recorded_entries():
        assert title in now, complaint(title, recorded_entries()[title], None)


def test_networks_and_the_engine_rest_on_what_computes(now):
    assert {*now["network wrn-16-2"]["code"]} >= {"wrn", "preactivation", "layers", "features"}
    assert {*now["engine"]["code"]} >= {
        f"benchmark/{name}.py"
        for name in ("training/trainable", "training/optimizers", "data/batch_stream", "data/augment")
    }


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
    folder = tmp_path / "methods"
    folder.mkdir()

    def make(revision, value, helper="x / 2"):
        (folder / "base.py").write_text("class Method: pass\n", encoding="utf-8")
        (folder / "helper.py").write_text(f"def half(x): return {helper}\n", encoding="utf-8")
        (folder / "example.py").write_text(METHOD.format(revision=revision, value=value), encoding="utf-8")

    make.found = lambda: _methods(tmp_path)
    make.refresh = lambda *arguments: refresh(list(arguments), tmp_path / "revisions.json", make.found)
    make(1, 1)
    assert make.refresh() == 0
    return make


def test_refresh_refuses_changed_code_of_the_same_or_a_lower_revision(write, capsys):
    write(1, 2)
    assert write.refresh() == 1
    assert "'method example' rests on example, which changed" in capsys.readouterr().err
    write(0, 2)
    assert write.refresh() == 1
    write(2, 2)
    assert write.refresh() == 0


def test_a_draft_needs_no_entry_until_it_is_settled(write, tmp_path):
    (tmp_path / "revisions.json").write_text("{}", encoding="utf-8")
    write(0, 2)
    assert complaint("method example", None, write.found()["method example"]) is None
    assert write.refresh() == 0
    assert recorded_entries(tmp_path / "revisions.json") == {}
    write(1, 2)
    assert COMMAND in complaint("method example", None, write.found()["method example"])
    assert write.refresh() == 0
    assert recorded_entries(tmp_path / "revisions.json")["method example"]["revision"] == 1


def test_refresh_refuses_a_changed_helper(write, capsys):
    write(1, 1, helper="x * 0.5")
    assert write.refresh() == 1
    assert "'method example' rests on helper, which changed" in capsys.readouterr().err
    assert write.refresh("--same-results") == 0
    assert write.refresh() == 0


@pytest.mark.parametrize("title", ["method a", "network a", "measure a", "engine"])
def test_complaints_name_what_to_do(title):
    entry = {"revision": 1, "code": {"example": "0"}}
    for old, new in ((None, entry), (entry, None), (entry, {"revision": 2, "code": {"example": "1"}})):
        assert COMMAND in complaint(title, old, new)
    assert complaint(title, entry, entry) is None
    text = complaint(title, entry, {"revision": 1, "code": {"example": "1"}})
    assert "raise `" in text
    assert "--same-results" in text


if __name__ == "__main__":
    sys.exit(refresh(sys.argv[1:]))
