"""The command without training: what it says, writes, refuses and returns."""

import hashlib
import json
import re
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import models
from benchmark import devices
from benchmark.cli import run as run_command
from benchmark.cli.session import START_SECONDS, UNCERTAIN, Session
from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.errors import UserError
from benchmark.execution.local import LocalExecutor, Outcome
from benchmark.planning.planner import make_plan
from benchmark.runs.store import Store
from benchmark.tables import reader
from tests.benchmark.made_up import parts

ROOT = Path(__file__).parents[3]
SMALL = ("--table", "9", "--methods", "srrl", "--seeds", "1")
CELL = "table06/wrn-40-4:wrn-16-2/kd"
ONE_PAIR = ("--pairs", "wrn-40-4:wrn-16-2", "--methods", "kd,srrl", "--seeds", "1")


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    """Two cores, and memory for all that these can do."""
    monkeypatch.setattr(devices, "cores", lambda: 2)
    monkeypatch.setattr(devices, "in_memory", lambda: 2)


@pytest.fixture
def process(folders):
    """The same as a process of its own, with whatever Python code in place of the command."""

    def run(*arguments, code=None):
        program = ["-c", code] if code else [str(ROOT / "run_all.py")]
        return subprocess.run(
            [sys.executable, *program, *arguments, *folders], capture_output=True, text=True, cwd=ROOT, check=False
        )

    return run


@pytest.fixture
def plan(tmp_path):
    """The plan of one pair, and the store that the command would use."""
    store = Store(tmp_path / "results" / "digits", tmp_path / "checkpoints" / "digits")
    table = reader.load("6").select(["kd", "srrl"], ["wrn-40-4:wrn-16-2"])
    resolver = ConfigResolver(load_profile("digits"), {})
    made = make_plan([table], resolver, [0], store)
    return SimpleNamespace(jobs=made.jobs, store=store)


@pytest.fixture
def fill(plan):
    """Writes records as if runs had been trained: the first ``count`` of teacher, KD and Ours."""

    def write(count=3, status="done"):
        for number, job in enumerate(plan.jobs[:count]):
            last = {"epoch": 6, "top1": 90.0 + number, "topk": 99.0, "loss": 0.3}
            metrics = {"params": 1000, "last": last, "best": last}
            facts = {"device": "cpu", "threads": 1, "data": {"official": True}}
            plan.store.write(job, status, facts, **parts(job.kind, status, metrics=metrics))
            plan.store.weights_path(job).parent.mkdir(parents=True, exist_ok=True)
            plan.store.weights_path(job).write_bytes(b"weights")

    return write


def test_plan_for_machines(command, plan, fill):
    shown = command("--table", "6", *ONE_PAIR, "--jobs", "1", "--plan", "--json")
    assert "profile digits" in shown.err
    before = json.loads(shown.out)
    assert set(before) == {"runs", "cohorts"}
    assert [run["state"] for run in before["runs"]] == ["missing"] * 3
    keys = {"id", "kind", "table_cells", "dataset", "teacher", "student", "method", "seed", "state"}
    assert all(set(run) == keys for run in before["runs"])
    student = next(run for run in before["runs"] if run["method"] == "kd")
    assert "table06/wrn-40-4:wrn-16-2/kd/top1" in student["table_cells"]
    assert (student["dataset"], student["teacher"], student["student"]) == ("digits", "wrn-40-4", "wrn-16-2")
    assert [set(cohort) for cohort in before["cohorts"]] == [{"runs", "teacher", "estimated_seconds"}] * 2
    assert [cohort["teacher"] for cohort in before["cohorts"]] == [None, "wrn-40-4"]
    fill(2)
    after = json.loads(command("--table", "6", *ONE_PAIR, "--plan", "--json").out)
    assert sorted(run["state"] for run in after["runs"]) == ["cached", "cached", "missing"]
    assert [cohort["runs"] for cohort in after["cohorts"]] == [[plan.jobs[2].id]]


