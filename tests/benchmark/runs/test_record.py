"""What a record has to be: all that is committed fits, and whatever is changed in one does not."""

import copy
import json
import os
import re
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.ids import file_digest
from benchmark.lineage.records import Archive
from benchmark.registry.catalog import ROOT
from benchmark.runs.record import KINDS
from benchmark.runs.record_file import NewerSchemaError, UnfitError, UnreadableError, parse, read
from tests.benchmark.made_up import raw_record

CURVES = {
    "epoch": [1, 2],
    "lr": [0.1, 0.01],
    "parts": {"ce": [1.5, 1.25]},
    "test": {"epoch": [2], "top1": [97.0], "topk": [99.5], "loss": [0.1]},
}
POINTS = {"x": [0.5, 1.0], "y": [1.0, 0.5], "label": [3, 4]}
PROVENANCE = {
    "revision": "c0ffee",
    "dirty": False,
    "versions": {"torch": "2.9"},
    "processor": "some processor",
    "device": "cpu",
    "threads": 1,
    "finished": "2026-01-02T03:04:05+00:00",
    "data": {"name": "digits", "fingerprint": "ab" * 32, "official": True},
    "teacher_weights": "cd" * 32,
}
JOBS = {}
"""One job of each kind, for all tests."""


@pytest.fixture
def whole(kinds):
    """Factory of records with every part that a job of a kind may leave, as JSON."""

    def make(kind="train", status="done"):
        JOBS.update({} if JOBS else kinds())
        given = {"provenance": PROVENANCE}
        if status == "done":
            given |= {"curves": CURVES, "cost": {}, "weights": "ef" * 32, "terms": "01" * 32}
            given |= {"points": POINTS} if kind == "analyse" else {"given": {"file": "a.pth"}}
        return raw_record(JOBS[kind], status, **copy.deepcopy(given))

    return make


def encoded(raw):
    return json.dumps(raw).encode()


