import re
from datetime import UTC, datetime

import pandas as pd
import pytest

from benchmark.config.teachers import TeacherChoice
from benchmark.errors import UserError
from benchmark.lineage.dataframe import read
from benchmark.runs.names import parse_method
from benchmark.runs.record_file import UnfitRecordWarning
from benchmark.runs.store import Store
from tests.benchmark.made_up import parts

EPOCH = {"epoch": 6, "top1": 97.5, "topk": 99.0, "loss": 0.25}
METRICS = {
    "train": {"params": 1234, "last": EPOCH, "best": EPOCH | {"epoch": 3, "top1": 98.0}},
    "stage": {"last": {"epoch": 2, "loss": 0.75}},
    "evaluate": {"params": 99, "last": EPOCH | {"top1": 90.0}, "best": EPOCH},
    "probe": {"last": EPOCH | {"top1": 70.0}, "best": EPOCH},
    "analyse": {"last": {"kl_teacher": 0.125}},
}
PROVENANCE = {
    "revision": "c0ffee",
    "dirty": False,
    "versions": {"torch": "2.9"},
    "device": "cpu",
    "threads": 1,
    "finished": "2026-01-02T03:04:05+00:00",
    "data": {"name": "digits", "fingerprint": "ab" * 32, "official": True},
    "teacher_weights": "cd" * 32,
}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results" / "digits", tmp_path / "checkpoints" / "digits")


@pytest.fixture
def everything(store, kinds, tmp_path):
    """A record of every kind, and the frame of them by kind."""
    jobs = kinds()
    for kind, job in jobs.items():
        store.write(job, "done", PROVENANCE, **parts(kind, metrics=METRICS[kind], cost={"step_seconds": 1.5}))
    return jobs, read("digits", tmp_path / "results").set_index("kind", drop=False)


def test_a_row_tells_what_a_record_tells(everything, store):
    jobs, frame = everything
    run, row = jobs["train"], frame.loc["train"]
    expected = {
        "id": run.id,
        "status": "done",
        "recipe": "CRD100",
        "dataset": "digits",
        "teacher": "wrn-40-2",
        "network": "wrn-16-2",
        "method": "fsp",
        "seed": 0,
        "code": "",
        "epochs": 6,
        "lr": 0.05,
        "holdout": 0,
        "params": 1234,
        "last_epoch": 6,
        "last_top1": 97.5,
        "best_epoch": 3,
        "best_top1": 98.0,
        "seconds": 1.5,
        "cohort_members": 3,
        "revision": "c0ffee",
        "dirty": False,
        "torch": "2.9",
        "device": "cpu",
        "threads": 1,
        "finished": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "data_fingerprint": "ab" * 32,
        "data_official": True,
        "teacher_id": run.teacher.id,
        "teacher_weights": "cd" * 32,
    }
    found = row[list(expected)].to_dict()
    objective = row["objective"]
    assert objective.startswith("1 * cross-entropy + ")
    assert "fsp (revision=" in objective
    assert found == expected
    assert store.results / row["path"] == store.record_path(run)


def test_each_kind_of_measure_has_columns_of_its_own(everything):
    _, frame = everything
    measured = [name for name in frame if re.match("last|best|probe_|stage_|similarity|distance|clusters|tsne", name)]
    there = {kind: set(row[measured].dropna().index) for kind, row in frame.iterrows()}
    epochs = {f"{part}_{key}" for part in ("last", "best") for key in EPOCH}
    assert there == {
        "train": epochs,
        "evaluate": epochs,
        "probe": {f"probe_{name}" for name in epochs},
        "stage": {"stage_last_epoch", "stage_last_loss"},
        "analyse": {"similarity_kl_teacher"},
    }
    assert frame["last_top1"].mean() == (97.5 + 90.0) / 2


def test_types_do_not_depend_on_what_is_there(everything, job, tmp_path):
    _, frame = everything
    few = Store(tmp_path / "few" / "digits", tmp_path)
    few.write(job(), "failed", {}, failure={"reason": "diverged"})
    small = read("digits", tmp_path / "few")
    assert small.dtypes.to_dict() == frame.dtypes.to_dict()
    assert small.loc[0, ["status", "reason"]].to_list() == ["failed", "diverged"]
    assert pd.isna(small.loc[0, "last_top1"])
    (tmp_path / "none" / "digits" / "records").mkdir(parents=True)
    assert read("digits", tmp_path / "none").dtypes.to_dict() == frame.dtypes.to_dict()


def test_a_new_measure_gets_a_column(store, kinds, tmp_path):
    store.write(kinds()["analyse"], "done", {}, metrics={"last": {"unheard_of": 0.5}})
    frame = read("digits", tmp_path / "results")
    assert frame["similarity_unheard_of"].to_list() == [0.5]
    assert list(frame)[-1] == "path"


def test_order_is_by_what_was_trained(store, job, tmp_path):
    made = [job(method, seed=seed) for seed in (1, 0) for method in ("srrl", "kd")]
    for one in [*made, job("kd").teacher]:
        store.write(one, "done", {}, **parts("train"))
    frame = read("digits", tmp_path / "results")
    assert list(zip(frame["method"], frame["seed"], strict=True)) == [
        ("student", 0),
        ("kd", 0),
        ("kd", 1),
        ("srrl", 0),
        ("srrl", 1),
    ]
    assert frame["teacher"].isna().to_list() == [True, False, False, False, False]


def test_drafts_are_told_apart_by_their_code(store, resolver, own_network, tmp_path):
    codes = set()
    for folder, more in (("one", ""), ("two", "MORE = 1")):
        own_network(folder, more)
        run = resolver().run("C100", "of-mine", parse_method("kd"), TeacherChoice("C100", "wrn-40-4"), 0)
        store.write(run, "done", {}, **parts("train"))
        codes.add(run.spec["code"]["network"])
    assert len(codes) == 2
    assert set(read("digits", tmp_path / "results")["code"]) == codes


def test_the_docstring_lists_the_columns(everything):
    _, frame = everything
    named = read.__doc__
    for name in frame:
        stem = re.sub("^(best|probe_last|probe_best)_", "last_", name)
        assert re.search(rf"\b{stem}\b", named) or re.match("similarity|distance|clusters|tsne", name), name


def test_an_unreadable_record_is_a_warning(store, job, tmp_path):
    store.write(job(), "done", {}, **parts("train"))
    path = store.record_path(job(seed=1))
    path.write_text("{", encoding="utf-8")
    with pytest.warns(UnfitRecordWarning, match=path.name):
        assert len(read("digits", tmp_path / "results")) == 1


def test_folders_that_are_not_there(store, job, tmp_path):
    results = tmp_path / "results"
    with pytest.raises(UserError, match="there are no records in"):
        read("digits", results)
    store.write(job(), "done", {}, **parts("train"))
    with pytest.raises(UserError, match=r"unknown profile with records in .* 'digit': did you mean 'digits'"):
        read("digit", results)
