import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.catalog import ROOT
from benchmark.errors import UserError
from benchmark.store import DONE, FAILED, NOT_APPLICABLE, SetAsideWarning, Store, write_atomically


@pytest.fixture
def place(store):
    """Writes a text where a job's record belongs."""

    def write(job, text):
        path = store.record_path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_record_comes_back_as_written(store, job):
    curves = {"loss": [1.5, 1e-9, None], "names": ["a, ]", "[", "b,", '"]'], "nested": [[1, 2], [3]], "none": []}
    store.write(job(), DONE, {"device": "cpu"}, metrics={"last": {"top1": 97.5}}, curves=curves)
    record = store.read(job())
    assert record == {
        "schema": 1,
        "id": job().id,
        "kind": "train",
        "status": DONE,
        "metrics": {"last": {"top1": 97.5}},
        "curves": curves,
        "spec": json.loads(json.dumps(job().spec)),
        "provenance": {"device": "cpu"},
    }
    assert store.read(job(seed=1)) is None


def test_record_is_readable_and_found_by_its_path(store, job, finish):
    finish(job(), curves={"loss": [3.0, 2.0], "epochs": [1, 2]})
    path = store.results / "records" / "C100" / "wrn-40-4--wrn-16-2" / "kd" / f"seed0-{job().id[:12]}.json"
    lines = path.read_text().split("\n")
    assert '  "loss": [3.0, 2.0],' in lines
    assert '  "epochs": [1, 2]' in lines
    assert path == store.record_path(job())


def test_every_kind_of_job_has_records(store, kinds):
    for kind, job in kinds().items():
        store.write(job, DONE, {"device": "cpu"}, metrics={"last": {"top1": 97.5}})
        assert store.read(job)["kind"] == kind
        assert store.read(job)["spec"] == json.loads(json.dumps(job.spec))
    assert len(files(store.results)) == 5


def edited(change):
    def edit(text):
        record = json.loads(text)
        change(record)
        return json.dumps(record)

    return edit