def test_a_plan_is_its_counts_unless_verbose(command):
    whole = command("--table", "6", "--seeds", "1", "--plan", "--verbose").out.splitlines()
    brief = command("--table", "6", "--seeds", "1", "--plan").out.splitlines()
    assert [line for line in whole if line in brief] == brief
    assert len(whole) - len(brief) > 60
    assert any(line.startswith("cohort 1: no teacher ->") for line in whole)
    assert not any("cohort 1:" in line or "seed 0" in line for line in brief)
    assert {"90 cells, 66 jobs (66 runs): 66 missing", "  C100: 66 runs"} <= {*brief}
    [line] = [line for line in brief if line.startswith("66 to do in ")]
    assert line.endswith(" on 2 x cpu (rough: from counted operations)")
    assert ", roughly " in line
    assert "MiB of checkpoints, weights and logs in" in brief[-1]


def test_a_plan_rests_on_the_records_of_this_machine(command, plan):
    for job in plan.jobs[:2]:
        last = {"epoch": 6, "top1": 90.0, "topk": 99.0, "loss": 0.3}
        cost = {"step_seconds": 1.5, "cohort_seconds": 9.0, "cohort_members": 1, "images": 7182}
        facts = {"processor": devices.processor(), "device": "cpu", "threads": 1}
        left = parts("train", metrics={"last": last}, cost=cost)
        plan.store.write(job, "done", facts, **left)
    shown = command("--table", "6", *ONE_PAIR, "--plan")
    assert ", about " in shown.out
    assert " on 2 x cpu (from 2 records of this machine)" in shown.out
    assert "roughly" in command("--table", "6", *ONE_PAIR, "--plan", "--threads", "2").out


def test_all_tables_are_the_whole_paper_with_its_figure(command):
    brief = command("--table", "all", "--plan").out
    assert "588 cells, " in brief
    assert "60 probes" in brief
    cells = json.loads(command("--figure", "all", "--seeds", "1", "--plan", "--json").out)["runs"]
    assert {name.partition("/")[0] for run in cells for name in run["table_cells"]} == {"figure02"}
    assert len(cells) == 5 + 5 + 5  # five networks, the picture and the clusters of each


@pytest.fixture
def elsewhere(plan, fill):
    """Records of teacher, KD and Ours from another processor; returns those of the students."""

    def leave(*, here=()):
        fill()
        for job in plan.jobs:
            path = plan.store.record_path(job)
            record = json.loads(path.read_text())
            record["provenance"]["processor"] = devices.processor() if job in here else "Another (1.2.3)"
            path.write_text(json.dumps(record))
        return plan.jobs[1:]

    return leave


RETRAIN = ("--table", "6", *ONE_PAIR, "--retrain")


def test_what_another_machine_left_is_planned_to_be_trained_again(command, elsewhere):
    kd, srrl = elsewhere()
    assert "nothing to do" in command("--table", "6", *ONE_PAIR).out
    shown = command(*RETRAIN, "--plan", "--verbose")
    assert shown.status == 0
    told = f"to train again: 2 runs from another machine (processor: Another (1.2.3), here {devices.processor()})"
    assert told in shown.out
    for job in (kd, srrl):
        assert f"retrain  {job}  {job.id[:12]}" in shown.out
    assert "1 cached, 2 retrain" in shown.out
    assert "2 to do in " in shown.out
    states = json.loads(command(*RETRAIN, "--plan", "--json").out)["runs"]
    assert [run["state"] for run in states] == ["cached", "retrain", "retrain"]
    assert "threads: 1, here 2" in command(*RETRAIN, "--plan", "--threads", "2").out
    elsewhere(here=(kd,))
    assert told.replace("2 runs", "1 run") in command(*RETRAIN, "--plan").out


def test_what_is_to_be_replaced_is_trained_and_stays_where_it_fails(command, elsewhere, monkeypatch):
    kd, srrl = elsewhere()

    def run(self, cohorts, _deadline):
        store, replaced = self._config.store, self._config.replaced
        assert [job for cohort in cohorts for job in cohort.runs] == [kd, srrl]
        assert replaced == {job.id: store.read(job).provenance for job in (kd, srrl)}
        assert not store.write(kd, "failed", {}, failure={"reason": "diverged"})
        return Outcome(failed={kd: "diverged; its earlier record stays"})

    monkeypatch.setattr(LocalExecutor, "run", run)
    shown = command(*RETRAIN)
    assert shown.status == 1
    assert f"failed: {kd}: diverged; its earlier record stays (log: " in shown.out
    assert "--retry-failed" not in shown.out
    assert "91.00" in shown.out  # the earlier number


