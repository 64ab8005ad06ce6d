"""Every command on stores of all sorts: as a GPU leaves them, with files that are no records, of another revision."""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import Any

import pytest

from benchmark.cli.arguments import parse
from benchmark.cli.session import Session
from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.config.teachers import TeacherChoice, Weights
from benchmark.report.leaderboard.data import TIMING
from benchmark.runs.names import parse_method
from benchmark.runs.record import KINDS
from benchmark.runs.store import Store
from benchmark.tables import leaderboard, reader
from tests.benchmark.made_up import raw_record

pytestmark = pytest.mark.usefixtures("small_board")

PAIRS = ("resnet56:resnet20", "vgg13:vgg8")
METHODS = ("kd", "fsp", "srrl")
CELL = f"table11/{PAIRS[0]}/kd"
ON_A_GPU = {
    "revision": None,
    "dirty": None,
    "versions": {"torch": "2.9"},
    "processor": "Some processor",
    "device": "NVIDIA H200",
    "threads": 1,
    "finished": "2026-01-02T03:04:05+00:00",
    "data": {"name": "digits", "fingerprint": "ab" * 32, "official": None},
    "teacher_weights": None,
}
COST = {"step_seconds": None, "cohort_seconds": 20.0, "cohort_members": 3, "cohort_estimated_seconds": 18.0}
POINTS = {"x": [0.5, 1.0], "y": [1.0, 0.5], "label": [3, 4]}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Jobs of two pairs of the leaderboard over three seeds, of analyses and probes, and one given teacher."""
    nothing = str(tmp_path_factory.mktemp("nothing"))
    words = ["leaderboard", "--profile", "digits", "--results", nothing, "--checkpoints", nothing]
    session = Session(parse(words), print)
    chosen = [leaderboard.load().select(METHODS, PAIRS), reader.load("2"), reader.load("4"), reader.load("2", "figure")]
    plans = [session.plan([table], (0, 1, 2) if table.kind == "leaderboard" else (0,)) for table in chosen]
    given = ConfigResolver(load_profile("digits"), {}, given={"wrn-40-2": Weights("ab" * 32, "somewhere")})
    teacher = given.teacher(TeacherChoice("CRD100", "wrn-40-2"))
    found = {job.id: job for job in (*(job for plan in plans for job in plan.jobs), teacher)}
    assert {job.kind for job in found.values()} == set(KINDS)
    return list(found.values())


def write_record(folder, job, **given: Any):
    """Write the record of a job into a folder of results; returns its path."""
    points = {"points": POINTS} if job.kind == "analyse" and job.measure == "tsne" else {}
    cost = {"cost": COST} if job.kind in ("train", "stage", "probe") else {}
    path = Store(folder / "digits", folder).record_path(job)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(raw_record(job, **({"provenance": ON_A_GPU} | points | cost | given))))
    return path


@pytest.fixture(scope="module")
def all_records(jobs, tmp_path_factory):
    """A folder of results with the records of all jobs."""
    folder = tmp_path_factory.mktemp("all") / "results"
    for job in jobs:
        write_record(folder, job)
    return folder


@pytest.fixture
def filled(all_records, tmp_path):
    """The test's folder of results with the records of all jobs."""
    shutil.copytree(all_records, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def kd(resolver):
    teacher, student = PAIRS[0].split(":")
    return resolver().run("CRD100", student, parse_method("kd"), TeacherChoice("CRD100", teacher), 0)


COMMANDS = {
    "a table": ("--table", "11", "--render"),
    "the leaderboard": ("leaderboard", "--render"),
    "a check": ("--table", "11", "--render", "--check"),
    "a plan": ("--table", "11", "--plan"),
    "the status": ("status", "--table", "11"),
    "claims": ("claims",),
    "a cell": ("why", CELL),
    "a run": ("why", "{id}"),
    "an export": ("export", f"{CELL}/seed0"),
}
STATUSES = {"a check": 1, "an export": 2}
"""Where it is not 0: no table was written before, and no weights are there."""


class TestOnAGpu:
    pytestmark = pytest.mark.usefixtures("filled")

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_works(self, name, command, kd):
        shown = command(*(word.format(id=kd.id) for word in COMMANDS[name]))
        assert shown.status == STATUSES.get(name, 0), shown.err
        assert shown.err.count("\n") == (name == "an export")

    def test_tables_the_page_and_a_check_of_them(self, command, tmp_path):
        words = ("--table", "2,4,11", "--figure", "2", "--leaderboard", "--render")
        shown = command(*words)
        assert shown.err == ""
        assert command(*words, "--check").status == 0
        text = (tmp_path / "results" / "leaderboard.html").read_text()
        page = json.loads(re.search(r'id="page-data">(.*?)</script>', text, re.DOTALL)[1])
        board = next(board for board in page["boards"] if board["name"] == "digits")
        assert board["cells"]["kd"][PAIRS[0]]["cost"] == {"relative": None, "extra_parameters": 7}
        assert TIMING[None] in board["notes"]
        assert {run["seconds"] for run in board["runs"].values()} == {None}
        markdown = (tmp_path / "results" / "digits" / "leaderboard" / "leaderboard.md").read_text()
        assert TIMING[None] in markdown
        assert TIMING[None] in shown.words

    def test_what_rests_on_a_number_is_told(self, command):
        words = command("why", CELL).words
        assert "its cohort of 3 took 20.0 s" in words
        assert "NVIDIA H200, 1 thread, Some processor" in words
        assert "no revision known" in words


def changed(change):
    def spoil(path, text):
        raw = json.loads(text)
        change(raw)
        path.write_text(json.dumps(raw))

    return spoil


def tree(root):
    """All that lies below the records, and what was set aside."""
    return {
        path: (path.lstat().st_mode, path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for name in ("records", "set-aside")
        for path in (root / name).rglob("*")
    }


class TestUnfit:
    """A store in which one record is a pipe, which nobody can read."""

    @pytest.fixture
    def path(self, filled, kd):
        path = Store(filled / "digits", filled).record_path(kd)
        path.unlink()
        os.mkfifo(path)
        return path

    @pytest.mark.parametrize("name", COMMANDS)
    def test_is_named_and_left_out_everywhere(self, name, path, command, kd, tmp_path):
        before = tree(tmp_path / "results" / "digits")
        shown = command(*(word.format(id=kd.id) for word in COMMANDS[name]))
        first, *others = shown.err.splitlines()
        assert first.startswith(f"warning: record {path} is left out: it ")
        assert len(others) == (name == "an export")
        assert shown.status == STATUSES.get(name, 0)
        assert tree(tmp_path / "results" / "digits") == before

    def test_stops_training_before_it_starts(self, path, command, tmp_path):
        before = tree(tmp_path / "results" / "digits")
        shown = command("--table", "11", "--pairs", PAIRS[0], "--methods", "kd", "--seeds", "1")
        *_, last = shown.err.splitlines()
        assert shown.status == 2
        assert last.startswith(f"error: record {path} is in the way, and it ")
        assert tree(tmp_path / "results" / "digits") == before


class TestNewer:
    """A store that a newer revision wrote to."""

    @pytest.fixture
    def path(self, filled, kd):
        path = Store(filled / "digits", filled).record_path(kd)
        changed(lambda raw: raw.update(schema=2, metrics={"of": "another form"}))(path, path.read_text())
        return path

    @pytest.mark.parametrize("name", [*COMMANDS, "training"])
    def test_is_an_error_everywhere_and_loses_nothing(self, name, path, command, kd, tmp_path):
        before = tree(tmp_path / "results" / "digits")
        shown = command(*(word.format(id=kd.id) for word in COMMANDS.get(name, ("--table", "11", "--retry-failed"))))
        assert shown.status == 2
        assert shown.err == (
            f"error: record {path} was written by a newer revision of the project (its schema is 2, and this revision "
            "knows none beyond 1): update the project, or choose another folder with --results\n"
        )
        assert tree(tmp_path / "results" / "digits") == before
        assert not (tmp_path / "checkpoints" / "digits").exists()

    def test_the_newer_revision_reads_both(self, filled, kd, command, monkeypatch):
        path = write_record(filled, kd)
        changed(lambda raw: raw.update(schema=2, more="of it"))(path, path.read_text())
        monkeypatch.setattr("benchmark.runs.record_file.SCHEMA", 2)
        before = path.read_bytes()
        assert command("--table", "11", "--render").err == ""
        assert path.read_bytes() == before