FAULTS = {
    "half-written": (lambda text: text[: len(text) // 2], "no complete JSON"),
    "empty": (lambda _: "", "no complete JSON"),
    "no JSON": (lambda _: "top1 = 97", "no complete JSON"),
    "no text": (lambda _: b"\xff\xfe\x00", "cannot be read"),
    "a list": (lambda _: "[]", "lacks 'schema'"),
    "without status": (edited(lambda record: record.pop("status")), "lacks 'status'"),
    "without metrics": (edited(lambda record: record.pop("metrics")), "lacks 'metrics'"),
    "metrics null": (edited(lambda record: record.update(metrics=None)), "lacks 'metrics'"),
    "spec a list": (edited(lambda record: record.update(spec=[])), "lacks 'spec'"),
    "another schema": (edited(lambda record: record.update(schema=2)), "its schema is 2, not 1"),
    "unknown status": (edited(lambda record: record.update(status="running")), "its status 'running' is unknown"),
    "tampered": (edited(lambda record: record["spec"]["recipe"].update(lr=0.5)), "its id does not match its spec"),
    "tampered id": (edited(lambda record: record.update(id="0" * 64)), "its id does not match its spec"),
    "metrics in words": (
        edited(lambda record: record["metrics"]["last"].update(top1="high")),
        "its metrics are not numbers",
    ),
    "best metrics null": (edited(lambda record: record["metrics"].update(best=None)), "its metrics are not numbers"),
    "without the last epoch": (edited(lambda record: record["metrics"].pop("last")), "its metrics are not numbers"),
    "not finite": (edited(lambda record: record["spec"]["recipe"].update(lr=float("inf"))), "no complete JSON"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_record_that_cannot_be_trusted_is_set_aside(fault, store, job, finish, place):
    finish(job())
    change, says = FAULTS[fault]
    text = change(store.record_path(job()).read_text())
    path = place(job(), text)
    with pytest.warns(SetAsideWarning, match=says) as caught:
        assert store.read(job()) is None
    [kept] = files(store.results / "set-aside")
    assert kept.read_bytes() == (text if isinstance(text, bytes) else text.encode())
    assert str(path) in str(caught[0].message)
    assert str(kept) in str(caught[0].message)
    assert not path.exists()
    assert store.read(job()) is None


def test_a_foreign_record_is_set_aside(store, job, finish, place):
    finish(job(seed=1))
    place(job(seed=0), store.record_path(job(seed=1)).read_text())
    with pytest.warns(SetAsideWarning, match="belongs to another run"):
        assert store.read(job(seed=0)) is None
    assert store.read(job(seed=1))["status"] == DONE


@pytest.mark.filterwarnings("ignore::benchmark.store.SetAsideWarning")
def test_nothing_that_is_set_aside_is_lost(store, job, finish, place):
    for text in ("first", "second", "third"):
        place(job(), text)
        store.read(job())
    assert [path.read_text() for path in files(store.results / "set-aside")] == ["first", "second", "third"]
    finish(job())
    assert store.read(job())["status"] == DONE


@pytest.mark.parametrize("step", ["write_bytes", "replace"])
def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(step, tmp_path, monkeypatch):
    path = tmp_path / "folder" / "record.json"
    write_atomically(path, b"old")

    def fail(self, *_):
        self.touch()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, step, fail)
        with pytest.raises(UserError, match="No space left"):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == [path]
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert files(tmp_path) == [path]


def test_a_record_that_is_no_json_is_refused_before_it_is_written(store, job):
    with pytest.raises(ValueError, match="JSON"):
        store.write(job(), DONE, {}, metrics={"top1": float("nan")})
    assert files(store.results) == []


CLAIM = """
import pickle, signal, sys
store, job = pickle.load(sys.stdin.buffer)
lock = store.claim(job)
print("claimed" if lock else "taken", flush=True)
signal.pause()  # until it is killed
"""


@pytest.fixture
def claimant(store, job):
    """Another process that claims the job; its answer."""
    processes = []

    def start():
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen([sys.executable, "-c", CLAIM], env=environment, **pipes)
        processes.append(process)
        pickle.dump((store, job()), process.stdin)
        process.stdin.close()
        return process, process.stdout.readline().decode().strip()

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_claim_is_one_processs_until_it_is_killed(store, job, claimant):
    process, answer = claimant()
    assert answer == "claimed"
    assert store.claim(job()) is None
    other = store.claim(job(seed=1))
    assert other is not None
    other.release()
    process.send_signal(signal.SIGKILL)
    process.wait()
    lock = store.claim(job())
    assert lock is not None
    assert claimant()[1] == "taken"
    assert store.claim(job()) is None
    lock.release()


@pytest.mark.parametrize(("folder", "option"), [("results", "--results"), ("checkpoints", "--checkpoints")])
@pytest.mark.filterwarnings("error")
def test_a_folder_that_cannot_be_written_is_the_users_to_mend(folder, option, store, job, tmp_path):
    (tmp_path / folder).write_text("a file where a folder is expected")
    with pytest.raises(UserError, match=f"cannot write to .*{folder} .*: choose a writable folder with {option}"):
        store.check_writable()
    with pytest.raises(UserError, match=option):
        store.write(job(), DONE, {}) if folder == "results" else store.claim(job())
    assert store.read(job()) is None


def test_check_writable_leaves_nothing(store):
    store.check_writable()
    assert files(store.results) == files(store.checkpoints) == []


def test_weights_are_found_among_the_teachers_first(store, job, finish):
    teacher = job().teacher
    assert store.weights(teacher) is None
    finish(teacher, weights=b"trained")
    assert store.weights(teacher) == store.weights_path(teacher)
    kept = store.keep_teacher(teacher)
    assert kept == store.weights(teacher) == store.teacher_path(teacher)
    assert kept.read_bytes() == b"trained"
    assert kept.name == f"wrn-40-4-C100-seed0-{teacher.id[:12]}.safetensors"
    finish(teacher, weights=b"trained again")
    assert store.keep_teacher(teacher).read_bytes() == b"trained again"


@pytest.mark.parametrize(
    ("status", "weights", "settled", "retried"),
    [
        (DONE, b"weights", DONE, DONE),
        (DONE, None, None, None),
        (FAILED, None, FAILED, None),
        (NOT_APPLICABLE, None, NOT_APPLICABLE, NOT_APPLICABLE),
    ],
)
def test_settled(status, weights, settled, retried, store, job, finish):
    assert store.settled(job()) is None
    finish(job(), status, weights)
    assert store.settled(job()) == settled
    assert store.settled(job(), retry=True) == retried


@pytest.mark.parametrize(
    ("kind", "settled"), [("train", None), ("stage", None), ("evaluate", None), ("probe", DONE), ("analyse", DONE)]
)
def test_who_leaves_no_weights_is_settled_without_them(kind, settled, store, kinds, finish):
    job = kinds()[kind]
    finish(job, weights=None)
    assert store.settled(job) == settled
    finish(job)
    assert store.settled(job) == DONE


def test_everything_that_can_be_made_again_lies_below_the_checkpoints(store, job):
    paths = [place(job()) for place in (store.checkpoint_path, store.log_path, store.weights_path, store.terms_path)]
    assert len(set(paths)) == 4
    assert all(path.is_relative_to(store.checkpoints) for path in paths)


def test_disk_use_bears_files_that_vanish(store):
    assert store.disk_use() == 0
    (store.checkpoints / "deep").mkdir(parents=True)
    (store.checkpoints / "deep" / "weights").write_bytes(b"12345")
    (store.checkpoints / "gone").symlink_to(store.checkpoints / "nowhere")
    assert store.disk_use() == 5


def test_stores_of_two_profiles_do_not_meet(store, job, finish, tmp_path):
    finish(job())
    assert Store(tmp_path / "elsewhere", store.checkpoints).read(job()) is None