def test_given_weights_have_tables_of_their_own(command, tmp_path):
    (tmp_path / "teacher.pt").write_bytes(b"weights")
    sha = hashlib.sha256(b"weights").hexdigest()
    shown = command("--table", "6", *ONE_PAIR, "--teacher", f"wrn-40-4={tmp_path}/teacher.pt", "--render")
    assert f"changed: teacher wrn-40-4 from a file (SHA-256 {sha[:12]})" in shown.out
    assert (tmp_path / f"results/digits/tables/table06+wrn-40-4@{sha[:8]}.csv").is_file()
    assert not (tmp_path / "results/digits/tables/table06.csv").exists()


@pytest.fixture
def distillation(tmp_path, plan):
    """A file as mdistiller leaves it, with the teacher of the planned pair beside a student of another size."""
    recipe, state = plan.jobs[0].recipe, {}
    for part, name in (("student", "wrn-16-2"), ("teacher", "wrn-40-4")):
        network = models.create(name, 10, recipe.in_size, recipe.width)
        state |= {f"module.{part}.{key}": tensor for key, tensor in network.state_dict().items()}
    torch.save({"epoch": 240, "model": state, "optimizer": {}, "best_acc": torch.tensor(75.0)}, tmp_path / "latest")
    return tmp_path / "latest"


def test_a_teachers_file_is_checked_once_by_a_process_of_its_own(process, command, distillation, monkeypatch):
    words = ("--table", "6", *ONE_PAIR, "--teacher", f"wrn-40-4={distillation}", "--plan", "--profile", "digits")
    code = "import sys; from benchmark.cli.main import main; print(main(sys.argv[1:]), 'torch' in sys.modules)"
    done = process(*words, code=code)
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr
    assert f"checking {distillation} for wrn-40-4, once" in done.stdout
    taken = "wrn-40-4: its file holds a student and a teacher: the teacher is taken, as the student does not fit"
    assert taken in done.stdout
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it was checked again"))
    again = command(*words)
    assert again.status == 0
    assert taken in again.out
    assert "checking" not in again.out


def test_a_teachers_file_that_does_not_fit_is_said_before_anything_starts(command, distillation, tmp_path):
    shown = command("--table", "6", *ONE_PAIR, "--teacher", f"wrn-40-4={distillation}:student")
    assert (shown.status, shown.err.count("error: ")) == (2, 1)
    last = shown.err.splitlines()[-1]
    assert last.startswith(f"error: teacher wrn-40-4 from {distillation}: this is no wrn-40-4: student.")
    assert {path.name for path in tmp_path.iterdir()} == {"latest"}


@pytest.mark.parametrize(
    "line",
    ["--table 6 --plan", "--table 6", "leaderboard", "status", "claims", f"why {CELL}", f"export {CELL}", "check"],
)
def test_a_teachers_file_that_is_not_there_is_one_line_under_every_command(line, command, tmp_path):
    shown = command(*line.split(), "--teacher", f"wrn-40-4={tmp_path}/gone.pt")
    fault = f"error: --teacher wrn-40-4: there is no file {tmp_path}/gone.pt\n"
    assert (shown.status, shown.out, shown.err) == (2, "", fault)


def test_render_of_a_partial_cache(command, fill, tmp_path):
    fill(2)
    shown = command("--table", "6", *ONE_PAIR, "--render")
    assert shown.status == 0
    assert "1 are missing; without --render they are done" in shown.out
    assert "91.00" in shown.out
    assert "92.00" not in shown.out
    for suffix in ("md", "tex", "csv"):
        assert (tmp_path / f"results/digits/tables/table06.{suffix}").is_file()


