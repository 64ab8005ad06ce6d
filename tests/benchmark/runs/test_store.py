import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.ids import file_digest
from benchmark.lineage.records import Archive
from benchmark.registry.catalog import ROOT
from benchmark.runs.record_file import UnfitRecordWarning, parse
from benchmark.runs.store import DONE, FAILED, NOT_APPLICABLE, SetAsideWarning, Store
from tests.benchmark.hostile import ESCAPES, hidden
from tests.benchmark.made_up import PROVENANCE, parts


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


def tree(folder):
    """All that lies below a folder: kinds, times and contents."""
    return {
        path: (path.lstat().st_mode, path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in folder.rglob("*")
    }


def test_record_comes_back_as_written(store, job):
    curves = {"epoch": [1, 2], "lr": [1.5, 1e-9], "parts": {"a, ]": [0.5, 0.25], "[": [], 'b",': [1.0, 2.0]}}
    provenance = {"device": "cpu", "versions": {"nested": '["]'}}
    store.write(job(), DONE, provenance, **parts("train", curves=curves))
    raw = json.loads(store.record_path(job()).read_text())
    assert raw == {
        "schema": 1,
        "id": job().id,
        "kind": "train",
        "status": DONE,
        **parts("train", curves=curves),
        "spec": json.loads(json.dumps(job().spec)),
        "provenance": provenance,
    }
    assert store.read(job()) == parse(store.record_path(job()).read_bytes())
    assert store.read(job()).curves.parts == curves["parts"]
    assert store.read(job(seed=1)) is None


def test_record_is_readable_and_found_by_its_path(store, job, finish):
    finish(job(), curves={"loss": [3.0, 2.0], "epochs": [1, 2]})
    path = store.results / "records" / "C100" / "wrn-40-4--wrn-16-2" / "kd" / f"seed0-{job().id[:12]}.json"
    lines = path.read_text().split("\n")
    assert '  "loss": [3.0, 2.0],' in lines
    assert '  "epochs": [1, 2]' in lines
    assert path == store.record_path(job())


def edited(change):
    def edit(text):
        record = json.loads(text)
        change(record)
        return json.dumps(record)

    return edit


FAULTS = {
    "half-written": (lambda text: text[: len(text) // 2], "no complete JSON"),
    "tampered": (edited(lambda record: record["spec"]["recipe"].update(lr=0.5)), "its id does not match its spec"),
    "without top-1": (edited(lambda record: record["metrics"]["last"].pop("top1")), "done without 'top1' of the last"),
    "not finite": (edited(lambda record: record["metrics"]["last"].update(top1=float("nan"))), "NaN is no number"),
}


@pytest.mark.parametrize("fault", [*FAULTS, "of another job"])
def test_what_does_not_fit_is_left_out_by_readers_and_set_aside_by_writers(fault, store, job, finish, place):
    for seed in (0, 1):
        finish(job(seed=seed))
    change, says = FAULTS.get(fault, (None, "it belongs to another run than its path says"))
    text = change(store.record_path(job()).read_text()) if change else store.record_path(job(seed=1)).read_text()
    path = place(job(), text)
    before = tree(store.results)
    with pytest.warns(UnfitRecordWarning, match=re.escape(says)) as caught:
        assert store.read(job()) is None
    assert str(caught[0].message).startswith(f"record {path} is left out: ")
    assert "\n" not in str(caught[0].message)
    assert store.settled(job()) is None
    store.check_places([job()])
    assert tree(store.results) == before
    with pytest.warns(SetAsideWarning, match=re.escape(says)) as caught:
        finish(job())
    [kept] = files(store.results / "set-aside")
    assert kept.read_bytes() == (text if isinstance(text, bytes) else text.encode())
    assert str(caught[0].message).startswith(f"record {path}: ")
    assert str(caught[0].message).endswith(f"; moved to {kept}")
    assert [store.read(job(seed=seed)).status for seed in (0, 1)] == [DONE, DONE]


@pytest.mark.filterwarnings("ignore::benchmark.runs.store.SetAsideWarning")
def test_nothing_that_is_set_aside_is_lost(store, job, finish, place):
    for text in ("first", "second", "third"):
        place(job(), text)
        finish(job())
    assert [path.read_text() for path in files(store.results / "set-aside")] == ["first", "second", "third"]
    assert store.read(job()).status == DONE


def test_what_cannot_be_set_aside_is_not_written_over(store, job, finish, place):
    path = place(job(), "{}")
    (store.results / "set-aside").write_text("a file where a folder is expected")
    with pytest.raises(UserError, match=r"cannot write to .*set-aside"):
        finish(job())
    assert path.read_text() == "{}"


class TestWhatMustNotBeReplaced:
    """A record of a newer revision, and what nobody can read, are neither moved nor written over."""

    @pytest.mark.parametrize(
        "put",
        [
            os.mkfifo,
            Path.mkdir,
            lambda path: path.symlink_to("/dev/null"),
            lambda path: path.symlink_to(path),
            lambda path: path.symlink_to(path.with_name("nowhere")),
        ],
        ids=["pipe", "folder", "device", "loop", "nowhere"],
    )
    def test_unreadable(self, put, store, job, finish):
        path = store.record_path(job())
        path.parent.mkdir(parents=True)
        put(path)
        before = tree(store.results)
        with pytest.warns(UnfitRecordWarning, match=re.escape(str(path))):
            assert store.read(job()) is None
        with pytest.raises(UserError, match=f"record {path} is in the way, and it .*: make it readable, or move it"):
            store.check_places([job(seed=1), job()])
        with pytest.raises(UserError, match="is in the way"):
            finish(job())
        assert tree(store.results) == before

    def test_newer(self, store, job, finish, place):
        finish(job())
        path = place(job(), edited(lambda record: record.update(schema=2))(store.record_path(job()).read_text()))
        before = tree(store.results)
        for action in (store.read, store.settled, lambda one: store.check_places([one]), finish):
            with pytest.raises(UserError, match=f"record {path} was written by a newer revision of the project"):
                action(job())
        assert tree(store.results) == before


def test_what_a_crash_leaves_is_never_read(store, job, finish):
    finish(job())
    path = store.record_path(job())
    shutil.copy(path, path.with_name(f".{os.uname().nodename}-1-abcd.tmp"))
    shutil.copy(path, path.with_name(f".{path.name}"))
    assert [known.path for known in Archive(store.results)] == [path]


@pytest.mark.parametrize("metrics", [{}, {"last": {"top1": float("nan")}}, {"last": {"top1": 97.0}}])
def test_a_record_that_nobody_could_read_is_refused_before_it_is_written(metrics, store, job):
    with pytest.raises(ValueError, match="it is"):
        store.write(job(), DONE, {}, metrics=metrics)
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
        store.write(job(), DONE, {}, **parts("train")) if folder == "results" else store.claim(job())
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
    ("kind", "status", "weights", "settled", "retried"),
    [
        ("train", DONE, b"weights", DONE, DONE),
        *((kind, DONE, None, None, None) for kind in ("train", "stage", "evaluate")),
        *((kind, DONE, None, DONE, DONE) for kind in ("probe", "analyse")),
        ("train", FAILED, None, FAILED, None),
        ("train", NOT_APPLICABLE, None, NOT_APPLICABLE, NOT_APPLICABLE),
    ],
)
def test_settled(kind, status, weights, settled, retried, store, kinds, finish):
    job = kinds()[kind]
    assert store.settled(job) is None
    finish(job, status, weights)
    assert store.settled(job) == settled
    assert store.settled(job, retry=True) == retried


def test_disk_use_bears_files_that_vanish(store):
    assert store.disk_use() == 0
    (store.checkpoints / "deep").mkdir(parents=True)
    (store.checkpoints / "deep" / "weights").write_bytes(b"12345")
    (store.checkpoints / "gone").symlink_to(store.checkpoints / "nowhere")
    assert store.disk_use() == 5


class TestSharedFolders:
    """Two commands that share one of the two folders alone."""

    @pytest.fixture(params=["results", "checkpoints"])
    def other(self, request, store, tmp_path):
        return Store(**{**vars(store), request.param: tmp_path / "other"})

    def test_one_of_them_claims_a_job(self, other, store, job):
        claim = store.claim(job())
        assert other.claim(job()) is None
        assert other.claim(job(seed=1)) is not None
        claim.release()
        again = other.claim(job())
        assert again is not None
        assert store.claim(job()) is None
        again.release()

    def test_who_is_refused_holds_nothing(self, store, job, tmp_path):
        first = Store(store.results, tmp_path / "first").claim(job())
        second = Store(tmp_path / "second", store.checkpoints).claim(job())
        assert store.claim(job()) is None
        first.release()
        assert store.claim(job()) is None  # for its checkpoints are taken; its results are not, then
        third = Store(store.results, tmp_path / "third").claim(job())
        assert third is not None
        second.release()
        third.release()
        assert store.claim(job()) is not None

    def test_what_is_told_below_the_results_is_not_for_git(self, store, job, finish):
        store.claim(job()).release()
        finish(job())
        finish(job())  # states its weights now, and links them
        told = {path.relative_to(store.results).parts[0] for path in store.results.rglob("*")} - {"records"}
        assert told == {".shared"}
        assert ".shared/" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.fixture
def leave_weights(store, finish):
    """Leaves what training leaves: weights, then the record that states them."""

    def leave(job, content=b"weights", terms=None):
        for path, text in ((store.weights_path(job), content), (store.terms_path(job), terms)):
            if text is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text)
        finish(job, weights=content)

    return leave


class TestWeights:
    def test_a_record_states_what_was_left(self, store, kinds, leave_weights):
        for kind, job in kinds().items():
            leave_weights(job, terms=b"terms" if kind == "train" else None)
            record = store.read(job)
            assert record.weights == (file_digest(store.weights_path(job)) if job.leaves_weights else None)
            assert record.terms == (file_digest(store.terms_path(job)) if kind == "train" else None)

    @pytest.mark.parametrize("status", [FAILED, NOT_APPLICABLE])
    def test_what_was_done_keeps_its_record_where_it_comes_to_nothing_later(self, status, store, job, leave_weights):
        leave_weights(job(), b"weights", terms=b"terms")
        before = store.record_path(job()).read_bytes()
        store.weights_path(job()).write_bytes(b"of the later attempt, which nobody measured")
        assert not store.write(job(), status, PROVENANCE, failure={"reason": "diverged"})
        assert store.record_path(job()).read_bytes() == before
        assert (store.weights_path(job()).exists(), store.terms_path(job()).exists()) == (False, True)
        store.record_path(job()).unlink()
        store.weights_path(job()).write_bytes(b"of a failed run")
        assert store.write(job(), status, PROVENANCE, failure={"reason": "diverged"})
        assert store.read(job()).weights is None
        assert store.write(job(), DONE, PROVENANCE, **parts("train"))

    def test_a_record_that_is_to_be_replaced_settles_nothing_and_any_other_does(self, store, job, leave_weights):
        leave_weights(job())
        replaced = store.read(job()).provenance
        assert store.settled(job()) == DONE
        assert store.settled(job(), replaced=replaced) is None
        store.write(job(), DONE, {**PROVENANCE, "processor": "here"}, **parts("train"))
        assert store.settled(job(), replaced=replaced) == DONE

    @pytest.mark.parametrize("what", ["weights", "teacher", "terms"])
    def test_altered_files_are_refused(self, what, store, job, leave_weights):
        run, trusted = job().teacher, store.trusted_terms if what == "terms" else store.trusted_weights
        assert trusted(run) is None
        leave_weights(run, terms=b"terms")
        path = {"weights": store.weights_path, "teacher": store.keep_teacher, "terms": store.terms_path}[what](run)
        assert trusted(run) == path
        path.write_bytes(b"altered")
        with pytest.raises(UserError, match=f"weights {path} are not those that were measured: .* remove it") as caught:
            trusted(run)
        assert "\n" not in str(caught.value)

    def test_lost_modules_are_named(self, store, job, leave_weights):
        leave_weights(job(), terms=b"terms")
        store.terms_path(job()).unlink()
        with pytest.raises(UserError, match="beside its network are gone: remove its record"):
            store.trusted_terms(job())

    def test_a_record_that_states_none_is_believed(self, store, job, finish):
        finish(job())
        assert store.read(job()).weights is None
        assert store.trusted_weights(job()) == store.weights_path(job())
        store.terms_path(job()).write_bytes(b"terms")
        assert store.trusted_terms(job()) == store.terms_path(job())

    def test_who_shares_the_results_alone_finds_them(self, store, job, leave_weights, tmp_path):
        leave_weights(job(), b"weights", terms=b"terms")
        other = Store(store.results, tmp_path / "other")
        for path in (other.trusted_weights(job()), other.trusted_terms(job())):
            assert path.read_bytes() in (b"weights", b"terms")
        assert other.settled(job()) == DONE
        store.weights_path(job()).write_bytes(b"altered")
        with pytest.raises(UserError, match="are not those that were measured"):
            other.trusted_weights(job())
        store.weights_path(job()).unlink()
        assert (other.weights(job()), other.settled(job()), other.settled(job(), needed=False)) == (None, None, DONE)

    def test_a_folder_that_cannot_be_entered_has_none(self, store, job, finish, monkeypatch):
        finish(job(), weights=None)
        monkeypatch.setattr(Path, "is_file", lambda _: (_ for _ in ()).throw(PermissionError(13, "Denied")))
        assert store.weights(job()) is None


@pytest.fixture
def called(job):
    """Factory of a job whose folder is called otherwise."""

    def make(folder):
        made = job()
        return type("Called", (type(made),), {"folder": folder})(**vars(made))

    return make


@pytest.mark.parametrize("folder", ["kd[../../../../../../escaped]", "../kd", ".."])
def test_no_file_lies_outside_the_store(store, called, folder, tmp_path):
    bad = called(folder)
    for call in (store.read, store.weights, store.checkpoint_path, store.log_path, store.claim, store.weights_path):
        with pytest.raises(UserError, match="leads out of"):
            call(bad)
    with pytest.raises(UserError, match="leads out of"):
        store.write(bad, DONE, {}, **parts("train"))
    with pytest.raises(UserError, match="leads out of"):
        store.log(bad, "text")
    with pytest.raises(UserError, match="leads out of"):
        store.weights_of("C100/a--b/kd/seed0-0", "../escaped")
    assert not any("escaped" in path.name for path in tmp_path.rglob("*"))


def test_a_log_holds_lines_on_which_nothing_acts(store, job):
    store.log(job(), f"Traceback:\n  File\nValueError: {ESCAPES} \udcff")
    text = store.log_path(job()).read_text()
    assert hidden(text) == []
    assert [line.partition(" seed 0: ")[2] or line for line in text.splitlines()][:2] == ["Traceback:", "  File"]
    assert r"\x1b[31mred" in text
    assert r"\udcff" in text


def test_where_weights_lie_may_be_no_text(tmp_path, job):
    first = Store(tmp_path / "results", tmp_path / os.fsdecode(b"\xff"))
    first.weights_path(job()).parent.mkdir(parents=True)
    first.weights_path(job()).write_bytes(b"weights")
    first.write(job(), DONE, {}, **parts("train"))
    other = Store(tmp_path / "results", tmp_path / "other")
    assert other.weights(job()).read_bytes() == b"weights"
