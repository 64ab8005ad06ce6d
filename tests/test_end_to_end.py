"""The real command, in processes of its own: trains, writes, is interrupted and killed, and goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmark.recipes import Book, load_profile, parse_changes
from benchmark.store import Store
from benchmark.tables import load

ROOT = Path(__file__).parents[1]
CHANGES = ["epochs=40", "milestones=[30]", "train_limit=64", "batch_size=32", "evaluate_every=100"]
PAIR = "wrn-16-10:wrn-10-10"
TABLE = ("--table", "6", "--pairs", PAIR, "--methods", "kd,srrl", "--seeds", "1", "--jobs", "1", "--profile", "digits")
DEADLINE = 120.0
INTERRUPTED = 130


@dataclass(frozen=True)
class Place:
    """A pair of folders to run the command in."""

    root: Path

    @property
    def store(self) -> Store:
        folder = _book().folder
        return Store(self.root / "results" / folder, self.root / "checkpoints" / folder)

    def start(self, *more: str) -> subprocess.Popen[str]:
        """The command as a process that leads a group of its own, like one started in a terminal."""
        changes = [word for change in CHANGES for word in ("--set", change)]
        folders = ["--results", f"{self.root}/results", "--checkpoints", f"{self.root}/checkpoints"]
        return subprocess.Popen(
            [sys.executable, str(ROOT / "run_all.py"), *TABLE, *changes, *folders, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={key: value for key, value in os.environ.items() if key != "KD_DATA"},
            start_new_session=True,
        )

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*more)
        out, err = process.communicate(timeout=DEADLINE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def results(self) -> dict[str, tuple[object, ...]]:
        """Metrics, curves and weights by run."""
        found = {}
        for job in _jobs():
            record = json.loads(self.store.record_path(job).read_text(encoding="utf-8"))
            weights = self.store.weights_path(job).read_bytes()
            teacher = record["provenance"]["teacher_weights"]
            found[str(job)] = (record["status"], record["metrics"], record["curves"], teacher, weights)
        return found

    def logs(self) -> list[str]:
        return [self.store.log_path(job).read_text(encoding="utf-8") for job in _jobs()]


def _book():
    return Book(load_profile("digits"), parse_changes(CHANGES))


def _jobs():
    """The teacher, KD and Ours."""
    from benchmark.objectives import parse_method

    teacher, student = PAIR.split(":")
    students = [_book().job(load("6").recipe, student, parse_method(name), teacher, 0) for name in ("kd", "srrl")]
    return [students[0].teacher, *students]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture(scope="session")
def first_call(tmp_path_factory):
    """The command on empty folders, and what it said."""
    place = Place(tmp_path_factory.mktemp("first"))
    return place, place.run()


@pytest.fixture
def trained(first_call, tmp_path):
    """A copy of folders in which everything is trained."""
    shutil.copytree(first_call[0].root, tmp_path / "trained")
    return Place(tmp_path / "trained")


def _wait_for(condition, what):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def _alive(group):
    """Processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text(encoding="utf-8").rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(path.parent.name)
    return found


def test_trains_from_nothing_and_renders(first_call):
    place, done = first_call
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("profile digits (")
    assert "training 3 in 2 cohorts on 1 process (cpu)" in done.stdout
    assert "Table 6." in done.stdout
    results = place.results()
    assert [result[0] for result in results.values()] == ["done"] * 3
    for result in results.values():
        assert f"{result[1]['last']['top1']:.2f}" in done.stdout
    tables = place.store.results / "tables"
    assert {path.name for path in tables.iterdir()} == {"table06.md", "table06.tex", "table06.csv"}
    header = (tables / "table06.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "table,row,column,metric,mean,std,n,paper,difference,state"


def test_second_call_trains_nothing(trained):
    before = {path: path.stat().st_mtime_ns for path in trained.root.rglob("*") if path.suffix in (".json", ".log")}
    done = trained.run()
    assert done.returncode == 0
    assert "3 of 3 runs are in" in done.stdout
    assert "nothing to train" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_failed_run_is_retried_when_asked(trained):
    expected, job = trained.results(), _jobs()[1]
    trained.store.write(job, "failed", {"device": "cpu", "threads": 1}, failure={"reason": "diverged"})
    assert "nothing to train" in trained.run().stdout
    done = trained.run("--retry-failed")
    assert done.returncode == 0, done.stderr
    assert "training 1 in 1 cohorts" in done.stdout
    assert trained.results() == expected


def test_two_commands_share_the_work(place, first_call):
    processes = [place.start(), place.start()]
    outputs = [process.communicate(timeout=DEADLINE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [err for _, err in outputs] == ["", ""]
    assert all("Table 6." in out for out, _ in outputs)
    assert [log.count("done: ") for log in place.logs()] == [1, 1, 1]
    assert [log.count("epoch 1/") for log in place.logs()] == [1, 1, 1]
    assert place.results() == first_call[0].results()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_interrupted_then_killed_then_finished(place, first_call):
    teacher, *students = _jobs()
    checkpoint = place.store.checkpoint_path(students[0])

    process = place.start("--checkpoint-seconds", "0")
    _wait_for(checkpoint.exists, "a student's checkpoint")
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == INTERRUPTED
    assert out.splitlines()[-1] == "stopped: 1 runs finished and kept, 2 left. The same command goes on."
    assert err == ""
    _wait_for(lambda: not _alive(process.pid), "what multiprocessing tidies up with")
    assert place.store.record_path(teacher).is_file()
    assert not place.store.record_path(students[0]).exists()

    before = checkpoint.stat().st_mtime_ns
    process = place.start("--checkpoint-seconds", "0")
    _wait_for(lambda: checkpoint.stat().st_mtime_ns != before, "a newer checkpoint")
    process.kill()
    process.wait()
    _wait_for(lambda: not _alive(process.pid), "the workers to end by themselves")
    assert process.stderr.read() == ""
    process.stdout.close()
    process.stderr.close()
    assert not place.store.record_path(students[0]).exists()

    assert place.run().returncode == 0
    assert ["resumed after epoch" in log for log in place.logs()] == [False, True, True]
    assert place.results() == first_call[0].results()


def test_interrupt_at_the_start_leaves_no_traceback(place):
    process = place.start()
    for line in process.stdout:
        if line.startswith("started"):
            break
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == INTERRUPTED
    assert "stopped: 0 runs finished and kept, 3 left" in out
    assert err == ""


@pytest.mark.parametrize(
    ("data", "hint"), [("nowhere", "there is no such folder"), ("cifar100", "not a readable Parquet file")]
)
def test_errors_inside_a_worker_are_one_line(data, hint, tmp_path):
    for split in ("train", "test"):
        path = tmp_path / "cifar100" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no Parquet")
    folders = ["--results", f"{tmp_path}/results", "--checkpoints", f"{tmp_path}/checkpoints"]
    paper = ["--profile", "paper", "--device", "cpu", "--force", "--data", str(tmp_path / data)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_all.py"), *TABLE, *paper, *folders],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=DEADLINE,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert hint in done.stderr
    assert not list(tmp_path.rglob("*.json"))