def test_rendering_opens_the_records_of_its_own_table_and_no_others(command, plan, fill, monkeypatch):
    fill(2)
    table, resolver = reader.load("11"), ConfigResolver(load_profile("digits"), {})
    others = make_plan([table], resolver, [0, 7], plan.store).jobs
    for job in others:
        plan.store.write(job, "failed", {"device": "cpu"}, failure={"reason": "of another table"})
    touched = set()
    for name in ("read_text", "read_bytes", "open", "iterdir", "glob", "rglob"):
        usual = getattr(Path, name)
        noted = lambda path, *given, usual=usual, **named: (touched.add(path), usual(path, *given, **named))[1]  # noqa: E731
        monkeypatch.setattr(Path, name, noted)
    assert command("--table", "6", "--render").status == 0
    records = {path for path in touched if path.is_relative_to(plan.store.results / "records")}
    own = {plan.store.record_path(job) for job in make_plan([reader.load("6")], resolver, range(3), plan.store).jobs}
    assert {plan.store.record_path(job) for job in plan.jobs[:2]} <= records <= own


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--table", "99"], "unknown table '99'"),
        (["--table", "6", "--methods", "kdd"], "did you mean 'kd'?"),
        (["--table", "6", "--methods", "kd[temprature=2]"], "did you mean 'temperature'?"),
        (["--table", "6", "--methods", "q*"], "matches 'q*'"),
        (["--table", "6", "--pairs", "wrn-99-9:*"], "wrn-99-9:*"),
        (["--table", "6", "--profile", "digit"], "did you mean 'digits'?"),
        (["--table", "6", "--preset", "author"], "did you mean 'authors'?"),
        (["--figure", "6"], "unknown figure '6'"),
        (["--table", "6", "--methods", "kd[tuned]"], "kd declares no candidates"),
        (["--table", "6", "--methods", "ab+fsp"], "cannot be summed"),
        (["--table", "6", *("--teacher", f"wrn-40-4={__file__}") * 2], "wrn-40-4 is there twice: give one file"),
        (["--table", "6", "--set", "epoch=3"], "did you mean 'epochs'?"),
        (["--table", "6", "--set", "epochs"], "KEY=VALUE"),
        (["--table", "6", "--set", "epochs=many"], "epochs='many': expected a whole number"),
        (["--table", "6", "--set", "dataset=mnist"], "data set"),
        (["--table", "6", "--device", "tpu"], "use cpu, cuda, or cuda:N"),
    ],
)
def test_errors_of_a_user_are_one_line(arguments, hint, command):
    shown = command(*arguments, profile=None)
    assert shown.status == 2
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert hint in shown.err


def test_the_version_and_the_code_revision(command):
    shown = command("--version")
    assert shown.status == 0
    assert re.fullmatch(
        rf"srrl-bench {version('srrl-bench')}(, revision [0-9a-f]{{12}}(, with changes .*)?)?\n", shown.out
    )


def test_the_real_command_reports_errors_likewise(process):
    done = process("--table", "6", "--methods", "kdd")
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown method 'kdd'")
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback(command):
    with pytest.raises(UserError, match="unknown method 'kdd'"):
        command("--table", "6", "--methods", "kdd", "--debug")


@pytest.mark.parametrize("option", ["--results", "--checkpoints"])
@pytest.mark.parametrize("below", ["", "digits"])
def test_file_in_place_of_a_folder(option, below, command, tmp_path):
    file = tmp_path / option.removeprefix("--") / below
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    shown = command("--table", "6", *ONE_PAIR)
    assert (shown.status, shown.err.count("\n")) == (2, 1)
    assert shown.err.startswith("error: cannot write to")
    assert option in shown.err


def test_tables_that_cannot_be_written(command, fill, tmp_path):
    fill()
    (tmp_path / "results/digits/tables").write_text("")
    shown = command("--table", "6", *ONE_PAIR)
    assert shown.status == 2
    assert shown.err.startswith("error: cannot write to")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize("profile", ["paper", "quick", "short"])
def test_profiles_of_the_paper_s_data_ask_for_force_on_a_cpu(profile, command, worked, tmp_path):
    shown = command("--table", "6", "--device", "cpu", profile=profile)
    assert (shown.status, shown.err.count("\n")) == (2, 1)
    assert shown.err.startswith(f"error: profile {profile} on a CPU would take roughly ")
    assert "days for 188 jobs: add --force" in shown.err
    assert "--profile digits" in shown.err
    assert list(tmp_path.iterdir()) == []
    small = ("--set", "epochs=20", "--set", "train_limit=2048")
    error = command("--table", "6", "--device", "cpu", *ONE_PAIR, *small, profile=profile).err
    assert any(f" {unit} for 3 jobs" in error for unit in ("s", "min", "h"))
    words = (*SMALL, "--device", "cpu")
    assert command(*words, "--force", profile=profile).status == 0
    assert command(*words, profile=profile).status == 0  # nothing is missing now
    assert [len(jobs) for jobs in worked] == [2]


