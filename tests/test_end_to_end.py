"""The real command, in processes of its own: trains, writes, is interrupted and killed, and goes on."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark import devices
from benchmark.config.overrides import load_profile, parse_changes
from benchmark.config.resolve import ConfigResolver
from benchmark.config.teachers import TeacherChoice, Weights
from benchmark.runs.job import Job
from benchmark.runs.names import parse_method, parse_pair
from benchmark.runs.store import Store
from benchmark.tables.reader import load

ROOT = Path(__file__).parents[1]
FEW = ["epochs=1", "train_limit=64"]
CHANGES = ["epochs=12", "milestones=[8]", "train_limit=64", "batch_size=32", "evaluate_every=100"]
PAIR = "wrn-16-10:wrn-10-10"
TABLE = ("--table", "6", "--pairs", PAIR, "--methods", "kd,srrl", "--seeds", "1", "--jobs", "1", "--profile", "digits")
DEADLINE = 600.0
"""Seconds after which a command hangs, however busy the machine is."""
ELSEWHERE = shutil.ignore_patterns(".shared")
"""What would lead from a copy of the results to the weights beside the original."""
INTERRUPTED = 130


@dataclass(frozen=True)
class Place:
    """A pair of folders to run the command in."""

    root: Path

    @property
    def store(self) -> Store:
        folder = _book().folder
        return Store(self.root / "results" / folder, self.root / "checkpoints" / folder)

    @property
    def pause(self) -> Path:
        """A file that stops a run of the command that is started next, see ``tests/pausing``."""
        return self.root / "pause"

    def start(self, *more: str) -> subprocess.Popen[str]:
        """The command on the table."""
        path = os.pathsep.join([str(ROOT / "tests/pausing"), str(ROOT)])
        paused = {"PYTHONPATH": path, "PAUSE": str(self.pause)} if self.pause.exists() else {}
        return _start(self.root, *TABLE, *_set(CHANGES), *more, environment=paused)

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        return _finish(self.start(*more))

    def results(self) -> dict[str, tuple[object, ...]]:
        """Metrics, curves and weights by run."""
        found = {}
        for job in _jobs():
            weights = self.store.weights_path(job).read_bytes()
            found[str(job)] = (*_measured(self.store.record_path(job)), weights)
        return found

    def logs(self) -> list[str]:
        return [self.store.log_path(job).read_text(encoding="utf-8") for job in _jobs()]


def _measured(path):
    """Status, metrics, curves and the teacher's weights of a record."""
    record = json.loads(path.read_text(encoding="utf-8"))
    return record["status"], record["metrics"], record["curves"], record["provenance"]["teacher_weights"]


def _texts(paths):
    """What stands in those files that are there."""
    return [path.read_text(encoding="utf-8") for path in paths if path.is_file()]


def _book():
    return ConfigResolver(load_profile("digits"), parse_changes(CHANGES))


def _jobs():
    """The teacher, KD and Ours."""
    teacher, student = PAIR.split(":")
    recipe = load("6").recipe
    methods = [parse_method(name) for name in ("kd", "srrl")]
    students = [_book().run(recipe, student, method, TeacherChoice(recipe, teacher), 0) for method in methods]
    return [students[0].teacher, *students]


def _start(root, *arguments, environment=None):
    """The command as a process that leads a group of its own, like one started in a terminal."""
    folders = ["--results", f"{root}/results", "--checkpoints", f"{root}/checkpoints"]
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run_all.py"), *arguments, *folders],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "KD_DATA"} | (environment or {}),
        start_new_session=True,
    )


