import os
import platform
import shutil
import subprocess
from datetime import datetime

import pytest

from benchmark import devices
from benchmark.runs import provenance


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)  # a git hook that runs the tests speaks of its own repository
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


@pytest.fixture
def repository(root):
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    (root / "results").mkdir()
    for name in ("code.py", "results/record.json"):
        (root / name).write_text("1")
    identity = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")
    for command in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "--no-gpg-sign", "-m", "First")):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    return root


@pytest.mark.usefixtures("repository")
def test_describe_names_code_versions_and_machine():
    facts = provenance.describe("cpu", 1)
    assert (facts["device"], facts["threads"], facts["dirty"]) == ("cpu", 1, False)
    assert facts["processor"] == devices.processor()
    assert len(facts["revision"]) == 40
    assert facts["versions"]["python"] == platform.python_version()
    assert {"torch", "numpy"} <= set(facts["versions"])
    assert datetime.fromisoformat(facts["finished"]).tzinfo is not None


@pytest.mark.parametrize(
    ("name", "dirty"),
    [
        ("code.py", True),
        ("results/record.json", False),
        ("results/new.json", False),
        ("methods/mine.py", True),
        ("models/mine.py", True),
        ("benchmark/data/mine.py", True),
        ("methods/notes.txt", False),
        ("notes/mine.py", False),
    ],
)
def test_changed_code_and_new_code_where_it_runs_are_dirty(name, dirty, repository):
    (repository / name).parent.mkdir(parents=True, exist_ok=True)
    (repository / name).write_text("2")
    assert provenance.describe("cpu", 1)["dirty"] is dirty


@pytest.mark.usefixtures("root")
def test_without_a_repository_nothing_is_claimed():
    facts = provenance.describe("cpu", 1)
    assert (facts["revision"], facts["dirty"]) == (None, None)