def test_a_damaged_record_is_named_and_set_aside_by_what_trains_it(command, plan, fill, worked):
    fill()
    path = plan.store.record_path(plan.jobs[1])
    text = path.read_text(encoding="utf-8").replace('"lr": 0.05', '"lr": 0.06')
    path.write_text(text, encoding="utf-8")
    shown = command("--table", "6", *ONE_PAIR, "--render")
    assert shown.status == 0
    assert shown.err.startswith(f"warning: record {path} is left out: it")
    assert "its id does not match its spec" in shown.err
    assert shown.err.count("\n") == 1
    assert "1 are missing" in shown.out
    assert path.read_text(encoding="utf-8") == text
    aside = plan.store.results / "set-aside"
    assert not aside.exists()
    shown = command("--table", "6", *ONE_PAIR)
    assert shown.status == 0
    assert worked == [[str(plan.jobs[1])]]
    [kept] = aside.rglob("*.json")
    assert kept.read_text(encoding="utf-8") == text
    assert f"; moved to {kept}" in shown.err
    assert "nothing to do" in command("--table", "6", *ONE_PAIR).out


def test_failed_runs_are_shown_and_only_retried_when_asked(command, fill):
    fill(3, status="failed")
    fill(1)
    shown = command("--table", "6", *ONE_PAIR)
    assert shown.status == 1
    assert "failed, --retry-failed trains them again" in shown.out
    assert "nothing to do" in shown.out
    retry = json.loads(command("--table", "6", *ONE_PAIR, "--jobs", "1", "--plan", "--json", "--retry-failed").out)
    assert [len(cohort["runs"]) for cohort in retry["cohorts"]] == [2]


def test_cores_that_memory_leaves_idle_are_told(command, monkeypatch):
    line = "the free memory holds 1 of 2 processes: --jobs 2 starts them all the same"
    words = ("--table", "6", *ONE_PAIR, "--plan")
    assert line not in command(*words).out
    monkeypatch.setattr(devices, "in_memory", lambda: 1)
    assert line in command(*words).out
    assert line not in command(*words, "--jobs", "1").out
    assert line not in command(*words, "--threads", "2").out
    assert line not in command(*words[:-2], "--render").out


@pytest.fixture
def worked(monkeypatch):
    """Puts in place of the executor one that leaves a record for each job at once; the rounds that it was asked for."""
    rounds = []

    def run(self, cohorts, _deadline):
        store, outcome = self._config.store, Outcome()
        rounds.append([str(job) for cohort in cohorts for job in cohort.runs])
        for job in (job for cohort in cohorts for job in cohort.runs):
            last = {"epoch": 6, "top1": SCORES.get(job.title, 90.0), "topk": 99.0, "loss": 0.3}
            metrics = {"params": 1000, "last": last, "best": last}
            facts = {"device": "cpu", "threads": 1, "data": {"official": False}}
            store.write(job, "done", facts, **parts(job.kind, metrics=metrics))
            store.weights_path(job).parent.mkdir(parents=True, exist_ok=True)
            store.weights_path(job).write_bytes(b"weights")
            outcome.done.add(job.id)
        return outcome

    monkeypatch.setattr(LocalExecutor, "run", run)
    return rounds


SCORES = {"srrl[fm=1,sr=1]": 70.0, "srrl[fm=1,sr=5]": 80.0, "srrl[fm=10,sr=1]": 75.0}
TUNED = ("--table", "6", "--pairs", "wrn-40-4:wrn-16-2", "--methods", "srrl[tuned]", "--seeds", "1")


def test_what_trials_decide_is_run_in_the_same_command(command, worked):
    shown = command(*TUNED, "--jobs", "1")
    assert shown.status == 0, shown.err
    assert worked == [
        ["none:wrn-40-4 student seed 0", *(f"wrn-40-4:wrn-16-2 {name} seed 0" for name in SCORES)],
        ["wrn-40-4:wrn-16-2 srrl[fm=1,sr=5] seed 0"],
    ]
    assert "0 of 4 jobs are here; to do: 4 runs in 2 cohorts on" in shown.out
    assert "4 of 5 jobs are here; to do: 1 run in 1 cohort on" in shown.out
    assert "SRRL[tuned] on wrn-40-4:wrn-16-2 is SRRL[fm=1,sr=5], the best of 3" in " ".join(shown.out.split())
    assert "nothing to do" in command(*TUNED).out
    assert len(worked) == 2


