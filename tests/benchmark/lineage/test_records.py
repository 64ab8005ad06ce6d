import json

import pytest

from benchmark import records
from benchmark.lineage.records import Archive
from benchmark.runs.record_file import UnfitRecordWarning


@pytest.fixture
def archive(store):
    return Archive(store.results)


def test_finds_records_without_their_jobs(archive, store, finish, kinds):
    jobs = kinds()
    for job in jobs.values():
        finish(job)
    found = {known.id: known for known in archive}
    assert found.keys() == {job.id for job in jobs.values()}
    for job in jobs.values():
        known = found[job.id]
        assert (known.path, known.place) == (store.record_path(job), job.path)
        assert (known.recipe, f"{known.teacher or 'none'}:{known.student}") == (job.recipe.name, job.pair)
    methods = {kind: found[job.id].method for kind, job in jobs.items()}
    assert methods == {"train": "fsp", "stage": "fsp", "evaluate": "given", "probe": "fsp", "analyse": "fsp"}


def test_finds_by_the_beginning_of_an_id(archive, finish, job):
    first, second = job(), job(seed=1)
    finish(first)
    finish(second)
    for length in (6, 12, 20, 64):
        assert [known.id for known in archive.beginning(first.id[:length])] == [first.id]
    assert archive.beginning(f"{first.id[:20]}{'0' * 44}") == []
    assert len(archive.beginning("")) == 2


@pytest.mark.parametrize("where", ["among the checkpoints", "among the teachers"])
def test_weights_lie_where_the_store_keeps_them(where, archive, store, finish, job):
    run = job("student")
    finish(run)
    if where == "among the teachers":
        store.keep_teacher(run)
        store.weights_path(run).unlink()
    (known,) = archive
    assert known.weights(store.results, store.checkpoints) == store.weights(run) is not None


def test_no_weights(archive, store, finish, job):
    finish(job(), weights=None)
    (known,) = archive
    assert known.weights(store.results, store.checkpoints) is None


@pytest.mark.parametrize(
    "place",
    [
        "C100/wrn-40-4--wrn-16-2/kd/seed0-000000000000.json",
        "C100/wrn-40-4--wrn-16-2/kd/seed1-{id}.json",
        "C100/wrn-40-4--wrn-40-1/kd/seed0-{id}.json",
        "C100/kd/seed0-{id}.json",
    ],
)
def test_a_record_at_anothers_place_is_left_out(place, archive, store, finish, job):
    one = job()
    finish(one)
    path = store.results / "records" / place.format(id=one.id[:12])
    path.parent.mkdir(parents=True, exist_ok=True)
    store.record_path(one).rename(path)
    with pytest.warns(UnfitRecordWarning, match="it belongs to another run than its path says"):
        assert list(archive) == []


LONG = (
    "at[last=1]+cc[dim=32]+crd[dim=64,momentum=0.25,negatives=128,temperature=0.125]"
    "+dist[inter=1.5,intra=2.5,temperature=3.25]+fsp+kd[temperature=3.25]+nst+ofd+pkt+rkd[angle=12.5,distance=7.5]+sp"
    "+srrl[adain_std=student,fm=0.25,form=kl,layers=conv2+last,sr=0.75,temperature=2.25]+vid[variance=1.5]"
)


def test_what_is_called_by_a_long_name_is_found_by_it(archive, store, finish, kinds):
    assert len(LONG) > 255
    jobs = kinds(method=LONG)
    for job in jobs.values():
        finish(job)
        assert all(len(part.encode()) <= 255 for part in store.record_path(job).parts)
        assert store.read(job) is not None
    found = {known.id: known for known in archive}
    assert found.keys() == {job.id for job in jobs.values()}
    methods = {kind: found[job.id].method for kind, job in jobs.items()}
    assert methods == {"train": LONG, "probe": LONG, "analyse": LONG, "stage": "fsp", "evaluate": "given"}
    for job in jobs.values():
        known = found[job.id]
        assert (known.recipe, f"{known.teacher or 'none'}:{known.student}") == (job.recipe.name, job.pair)
    run = found[jobs["train"].id]
    assert run.weights(store.results, store.checkpoints) == store.weights(jobs["train"])
    frame = records(store.results.name, store.results.parent)
    assert dict(zip(frame["kind"], frame["method"], strict=True)) == methods
    assert jobs["analyse"].path.split("/")[2].endswith("@similarity")


@pytest.mark.parametrize("stated", ["kd", LONG.replace("vid[variance=1.5]", "vid")])
def test_a_record_that_states_another_name_than_its_path_is_left_out(stated, archive, store, finish, job):
    one = job(LONG)
    finish(one)
    path = store.record_path(one)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"method": stated}))
    with pytest.warns(UnfitRecordWarning, match="it belongs to another run than its path says"):
        assert list(archive) == []