def _finish(process):
    out, err = process.communicate(timeout=DEADLINE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _set(changes):
    return [word for change in changes for word in ("--set", change)]


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
    shutil.copytree(first_call[0].root, tmp_path / "trained", ignore=ELSEWHERE)
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
    assert "0 of 3 jobs are here; to do: 3 runs in 2 cohorts on 1 process (cpu), roughly " in done.stdout
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
    assert "3 of 3 jobs are in" in done.stdout
    assert "nothing to do" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def _move(store, job, processor):
    """Let a run's record come from another processor."""
    path = store.record_path(job)
    record = json.loads(path.read_text(encoding="utf-8"))
    record["provenance"]["processor"] = processor
    path.write_text(json.dumps(record), encoding="utf-8")
    return path.read_bytes()


def test_a_failed_run_and_one_of_another_machine_are_trained_again_across_an_interrupt(trained):
    store, (teacher, kd, srrl) = trained.store, _jobs()
    expected, paths = trained.results(), [store.record_path(job) for job in (teacher, kd, srrl)]
    for job in (teacher, srrl):
        _move(store, job, "another one")
    store.record_path(kd).unlink()
    store.write(kd, "failed", {"device": "cpu", "threads": 1}, failure={"reason": "diverged"})
    before = [path.read_bytes() for path in paths]
    assert "nothing to do" in trained.run().stdout

    trained.pause.write_text("kd epoch 3/")
    again = ("--retrain", "--retry-failed")
    process = trained.start(*again, "--checkpoint-seconds", "0")
    _wait_for(store.checkpoint_path(kd).exists, "a student's checkpoint")
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (INTERRUPTED, "")
    assert "\nstopping, checkpoints are kept" in out
    assert "to train again: 1 run from another machine (processor: another one, here " in out
    assert "1 of 3 jobs are here; to do: 2 runs in 1 cohort on 1 process (cpu)" in out
    assert out.splitlines()[-1] == "stopped: 0 jobs finished and kept, 2 left. The same command goes on."
    _wait_for(lambda: not _alive(process.pid), "what multiprocessing tidies up with")
    assert [path.read_bytes() for path in paths] == before

    done = trained.run(*again)
    assert done.returncode == 0, done.stderr
    assert ["resumed after epoch" in log for log in trained.logs()] == [False, True, True]
    assert paths[0].read_bytes() == before[0]
    made = [json.loads(path.read_text(encoding="utf-8"))["provenance"]["processor"] for path in paths]
    assert made == ["another one", *[devices.processor()] * 2]
    assert trained.results() == expected

    written = [path.read_bytes() for path in paths]
    assert "nothing to train again" in trained.run(*again).stdout
    assert [path.read_bytes() for path in paths] == written


def test_commands_at_once_train_nothing_twice(tmp_path, first_call):
    """Two share the folders of results and checkpoints, a third one only the results."""
    shared, other = Place(tmp_path / "shared"), Place(tmp_path / "other")
    (tmp_path / "results").mkdir()
    for place in (shared, other):
        place.root.mkdir()
        (place.root / "results").symlink_to(tmp_path / "results")
    processes = [shared.start(), shared.start(), other.start()]
    outputs = [process.communicate(timeout=DEADLINE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert [err for _, err in outputs] == ["", "", ""]
    assert all("Table 6." in out for out, _ in outputs)
    logs = ["".join(_texts(place.store.log_path(job) for place in (shared, other))) for job in _jobs()]
    assert [log.count("done: ") for log in logs] == [1, 1, 1]
    assert [log.count("epoch 1/") for log in logs] == [1, 1, 1]
    for job in _jobs():
        *measured, weights = first_call[0].results()[str(job)]
        assert [*_measured(shared.store.record_path(job))] == measured
        paths = [place.store.weights_path(job) for place in (shared, other)]
        assert {path.read_bytes() for path in paths if path.exists()} == {weights}


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_out_of_time_then_killed_then_finished(place, first_call):
    teacher, *students = _jobs()
    checkpoint = place.store.checkpoint_path(students[0])

    stopped = place.run("--time-budget", "1s")
    assert stopped.returncode == 0, stopped.stderr
    assert "the time is over; what was begun goes on from its checkpoint" in stopped.stdout
    assert "The same command goes on." in stopped.stdout
    assert not any(place.store.record_path(job).exists() for job in (teacher, *students))

    place.pause.write_text("kd epoch 9/")
    process = place.start("--checkpoint-seconds", "0")
    _wait_for(checkpoint.exists, "a student's checkpoint")
    process.kill()
    process.wait()
    place.pause.unlink()
    _wait_for(lambda: not _alive(process.pid), "the workers to end by themselves")
    assert process.stderr.read() == ""
    process.stdout.close()
    process.stderr.close()
    assert place.store.record_path(teacher).is_file()
    assert not place.store.record_path(students[0]).exists()

    finished = place.run()
    assert finished.returncode == 0
    assert re.search(r"seed 0.*: resumed after epoch \d+ of 12\n", finished.stdout)
    assert ["resumed after epoch" in log for log in place.logs()] == [False, True, True]
    assert place.results() == first_call[0].results()


def _read_until(process, beginning):
    """Read the output up to a line."""
    while not (line := process.stdout.readline()).startswith(beginning):
        assert line, f"the output has no line that begins with {beginning}"


def _workers(group):
    """Process ids of the workers of a command."""
    return [int(pid) for pid in _alive(group) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_an_interrupt_is_answered_at_once_and_a_second_one_does_not_wait_for_the_workers(place):
    place.pause.write_text("student epoch 1/")
    process = place.start()
    _read_until(process, "started")
    _wait_for(lambda: _workers(process.pid), "a worker with its arguments, which it has a moment after it is started")
    [worker] = _workers(process.pid)
    os.kill(worker, signal.SIGSTOP)  # so it cannot stop by itself
    os.killpg(process.pid, signal.SIGINT)
    _read_until(process, "stopping, checkpoints are kept")
    assert _workers(process.pid) == [worker]
    for _ in range(5):
        os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode in (INTERRUPTED, -signal.SIGINT)  # Python ignores signals no more at its very end
    assert "Traceback" not in out
    assert err == ""
    _wait_for(lambda: not _alive(process.pid), "the workers to end")


def test_interrupts_while_modules_are_imported_are_quiet():
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'benchmark.cli.session': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = ['run_all.py', '--table', '6']\n"
        "from benchmark.cli.start import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGINT
    assert (done.stdout, done.stderr) == ("", "")


def test_an_error_inside_a_worker_is_one_line(tmp_path):
    for split in ("train", "test"):
        path = tmp_path / "cifar100" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no Parquet")
    paper = ["--profile", "paper", "--device", "cpu", "--force", "--data", str(path.parent), *_set(FEW)]
    done = _finish(_start(tmp_path, *TABLE, *paper))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "not a readable Parquet file" in done.stderr
    assert not list((tmp_path / "results").rglob("*.json"))


class Small:
    """Folders to run the command in on two batches."""

    def __init__(self, root: Path, *changes: str) -> None:
        self._set = _set([*FEW, *changes])
        self.resolver = ConfigResolver(load_profile("digits"), parse_changes([*FEW, *changes]))
        self.results = root / "results" / self.resolver.folder
        self.store = Store(self.results, root / "checkpoints" / self.resolver.folder)
        self._root = root

    def run(self, *arguments: str) -> SimpleNamespace:
        """What the command said, in words with single spaces between them."""
        common = ["--profile", "digits", "--seeds", "1", "--jobs", "1", *self._set]
        done = _finish(_start(self._root, *arguments, *common))
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return SimpleNamespace(out=done.stdout, words=" ".join(done.stdout.split()))

    def record(self, job: Job) -> dict[str, Any]:
        return json.loads(self.store.record_path(job).read_text(encoding="utf-8"))

    def records(self) -> set[Path]:
        return set((self.results / "records").rglob("*.json"))


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)


def test_table_of_analyses_and_figure(tmp_path):
    small = Small(tmp_path, "holdout=90")  # measured on few images, for the time that pictures take
    said = small.run("--table", "2", "--figure", "2", "--methods", "srrl")
    teacher = TeacherChoice("C100", "wrn-40-4")
    run = small.resolver.run("C100", "wrn-16-4", parse_method("srrl"), teacher, 0)
    similarity = small.resolver.analysis("similarity", run, teacher)
    pictures, clusters = (
        [small.resolver.analysis(measure, subject, None) for subject in (run, run.teacher)]
        for measure in ("tsne", "clusters")
    )
    jobs = [run, run.teacher, similarity, *pictures, *clusters]
    assert small.records() == {small.store.record_path(job) for job in jobs}
    assert "0 of 7 jobs are here; to do: 2 runs, 5 analyses in" in said.words
    values, top1 = small.record(similarity)["metrics"]["last"], small.record(run)["metrics"]["last"]["top1"]
    assert f"L_FM+L_SR {values['kl_teacher']:.4f} {values['cross_entropy']:.4f} {top1:.2f} paper" in said.words
    lines = (small.results / "tables" / "table02.csv").read_text(encoding="utf-8").splitlines()
    hidden = [line.split(",") for line in lines if "kl_div_with_student" in line and "L_FM+L_SR" in line]
    assert [float(line[4]) for line in hidden] == [pytest.approx(values["kl_student"], abs=5e-5)]
    nmi = small.record(clusters[0])["metrics"]["last"]["nmi"]
    assert f"L_FM+L_SR: 90 images, top-1 {top1:.2f}, NMI {nmi:.2f} Teacher: 90 images" in said.words
    assert len(small.record(pictures[0])["points"]["x"]) == 90
    starts = {path.suffix: path.read_bytes()[:4] for path in (small.results / "figures").glob("figure02.*")}
    assert (starts[".png"], starts[".pdf"]) == (b"\x89PNG", b"%PDF")


def test_a_chain_of_teachers_is_trained_in_its_order_and_once(small):
    pair = "resnet56>resnet32[kd]:resnet20"
    arguments = ("--table", "11", "--methods", "kd", "--pairs")
    said = small.run(*arguments, " resnet56 > resnet32[kd] : resnet20")
    choice = TeacherChoice.of(parse_pair(pair), "CRD100")
    student = small.resolver.run("CRD100", "resnet20", parse_method("kd"), choice, 0)
    assistant, first = student.teacher, student.teacher.teacher
    assert small.records() == {small.store.record_path(job) for job in (first, assistant, student)}
    order = [f"done {name} seed 0" for name in ("none:resnet56 student", "resnet56:resnet32 kd", f"{pair} kd")]
    assert [said.words.index(words) for words in order] == sorted(said.words.index(words) for words in order)
    for taught, teacher in ((assistant, first), (student, assistant)):
        kept = small.store.teacher_path(teacher)
        used = small.record(taught)["provenance"]["teacher_weights"]
        assert used == hashlib.sha256(kept.read_bytes()).hexdigest() == small.record(teacher)["weights"]
    numbers = [f"{small.record(job)['metrics']['last']['top1']:.2f}" for job in (assistant, student)]
    assert f"Teacher {numbers[0]} KD {numbers[1]} One run, seed 0" in said.words
    assert "mixes" not in said.words
    tables = {path.name for path in (small.results / "tables").glob("*.md")}
    assert tables == {"table11.md", "table11+resnet56--resnet32[kd]--resnet20.md"}

    again = small.run(*arguments, pair)
    assert "3 of 3 jobs are in" in again.words
    assert "nothing to do" in again.words


def test_given_teacher_tuned_method_and_one_that_does_not_apply_in_one_call(small, tmp_path):
    import torch

    import models

    path = tmp_path / "ckpt.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        teacher = models.create("wrn-40-2", 10, 8, 0.25)
    torch.save({"epoch": 240, "model": teacher.state_dict()}, path)
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    methods = ("--methods", "kd,fsp,srrl[tuned]")
    arguments = ("--table", "11", "--pairs", "wrn-40-2:wrn-40-1", *methods, "--teacher", f"wrn-40-2={path}")
    said = small.run(*arguments)
    resolver = replace(small.resolver, given={"wrn-40-2": Weights(sha, path)})
    recipe, student, chosen_teacher = "CRD100", "wrn-40-1", TeacherChoice("CRD100", "wrn-40-2")
    kd, fsp = (resolver.run(recipe, student, parse_method(name), chosen_teacher, 0) for name in ("kd", "fsp"))
    tuned = parse_method("srrl[tuned]")
    trials = resolver.trials(recipe, student, tuned, chosen_teacher)
    trial_top1 = [small.record(trial)["metrics"]["last"]["top1"] for trial in trials]
    best = tuned.trials[trial_top1.index(max(trial_top1))]
    chosen = resolver.run(recipe, student, best, chosen_teacher, 0)
    assert [job.recipe.holdout for job in (kd, *trials, chosen)] == [0, 120, 120, 120, 0]
    assert small.records() == {small.store.record_path(job) for job in (kd.teacher, kd, fsp, *trials, chosen)}
    assert "0 of 6 jobs are here; to do: 1 evaluation, 4 runs, 1 not applicable in " in said.words
    assert "5 of 7 jobs are here; to do: 1 run" in said.words

    assert f"teacher wrn-40-2 from a file (SHA-256 {sha[:12]})" in said.words
    given, student_record = small.record(kd.teacher), small.record(kd)
    assert given["given"] == {"file": "ckpt.pth"}
    weights = small.store.weights_path(kd.teacher).read_bytes()
    assert student_record["provenance"]["teacher_weights"] == hashlib.sha256(weights).hexdigest()
    shown = said.words.replace("*", "")  # marks the best student
    assert f"Teacher {given['metrics']['last']['top1']:.2f} paper" in shown
    assert f"KD {student_record['metrics']['last']['top1']:.2f} paper" in shown

    assert f"SRRL[tuned] on wrn-40-2:wrn-40-1 is {best.label}, the best of 3 on 120 training images" in said.words
    assert f"SRRL[tuned] {small.record(chosen)['metrics']['last']['top1']:.2f} " in shown

    reason = "FSP needs maps of equal channels, but wrn-40-1 has 8, 8, 16, 32 where wrn-40-2 has 4, 8, 16, 32"
    assert small.record(fsp)["status"] == "not_applicable"
    assert small.record(fsp)["failure"] == {"reason": reason}
    assert "FSP n/a paper 0.00" in said.words
    assert f"Not applicable: wrn-40-2 -> wrn-40-1, FSP: {reason}." in said.words

    before = {path: path.read_bytes() for path in small.records()}
    second = small.run(*arguments)
    assert "6 of 7 jobs are in" in second.words  # one does not apply
    assert "nothing to do" in second.words
    assert said.out.partition("Table 11.")[2] == second.out.partition("Table 11.")[2]
    assert {path: path.read_bytes() for path in small.records()} == before