@pytest.mark.parametrize("status", ["done", "failed", "not_applicable"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_fits_whatever_became_of_it(kind, status, whole):
    raw = whole(kind, status)
    found = parse(encoded(raw))
    assert (found.kind, found.status, found.id, found.spec) == (kind, status, raw["id"], raw["spec"])
    assert found.provenance.data.name == "digits"
    assert found.reason == ("" if status == "done" else "diverged")
    if status == "done":
        assert found.cost.step_seconds == 2.0
        assert found.curves.test.top1 == [97.0]


def test_every_committed_record_fits():
    paths = list((ROOT / "results").glob("*/records/**/*.json"))
    assert len(paths) > 1000
    for path in paths:
        raw, found = json.loads(path.read_bytes()), read(path)
        assert found.metrics.last == raw["metrics"].get("last", {})
        assert found.spec == raw["spec"]
        if "finished" in raw["provenance"]:
            assert found.provenance.finished.isoformat() == raw["provenance"]["finished"]


def test_the_records_of_kept_teachers_state_their_weights():
    for folder in (ROOT / "results").glob("*/teachers"):
        states = {known.id[:12]: known.record.weights for known in Archive(folder.parent)}
        for path in folder.iterdir():
            assert states[path.stem.rpartition("-")[2]] == file_digest(path)


def test_what_a_gpu_leaves_empty_is_none(whole):
    raw = whole()
    raw["cost"]["step_seconds"] = None
    raw["provenance"] |= {"revision": None, "dirty": None, "teacher_weights": None, "device": "NVIDIA H200"}
    raw["provenance"]["data"]["official"] = None
    found = parse(encoded(raw))
    assert found.cost.step_seconds is found.provenance.dirty is found.provenance.data.official is None
    del raw["cost"], raw["curves"], raw["given"], raw["provenance"]["finished"]
    found = parse(encoded(raw))
    assert found.cost is found.curves is found.given is found.provenance.finished is None


def test_what_a_later_revision_of_the_same_schema_adds_is_ignored(whole):
    raw = whole()
    for part in (raw, raw["metrics"], raw["cost"], raw["provenance"], raw["provenance"]["data"], raw["curves"]):
        part["more"] = {"of": "it"}
    assert parse(encoded(raw)).metrics.last["top1"] == 97.0


# Changes of a record by the kinds that they concern: the way to a part, and what stands there instead.
# Types are msgspec's to check, so one number, one text and one list of each part are enough.
GONE = "nothing"
NAN, INFINITE, ENORMOUS = "__NaN__", "__Infinity__", "__1e999__"
EVERY = tuple(KINDS)
TRAINED = ("train", "stage", "probe")
TESTED = ("train", "evaluate", "probe")
FAULTS = [
    *((EVERY, "schema", value) for value in (GONE, None, "1", 0, -1, 1.5, True)),
    *((EVERY, "id", value) for value in (GONE, None, 5, "0" * 64, "ab", "AB" * 32)),
    *((EVERY, "status", value) for value in (GONE, None, "running", "", ["done"], "cached")),
    *((EVERY, "metrics.params", value) for value in (None, "1000", 10.5, -1, 2**63, True)),
    *((TESTED, "metrics.last.top1", value) for value in (GONE, None, "97", [97.0], NAN, INFINITE, ENORMOUS, True)),
    *((TESTED, "metrics.last.loss", value) for value in (GONE, None, NAN)),
    *((("train", "probe"), "metrics.last.epoch", value) for value in (GONE, 6.5, "6", None)),
    *((("train", "probe"), "metrics.best", value) for value in (GONE, {}, {"top1": 98.0})),
    (("train",), "metrics.last.top1", 10**400),
    *((("stage",), "metrics.last", value) for value in (GONE, {}, {"epoch": 2}, {"loss": None})),
    *((("analyse",), "metrics.last.kl_teacher", value) for value in (None, "low", NAN, INFINITE)),
    *((EVERY, "curves.lr", value) for value in (None, {}, [None], [NAN])),
    *((EVERY, "curves.test.top1", value) for value in (None, 97.0, ["97"], [None], [97.0, 98.0])),
    *((EVERY, "cost.step_seconds", value) for value in (NAN, INFINITE, "2", -1.0, [])),
    *((EVERY, "cost.cohort_members", value) for value in (GONE, None, 0, 1.5, "3")),
    *((EVERY, "failure", value) for value in (None, [], "text", {}, {"reason": None}, {"reason": ""}, {"why": "x"})),
    (("analyse",), "points.x", [1.0]),
    (("analyse",), "points.label", ["cat", "dog"]),
    *((EVERY, "weights", value) for value in (None, "", "ab", 5, "EF" * 32)),
    *((EVERY, "provenance.finished", value) for value in (None, "yesterday", 5, "2026-13-01T00:00:00Z", "2026-01-02")),
    *((EVERY, "provenance.threads", value) for value in (None, "1", 1.5, -1, 10**30)),
    *((EVERY, "spec", value) for value in (GONE, None, [], {}, "spec")),
    *((EVERY, "spec.kind", value) for value in (GONE, None, "running", 1)),
    *((EVERY, "spec.seed", value) for value in (GONE, None, "0", 0.5, -1, True)),
    *((("train", "stage", "evaluate", "probe"), "spec.recipe", value) for value in (GONE, None, [], "C100", {})),
    *((TRAINED, "spec.recipe.lr", value) for value in (GONE, None, "fast", NAN)),
    (TESTED, "spec.recipe.mean", 0.3),
    *((("train",), "spec.objective", value) for value in (GONE, None, [], {"ce": 1.0}, {"terms": {}})),
    *((("train",), "spec.teacher", value) for value in (GONE, [], "wrn-40-2", {"network": "wrn-40-2"}, {"id": 5})),
    *((("train",), "spec.stages", value) for value in (None, "ab", [5], ["ab"], {})),
    *((("stage",), "spec.method", value) for value in (GONE, None, "fsp", {"options": {}})),
    *((("evaluate",), "spec.weights", value) for value in (GONE, None, 5)),
    *((("probe",), "spec.base", value) for value in (GONE, None, {"network": "a", "id": "ab"})),
    *((("analyse",), "spec.measure", value) for value in (GONE, None, "similarity", {"name": ""}, {"revision": 1})),
]


def changed(raw, place, value):
    """The record as text, with something else in one of its places."""
    *way, last = place.split(".")
    part = raw
    for name in way:
        part = part[name]
    if value == GONE:
        del part[last]
    else:
        part[last] = value
    return re.sub(r'"__(.*?)__"', r"\1", json.dumps(raw))


def fault(text):
    """Why a text is no record; None if it is one."""
    try:
        parse(text.encode())
    except UnfitError as error:
        return str(error)
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_of_another_type_does_not_fit(kind, whole):
    cases = [(place, value) for kinds, place, value in FAULTS if kind in kinds]
    assert len(cases) > 60
    for place, value in cases:
        raw = whole(kind)
        if place.split(".")[0] == "failure":
            raw |= {"status": "failed"}
        if place == "points" and kind != "analyse":
            raw["points"] = POINTS
        found = fault(changed(raw, place, value))
        assert found is not None, (place, value)
        assert "\n" not in found
        assert ("its id does not match" in found) == ((place, value) == ("id", "0" * 64)), (place, value)
    for status in ("failed", "not_applicable"):
        assert fault(changed(whole(kind, status), "failure", GONE)) == (
            f"it does not fit: it is {status} without a reason"
        )


def test_a_picture_is_a_result_without_a_number(whole):
    raw = whole("analyse")
    raw["metrics"] = {"last": {}}
    assert parse(encoded(raw)).points.label == [3, 4]
    del raw["points"]
    with pytest.raises(UnfitError, match="it is done without a number"):
        parse(encoded(raw))


TEXTS = {
    "no JSON": b"top1 = 97",
    "no text": b"\xff\xfe\x00",
    "a list": b"[]",
    "nested deeply": b"[" * 100_000,
    "a long number": b'{"schema": ' + b"1" * 5000 + b"}",
    "a key twice": b'{"schema": 1, "schema": 1}',
}


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_no_record_at_all_does_not_fit(text):
    with pytest.raises(UnfitError) as caught:
        parse(TEXTS[text])
    assert "\n" not in str(caught.value)


def test_half_a_record_does_not_fit(whole):
    text = encoded(whole())
    for end in range(0, len(text), 97):
        with pytest.raises(UnfitError):
            parse(text[:end])


@pytest.mark.parametrize("name", ["status", "top1", "lr", "name"])
def test_a_key_that_stands_there_twice_does_not_fit(name, whole):
    text = json.dumps(whole())
    twice = re.sub(rf'"{name}": ([^,{{}}\[]+)', rf'"{name}": \1, "{name}": \1', text, count=1)
    assert json.loads(twice) == json.loads(text)
    with pytest.raises(UnfitError, match=f"it has '{name}' twice"):
        parse(twice.encode())


def test_a_record_is_no_more_than_its_spec_says(whole):
    raw = whole()
    raw["spec"]["recipe"]["lr"] = 0.5
    with pytest.raises(UnfitError, match="its id does not match its spec"):
        parse(encoded(raw))
    raw = whole()
    raw["kind"] = "probe"
    with pytest.raises(UnfitError, match="its kind 'probe' is not that of its spec"):
        parse(encoded(raw))


@pytest.mark.parametrize("schema", [2, 3, 10**30])
def test_a_newer_schema_is_told_whatever_else_is_in_it(schema, whole, tmp_path):
    for raw in (whole() | {"schema": schema}, {"schema": schema, "everything": "else"}):
        with pytest.raises(NewerSchemaError, match=f"its schema is {schema}, and this revision knows none beyond 1"):
            parse(encoded(raw))
        path = tmp_path / "record.json"
        path.write_bytes(encoded(raw))
        with pytest.raises(UserError, match=r"written by a newer revision .* update the project, or choose another"):
            read(path)


class TestPlaces:
    """What may lie where a record is expected."""

    def test_nothing(self, tmp_path):
        assert read(tmp_path / "record.json") is None
        assert read(tmp_path / "no folder" / "record.json") is None
        (tmp_path / "file").touch()
        assert read(tmp_path / "file" / "record.json") is None

    @pytest.mark.parametrize("what", ["pipe", "folder", "device", "link to a pipe"])
    def test_no_regular_file_is_not_even_opened(self, what, tmp_path):
        path = tmp_path / "record.json"
        if what == "folder":
            path.mkdir()
        elif what == "device":
            path.symlink_to("/dev/zero")
        else:
            os.mkfifo(path if what == "pipe" else tmp_path / "pipe")
            if what != "pipe":
                path.symlink_to(tmp_path / "pipe")
        with pytest.raises(UnreadableError, match="it is no regular file"):
            read(path)

    def test_a_link_to_nothing(self, tmp_path):
        path = tmp_path / "record.json"
        path.symlink_to(tmp_path / "nowhere")
        with pytest.raises(UnreadableError, match="it is a link to nothing"):
            read(path)

    def test_what_cannot_be_opened(self, tmp_path, monkeypatch):
        (tmp_path / "record.json").symlink_to(tmp_path / "record.json")
        with pytest.raises(UnreadableError, match=r"it cannot be read \(Too many levels of symbolic links\)"):
            read(tmp_path / "record.json")
        path = tmp_path / "other.json"
        path.touch()
        monkeypatch.setattr(Path, "read_bytes", lambda _: (_ for _ in ()).throw(PermissionError(13, "Denied")))
        with pytest.raises(UnreadableError, match=r"it cannot be read \(Denied\)"):
            read(path)

    def test_a_folder_that_cannot_be_entered_is_one_error(self, tmp_path):
        (tmp_path / "folder").symlink_to(tmp_path / "folder")
        with pytest.raises(UserError, match=r"cannot read .*folder .*: make it readable, or choose another folder"):
            read(tmp_path / "folder" / "record.json")