def test_an_interrupt_while_planning_is_quiet(command, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Session, "training_plan", interrupt)
    shown = command("--table", "6", "--plan")
    signal.signal(signal.SIGINT, before)
    assert (shown.status, shown.err) == (130, "")


def test_two_tables_of_one_name_are_refused(command, tmp_path):
    text = (
        "title: Mine\nrecipe: C100\nmetric: top1\nheads: [Method]\ncolumns: [{label: a, pair: 'wrn-40-4:wrn-16-2'}]\n"
    )
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text(text + f"rows: [{{label: {folder}, method: kd}}]\n")
    files = ",".join(str(tmp_path / folder / "mine.yaml") for folder in ("one", "two"))
    shown = command("--table", files, "--plan")
    assert shown.status == 2
    assert "two tables are called 'mine'" in shown.err


def test_output_that_cannot_be_written_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, str(ROOT / "run_all.py"), "list", "methods"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: the output, or a file: No space left on device")


def test_what_the_system_refuses_is_one_line(command, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "/somewhere/records")

    monkeypatch.setattr(Session, "plan", refuse)
    shown = command("status", "--table", "6")
    assert shown.status == 2
    assert shown.err == "error: /somewhere/records: Permission denied; --debug shows where this happened\n"


def test_interrupt_keeps_what_is_finished(command, monkeypatch):
    def run(self, cohorts, _deadline):
        self.outcome.done.add(cohorts[0].runs[0].id)
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalExecutor, "run", run)
    shown = command("--table", "6", *ONE_PAIR)
    assert shown.status == 130
    assert "stopped: 1 jobs finished and kept, 2 left. The same command goes on." in shown.out


def test_failures_and_what_they_block_are_told(command, plan, monkeypatch):
    def run(self, _cohorts, _deadline):
        teacher, kd, srrl = plan.jobs
        self._config.store.write(teacher, "failed", {"device": "cpu"}, failure={"reason": "diverged"})
        return Outcome(failed={teacher: "diverged"}, blocked=[kd, srrl])

    monkeypatch.setattr(LocalExecutor, "run", run)
    shown = command("--table", "6", *ONE_PAIR)
    assert shown.status == 1
    assert "failed: none:wrn-40-4 student seed 0: diverged (log: " in shown.out
    assert "2 jobs could not be done, since what they need came to nothing" in shown.out
    assert "--retry-failed trains failed runs again" in shown.out
    again = command("--table", "6", *ONE_PAIR)
    assert again.status == 1
    assert "none:wrn-40-4 student seed 0 failed, so jobs that need it are blocked" in again.out


def test_a_time_budget_chooses_what_is_done(command, plan, worked, monkeypatch):
    monkeypatch.setattr(run_command, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    shown = command("--table", "6", *ONE_PAIR, "--time-budget", "1s", "--plan")
    assert "time budget 1 s: too short for any job" in shown.out
    assert "left: " in shown.out
    cohorts = json.loads(command("--table", "6", *ONE_PAIR, "--jobs", "1", "--plan", "--json").out)["cohorts"]
    enough = (cohorts[0]["estimated_seconds"] + START_SECONDS) / (1 - UNCERTAIN) + 1
    shown = command("--table", "6", *ONE_PAIR, "--jobs", "1", "--time-budget", f"{enough:.1f}s")
    assert shown.status == 0, shown.err
    assert worked[0] == [str(plan.jobs[0])]
    # The pretended work takes no time, so the budget is spent on the rest, too.
    assert sorted(job for jobs in worked for job in jobs) == sorted(map(str, plan.jobs))
    assert "time budget" not in command("--table", "6", *ONE_PAIR).out


def test_what_is_left_when_the_time_is_over_is_told(command, monkeypatch):
    def run(_self, _cohorts, deadline):
        assert deadline < float("inf")
        return Outcome(out_of_time=True)

    monkeypatch.setattr(LocalExecutor, "run", run)
    shown = command("--table", "6", *ONE_PAIR, "--time-budget", "10m")
    assert shown.status == 0
    assert "the time is over; what was begun goes on from its checkpoint. Left: 3 runs." in shown.out
    assert "The same command goes on." in shown.out
