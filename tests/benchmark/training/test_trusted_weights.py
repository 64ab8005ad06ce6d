"""Weights that were altered after they were measured are refused wherever they are read, and nothing is lost."""

import hashlib
import json

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from benchmark.config.teachers import TeacherChoice
from benchmark.errors import UserError
from benchmark.runs.store import Store
from tests.benchmark.training.conftest import TEACHER


def alter(path):
    """Change a tensor, and nothing that the file says of itself."""
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    state = load_file(path)
    name = next(name for name, tensor in state.items() if tensor.is_floating_point())
    state[name] += 1
    save_file(state, path, metadata=about)


@pytest.fixture
def readers(resolver, cohort_jobs, teacher_job):
    """By what was altered: the job that left it, and those that read it."""
    kd, fsp, teacher = cohort_jobs["kd"], cohort_jobs["fsp"], TeacherChoice("C100", TEACHER)
    return {
        "teacher": (teacher_job, (kd, resolver.analysis("similarity", kd, teacher))),
        "pretraining stage": (fsp.stages[0], (fsp,)),
        "run": (kd, (resolver.probe("PROBE-STL10", kd), resolver.analysis("similarity", kd, teacher))),
    }


@pytest.mark.parametrize("what", ["teacher", "pretraining stage", "run"])
def test_altered_weights_are_refused(what, trained, readers):
    job, jobs = readers[what]
    path, record = trained.store.weights(job), trained.record(job)
    assert record["weights"] == hashlib.sha256(path.read_bytes()).hexdigest()
    before = path.read_bytes()
    alter(path)
    for reader in jobs:
        trained.store.record_path(reader).unlink(missing_ok=True)
        with pytest.raises(UserError, match=f"weights {path} are not those that were measured") as caught:
            trained.train(reader)
        assert "\n" not in str(caught.value)
        assert not trained.store.record_path(reader).exists()
    path.write_bytes(before)
    trained.train(jobs[0])
    assert trained.record(jobs[0])["status"] == "done"


def test_altered_modules_of_a_method_are_refused(trained, resolver, cohort_jobs):
    run = cohort_jobs["srrl"]
    alter(trained.store.terms_path(run))
    with pytest.raises(UserError, match="are not those that were measured"):
        trained.train(resolver.analysis("distance", run, TeacherChoice("C100", TEACHER)))


def test_an_altered_teacher_is_not_put_among_the_kept_ones(lab, cohort_jobs, teacher_job):
    alter(lab.store.weights_path(teacher_job))
    with pytest.raises(UserError, match="are not those that were measured"):
        lab.train(cohort_jobs["kd"])
    assert not lab.store.teacher_path(teacher_job).exists()


def test_an_older_record_states_none_and_its_weights_are_used(trained, cohort_jobs, teacher_job):
    path, run = trained.store.record_path(teacher_job), cohort_jobs["kd"]
    record = json.loads(path.read_text())
    del record["weights"]
    path.write_text(json.dumps(record))
    alter(trained.store.teacher_path(teacher_job))
    trained.store.record_path(run).unlink()
    trained.train(run)
    sha = hashlib.sha256(trained.store.teacher_path(teacher_job).read_bytes()).hexdigest()
    assert trained.record(run)["provenance"]["teacher_weights"] == sha


def test_teacher_is_the_same_where_only_the_results_are_shared(trained, cohort_jobs, teacher_job, tmp_path):
    store = trained.store
    store.teacher_path(teacher_job).unlink()
    store.record_path(teacher_job).unlink()
    trained.train(teacher_job)
    other = Store(store.results, tmp_path / "other")
    lab = type(trained)(other, trained.source)
    before = store.record_path(cohort_jobs["kd"]).read_text()
    store.record_path(cohort_jobs["kd"]).unlink()
    lab.train(cohort_jobs["kd"])
    after = other.record_path(cohort_jobs["kd"]).read_text()
    told = [json.loads(text)["provenance"]["teacher_weights"] for text in (before, after)]
    assert told[0] == told[1]
    assert store.teacher_path(teacher_job).is_file()
