"""A new method runs as it is written, and nothing that is there is written over."""

import os
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from benchmark.cli import OK, new_method
from benchmark.errors import UserError
from benchmark.registry import catalog, plugins
from benchmark.registry.method_info import read_method
from benchmark.registry.plugins import METHOD, SourceFile

NAME = "idea_one"
OWN = "idea_two"
CONTRACT = "literals or small_last_batch or loss_depends or same-feats or planning"


def create(asked):
    """Runs the command, and gives the lines that it says."""
    said = []
    assert new_method.create(str(asked), said.append) == OK
    return said


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A project with one helper and the contract tests, in which the command is typed."""
    root = tmp_path / "home"
    for path in ("methods/helper.py", "tests/methods/test_contract.py"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("", encoding="utf-8")
    monkeypatch.setattr(new_method, "ROOT", root)
    monkeypatch.chdir(root)
    return root


def files_of(folder):
    return {path.relative_to(folder): path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of what methods and their tests need, with a method within and one in a folder of its own."""
    root, folder = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("own methods")
    for part in ("benchmark", "methods", "models"):
        shutil.copytree(catalog.ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    tests = root / "tests" / "methods"
    tests.mkdir(parents=True)
    for name in ("conftest.py", "modern.py", "test_contract.py", "golden_modern.json", "golden_values.json"):
        shutil.copy(catalog.ROOT / "tests" / "methods" / name, tests)
    shutil.copy(catalog.ROOT / "pyproject.toml", root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(new_method, "ROOT", root)
        create(NAME)
        create(folder / f"{OWN}.py")
    return SimpleNamespace(root=root, folder=folder, method=root / "methods" / f"{NAME}.py", own=folder / f"{OWN}.py")


def run(root, *arguments, **environment):
    """What a module of Python's prints when it is run in a project."""
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=root, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_method_and_test_run_as_they_are_and_the_contract_tests_find_methods_inside_and_outside(project):
    own_test = f"tests/methods/test_{NAME}.py"
    choice = f"test_{NAME}.py or (({NAME} or {OWN}) and ({CONTRACT}))"
    command = ["pytest", "-n", "0", "-v", own_test, "tests/methods/test_contract.py", "-k", choice]
    printed = run(project.root, *command, **{plugins.VARIABLE: str(project.own)})
    assert printed.count(f"{own_test}::") == 6
    for name in (NAME, OWN):
        for size in (1, 3):
            assert f"::test_small_last_batch[{size}-{name}] PASSED" in printed
        assert f"::test_literals_read_from_the_file_are_those_of_the_class[{name}] PASSED" in printed
        assert f"::test_gradient_reaches_student_and_method_but_not_the_teacher[{name}-same-feats-4] PASSED" in printed


def test_the_test_of_a_file_outside_runs_from_where_commands_are_typed(project):
    assert "6 passed" in run(project.root, "pytest", "-n", "0", project.folder / f"test_{OWN}.py")


def test_planning_reads_a_draft_with_an_option_and_two_weights(project):
    for path in (project.method, project.own):
        info = read_method(SourceFile(METHOD, path))
        assert (info.name, info.title) == (path.stem, path.stem.upper().replace("_", "-"))
        assert (info.revision, info.citation, info.options) == (0, "unpublished", {"power": 2.0})
        assert info.objective == {"ce": 1.0, "weight": 1.0}
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 50


@pytest.mark.skipif(find_spec("ruff") is None, reason="ruff is for development")
def test_written_files_pass_the_project_s_checks_however_long_the_name(project, monkeypatch):
    monkeypatch.setattr(new_method, "ROOT", project.root)
    longest = "x" * new_method.LONGEST
    create(longest)
    create(project.folder / f"{longest}2.py"[1:])
    for names, folder in ((f"*{longest}*.py", project.root), (f"*{longest[1:]}2.py", project.folder)):
        assert len(list(folder.rglob(names))) == 2
    for action in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        within = [project.root / part for part in ("methods", "tests")]
        run(project.root, "ruff", *action, "--config", project.root / "pyproject.toml", *within)
        # Elsewhere, rules for this project's folders do not hold; those of any Python do.
        run(project.root, "ruff", *action, "--isolated", "--line-length", "120", project.folder)


def test_says_what_was_written_and_what_to_type_next(home):
    assert create(NAME) == [
        f"written: methods/{NAME}.py, tests/methods/test_{NAME}.py",
        "Both run as they are. Put your loss in; then run its test, the leaderboard, and the tests of all methods:",
        f"  python -m pytest tests/methods/test_{NAME}.py",
        f"  python run_all.py leaderboard --methods {NAME},kd,srrl",
        f"  python -m pytest tests/methods/test_contract.py -k {NAME}",
    ]
    assert {f"{NAME}.py", "helper.py"} == {path.name for path in (home / "methods").iterdir()}


def test_a_path_writes_a_plug_in_and_says_how_to_use_it(home):
    path = home.parent / "my work" / "deep" / f"{OWN}.py"
    before = files_of(home)
    said = create(os.path.relpath(path))
    assert {f"{OWN}.py", f"test_{OWN}.py"} == {file.name for file in path.parent.iterdir()}
    assert files_of(home) == before
    test, leaderboard, contract = (shlex.split(line) for line in said[2:])
    assert test == ["python", "-m", "pytest", str(path.with_name(f"test_{OWN}.py"))]
    assert leaderboard[2:] == ["leaderboard", "--methods", f"{OWN},kd,srrl", "--plugin", str(path)]
    assert contract[0] == f"{plugins.VARIABLE}={path}"
    assert contract[-2:] == ["-k", OWN]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        *((name, "cannot name a method: it is a method already; choose") for name in ("elsewhere/kd.py", "teacher")),
        *(("helper", "methods/helper.py exists already"), ("contract", "test_contract.py exists already")),
        *(
            (name, "cannot name a method: take a letter, then letters, digits and _")
            for name in ("lambda", "2fast", "größe", "", ".py", "x" * 31, "elsewhere/Idea.py")
        ),
        ("elsewhere/idea", "neither a name nor a file's path, which ends in .py: write elsewhere/idea.py"),
        *(
            (f"elsewhere/{name}.py", f"'{name}' cannot name a method: a module has that name, and the file would hide")
            for name in ("random", "yaml", "models")
        ),
    ],
)
def test_refuses_names_that_cannot_be_a_method_s_or_are_taken(asked, reason, home):
    before = files_of(home.parent)
    with pytest.raises(UserError) as caught:
        create(asked)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files_of(home.parent) == before


@pytest.mark.parametrize(
    "there", [f"methods/{NAME}.py", f"tests/methods/test_{NAME}.py", f"{OWN}.py", f"test_{OWN}.py"]
)
def test_writes_over_nothing_and_nothing_by_halves(there, home):
    (home / there).write_text("mine", encoding="utf-8")
    before = files_of(home)
    with pytest.raises(UserError, match="exists already: choose another name, or move that file"):
        create(NAME if NAME in there else f"{OWN}.py")
    assert files_of(home) == before


def test_a_folder_that_cannot_be_written_to_is_a_clear_error(home):
    (home / "flat").write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"cannot write to .*flat .*choose a writable folder with new-method path/to/NAME.py"
    ):
        create(f"flat/{OWN}.py")
