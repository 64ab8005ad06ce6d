"""Runs that train together: each equals itself trained alone, whatever happens to the others."""

import hashlib
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib.metadata import version

import pytest
import torch
from safetensors.torch import load_file

import methods.kd
import methods.rkd
from benchmark import devices
from benchmark.data import load
from benchmark.errors import UserError
from benchmark.ids import digest
from benchmark.training import cohort, work
from benchmark.training.checkpoints import pack, unpack
from benchmark.training.cohort import CohortTraining
from benchmark.training.cuda_streams import Streams
from benchmark.training.failures import DivergedError, StoppedError
from benchmark.training.trainable import Trainable
from benchmark.training.weights import load_weights, new_network
from methods import NotApplicableError
from models import Network
from models.wrn import WideResNet
from tests.benchmark.training.conftest import COHORT

STEPS = 3  # batches of an epoch


@pytest.fixture
def interrupt(lab, stop_after):
    """``interrupt(*jobs, batches=n)`` trains jobs for some batches, with a checkpoint after every epoch."""

    def train(*jobs, batches):
        with pytest.raises(StoppedError):
            lab.train(*jobs, stopped=stop_after(batches), checkpoint_seconds=0.0)

    return train


@pytest.fixture
def unaffected(lab, cohort_jobs, undisturbed):
    """Checks that runs have the results that they have in the undisturbed cohort."""

    def check(*names):
        for name in names:
            assert lab.outcome(cohort_jobs[name]) == undisturbed.outcome(cohort_jobs[name]), name

    return check


@pytest.fixture
def raising(monkeypatch):
    """Lets a part of KD raise an error."""

    def patch(error, part="forward"):
        def fail(*_):
            raise error

        monkeypatch.setattr(methods.kd.KD, part, fail)

    return patch


@pytest.mark.parametrize("name", COHORT)
def test_run_alone_equals_run_in_cohort(name, lab, cohort_jobs, unaffected):
    lab.train(cohort_jobs[name])
    unaffected(name)


def test_neither_order_nor_global_random_numbers_matter(lab, cohort_jobs, unaffected):
    with torch.random.fork_rng():
        torch.manual_seed(4711)
        before = torch.get_rng_state()
        lab.train(cohort_jobs["ofd"], cohort_jobs["crd"], cohort_jobs["kd"])
        assert torch.equal(torch.get_rng_state(), before)
    unaffected("kd", "crd", "ofd")


def test_without_a_teacher_alone_equals_together(lab, make_job):
    alone, together = make_job("student"), make_job("student", epochs=2)
    lab.train(alone, together)
    first = lab.outcome(alone)
    lab.store.record_path(alone).unlink()
    lab.train(alone)
    assert lab.outcome(alone) == first


@pytest.mark.parametrize("batches", [1, STEPS + 2, 2 * STEPS + 1])
def test_stopped_amid_an_epoch_and_resumed(batches, lab, cohort_jobs, interrupt, unaffected):
    names = ("crd", "kd+srrl", "ft", "short")
    jobs = [cohort_jobs[name] for name in names]
    interrupt(*jobs, batches=batches)
    unfinished = [job for job in jobs if not lab.store.record_path(job).is_file()]
    assert unfinished[:3] == jobs[:3]
    lab.train(*unfinished, checkpoint_seconds=0.0)
    unaffected(*names)


def test_resumes_after_the_last_checkpoint(lab, cohort_jobs, interrupt):
    job = cohort_jobs["kd"]
    interrupt(job, batches=2 * STEPS + 1)
    lab.events.clear()
    lab.train(job)
    assert [(event["event"], _epochs(event)) for event in lab.events[:-1]] == [("resumed", {2}), ("epoch", {3})]
    assert "resumed after epoch 2 of 3" in lab.store.log_path(job).read_text(encoding="utf-8")
    assert not lab.store.checkpoint_path(job).exists()


def _epochs(event):
    return {run["epoch"] for run in event["runs"].values()}


def test_members_with_unequal_checkpoints_catch_up(lab, cohort_jobs, interrupt, unaffected):
    for name, epochs in (("crd", 2), ("ofd", 1)):
        interrupt(cohort_jobs[name], batches=epochs * STEPS)
    lab.events.clear()
    lab.train(cohort_jobs["crd"], cohort_jobs["ofd"], cohort_jobs["srrl"])
    unaffected("crd", "ofd", "srrl")
    assert [_epochs(event) for event in lab.events if event["event"] != "done"] == [{1, 2}, {1}, {2}, {3}]


def without_optimizer(path):
    return pack({**unpack(path), "optimizer": {"state": {}, "param_groups": []}})


@pytest.mark.parametrize(
    ("spoil", "says"), [(lambda path: path.read_bytes()[:-100], "is damaged"), (without_optimizer, "does not fit")]
)
def test_unusable_checkpoint_is_named_and_the_run_starts_again(spoil, says, lab, cohort_jobs, interrupt, unaffected):
    job = cohort_jobs["kd"]
    interrupt(job, batches=STEPS)
    path = lab.store.checkpoint_path(job)
    path.write_bytes(spoil(path))
    with pytest.warns(UserWarning, match=f"checkpoint {path} .*{says}"):
        lab.train(job)
    unaffected("kd")


def test_diverging_run_ends_alone(lab, cohort_jobs, unaffected, make_job):
    diverging = make_job("srrl", lr=1e30)
    lab.train(cohort_jobs["crd"], diverging, cohort_jobs["kd"])
    record = lab.record(diverging)
    assert record["failure"]["reason"].startswith("diverged: the loss (")
    assert record["metrics"] == {}
    assert lab.store.settled(diverging) == "failed"
    unaffected("crd", "kd")


def test_weights_broken_by_the_last_step_are_no_result(lab, make_job):
    job = make_job("student", lr=1e30, epochs=1, train_limit=32)
    lab.train(job)
    assert lab.record(job)["failure"]["reason"] == "diverged: the outputs on test images are not finite after epoch 1"


def test_raising_method_ends_its_run_alone(lab, cohort_jobs, unaffected, monkeypatch):
    forward, calls = methods.rkd.RKD.forward, []

    def break_later(*arguments):
        calls.append(1)
        if len(calls) > STEPS + 1:
            raise LookupError("no such map\nhere")
        return forward(*arguments)

    monkeypatch.setattr(methods.rkd.RKD, "forward", break_later)
    lab.train(cohort_jobs["rkd"], cohort_jobs["crd"], checkpoint_seconds=0.0)
    assert lab.record(cohort_jobs["rkd"])["failure"] == {"reason": "LookupError: no such map"}
    assert "Traceback" in lab.store.log_path(cohort_jobs["rkd"]).read_text(encoding="utf-8")
    assert len(calls) == STEPS + 2
    assert not lab.store.checkpoint_path(cohort_jobs["rkd"]).exists()
    unaffected("crd")


@pytest.mark.parametrize(
    ("part", "error", "reason"),
    [
        ("__init__", ValueError("half \ud83d of a sign"), "ValueError: half ? of a sign"),
        ("__init__", ValueError(""), "ValueError: "),
        ("forward", KeyboardInterrupt(), "KeyboardInterrupt: "),
    ],
)
def test_method_that_raises_fails_alone(part, error, reason, lab, cohort_jobs, raising):
    raising(error, part)
    lab.train(cohort_jobs["kd"], cohort_jobs["short"], cohort_jobs["ofd"])
    assert lab.store.read(cohort_jobs["kd"]).reason == lab.store.read(cohort_jobs["short"]).reason == reason
    assert lab.store.read(cohort_jobs["ofd"]).status == "done"


@pytest.mark.parametrize(
    "error",
    [
        UserError("the disk is full"),
        torch.AcceleratorError("device lost"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError("no room"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("FIND was unable to find an engine to execute this computation"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
    ids=str,
)
def test_what_concerns_all_runs_is_passed_on(error, lab, cohort_jobs, raising):
    raising(error)
    with pytest.raises(type(error)):
        lab.train(cohort_jobs["srrl"], cohort_jobs["kd"])
    assert not any(lab.store.record_path(cohort_jobs[name]).exists() for name in ("kd", "srrl"))


def test_checkpoint_is_kept_where_resuming_runs_out_of_memory(lab, cohort_jobs, interrupt, monkeypatch):
    interrupt(cohort_jobs["kd"], batches=STEPS)
    path = lab.store.checkpoint_path(cohort_jobs["kd"])
    before = path.read_bytes()

    def run_out(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(Trainable, "resume", run_out)
    with pytest.raises(torch.OutOfMemoryError):
        lab.train(cohort_jobs["kd"])
    assert path.read_bytes() == before


class CountedStreams(Streams):
    """Notes into how many streams work is forked."""

    def __init__(self):
        self.counts = []

    @contextmanager
    def fork_join(self, count):
        self.counts.append(count)
        yield


def test_few_members_are_tested_at_a_time(lab, make_job, monkeypatch):
    counted = CountedStreams()
    monkeypatch.setattr(cohort, "streams_for", lambda _: counted)
    small = {"train_limit": 32, "evaluate_every": 9}
    lab.train(*(make_job("student", lr=0.01 * n, epochs=1 if n == 1 else 2, **small) for n in range(1, 7)))
    # Six train in the first epoch, after which one is tested and leaves; the other five are tested four at a time.
    assert {*counted.counts} == {6, 1, 5, 4}


def test_method_that_does_not_apply_is_no_failure(lab, cohort_jobs, raising):
    job = cohort_jobs["kd"]
    raising(NotApplicableError("KD needs logits, and there are none"), "__init__")
    lab.train(job, cohort_jobs["srrl"], checkpoint_seconds=0.0)
    record = lab.store.read(job)
    assert (record.status, record.reason) == ("not_applicable", "KD needs logits, and there are none")
    assert lab.store.settled(job, retry=True) == "not_applicable"
    assert not lab.store.weights_path(job).exists()
    assert "not_applicable: KD needs logits" in lab.store.log_path(job).read_text(encoding="utf-8")
    assert [event["event"] for event in lab.events if event["event"] != "epoch"] == ["not_applicable", "done"]
    lab.store.record_path(job).unlink()
    raising(NotApplicableError(), "__init__")
    lab.train(job)
    assert lab.store.read(job).reason == "it gives no reason"


@pytest.mark.parametrize(
    ("method", "title", "part"),
    [("ofd", "OFD", "preact_norms"), ("srrl[layers=conv3]", "SRRL", "resume"), ("ab", "AB", "trunk")],
)
def test_network_that_lacks_a_part_makes_what_needs_it_not_applicable(method, title, part, lab, make_job, monkeypatch):
    job = make_job(method)
    monkeypatch.setattr(WideResNet, part, getattr(Network, part))
    needing, *_ = (*job.stages, job)
    lab.train(needing)
    assert lab.record(needing)["status"] == "not_applicable"
    name = job.network if job.stages else job.teacher.network
    assert lab.record(needing)["failure"] == {"reason": f"{title} needs {part}(), which {name} lacks"}


def test_missing_teacher_is_the_users_error(lab, cohort_jobs, teacher_job):
    lab.store.weights_path(teacher_job).unlink()
    with pytest.raises(UserError, match=r"weights of none:wrn-16-2 student seed 0 \(\w+\) are gone: run the command"):
        lab.train(cohort_jobs["kd"])


def test_teacher_is_used_as_saved_and_stays_as_it_was(lab, cohort_jobs, teacher_job):
    training = CohortTraining([cohort_jobs["ofd"], cohort_jobs["srrl"]], lab.context())
    path = lab.store.teacher_path(teacher_job)
    saved = load_file(path)
    network = training.shared_state.teacher.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert {saved[name].dtype for name, _ in network.named_parameters()} == {torch.float16}
    assert all(torch.equal(before[name], tensor.to(before[name].dtype)) for name, tensor in saved.items())
    assert path.read_bytes() == lab.store.weights_path(teacher_job).read_bytes()
    training.run()
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    assert lab.record(cohort_jobs["ofd"])["provenance"]["teacher_weights"] == sha
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not network.training
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


def test_kept_teacher_serves_without_the_checkpoints(lab, cohort_jobs, unaffected, teacher_job):
    lab.store.keep_teacher(teacher_job)
    lab.store.weights_path(teacher_job).unlink()
    lab.train(cohort_jobs["kd"])
    unaffected("kd")


def test_retrained_teacher_replaces_the_kept_one(lab, teacher_job):
    kept = lab.store.keep_teacher(teacher_job)
    kept.write_bytes(b"of another training")
    lab.store.record_path(teacher_job).unlink()
    lab.train(teacher_job)
    assert kept.read_bytes() == lab.store.weights_path(teacher_job).read_bytes()


def test_record_says_what_was_trained_and_how(cohort_jobs, undisturbed, teacher_job):
    job = cohort_jobs["crd"]
    record = undisturbed.record(job)
    assert record["id"] == job.id == digest(record["spec"])
    assert record["spec"]["teacher"] == {"network": "wrn-16-2", "id": teacher_job.id}
    assert record["status"] == "done"
    assert set(record["metrics"]) == {"params", "last", "best"}
    assert record["metrics"]["last"] == {name: values[-1] for name, values in {**record["curves"]["test"]}.items()}
    assert record["metrics"]["best"]["top1"] == max(record["curves"]["test"]["top1"])
    assert record["curves"]["epoch"] == record["curves"]["test"]["epoch"] == [1, 2, 3]
    assert record["curves"]["lr"] == pytest.approx([0.05, 0.05, 0.005])
    assert set(record["curves"]["parts"]) == {"ce", "crd.student", "crd.teacher"}
    assert (record["cost"]["images"], record["cost"]["cohort_members"]) == (3 * 96, len(cohort_jobs))
    assert record["cost"]["extra_parameters"] > 0
    assert 0 < record["cost"]["step_seconds"] < record["cost"]["cohort_seconds"]
    provenance = record["provenance"]
    assert (provenance["data"]["name"], provenance["data"]["official"]) == ("digits", True)
    assert len(provenance["data"]["fingerprint"]) == 64
    assert (provenance["threads"], provenance["device"]) == (1, "cpu")
    assert provenance["versions"]["torch"] == version("torch")


class TestReplacing:
    """A run of another machine is trained again on this one."""

    @pytest.fixture
    def train(self, lab, stop_after, monkeypatch):
        """``train(job, batches, replaced, processor)``, stopped after so many batches, on a machine of that name."""

        def run(job, batches=None, *, replaced=True, processor="here"):
            monkeypatch.setattr(devices, "processor", lambda: processor)
            context = lab.context(stop_after(batches) if batches else lambda: False, checkpoint_seconds=0.0)
            with pytest.raises(StoppedError) if batches else nullcontext():
                work([job], replace(context, replaced=frozenset([job.id] if replaced else [])))
            return lab.store.read(job)

        return run

    def test_the_record_is_replaced_when_it_is_done(self, lab, cohort_jobs, train):
        job = cohort_jobs["kd"]
        before = train(job, processor="elsewhere")
        expected, path = lab.outcome(job), lab.store.record_path(job)
        assert before.provenance.processor == "elsewhere"
        old = path.read_bytes()
        train(job, STEPS + 1)
        assert path.read_bytes() == old
        assert train(job).provenance.processor == "here"
        assert "resumed after epoch 1" in lab.store.log_path(job).read_text(encoding="utf-8")
        assert lab.outcome(job) == expected

    def test_what_was_not_begun_here_starts_again(self, lab, cohort_jobs, train):
        job = cohort_jobs["kd"]
        train(job, STEPS + 1, processor="elsewhere")
        with pytest.warns(UserWarning, match="is not used, the run was begun on another machine: the run starts again"):
            train(job)
        assert "resumed" not in lab.store.log_path(job).read_text(encoding="utf-8")

    def test_other_runs_go_on_wherever_they_were_begun(self, lab, cohort_jobs, train):
        job = cohort_jobs["kd"]
        train(job, STEPS + 1, replaced=False, processor="elsewhere")
        train(job, 1, replaced=False, processor="elsewhere")
        found = train(job, replaced=False).provenance
        assert "resumed after epoch 1" in lab.store.log_path(job).read_text(encoding="utf-8")
        assert (found.processor, len(found.machines)) == ("here", 2)
        assert found.conditions["processor"] == found.machine["processor"] == "elsewhere, then here"
        assert found.conditions["threads"] == 1

    @pytest.fixture
    def diverge(self, monkeypatch):
        """Lets runs diverge in some part of their training."""

        def fail(*_):
            raise DivergedError("diverged")

        return lambda part: monkeypatch.setattr(Trainable, part, fail)

    def test_the_record_stays_where_the_run_fails(self, lab, cohort_jobs, train, diverge):
        job = cohort_jobs["kd"]
        train(job)
        record, weights = lab.store.record_path(job).read_bytes(), lab.store.weights_path(job).read_bytes()
        diverge("step")
        train(job)
        assert lab.events[-1] == {"event": "failed", "id": job.id, "message": "diverged; its earlier record stays"}
        assert lab.store.record_path(job).read_bytes() == record
        assert lab.store.weights_path(job).read_bytes() == weights
        assert not lab.store.checkpoint_path(job).exists()

    def test_weights_that_were_not_measured_do_not_stay_beside_it(self, lab, make_job, train, diverge):
        job = make_job("kd", evaluate_every=9)
        train(job)
        path = lab.store.record_path(job)
        path.write_text(path.read_text().replace(lab.record(job)["weights"], "ab" * 32))  # the other machine's
        record = path.read_bytes()
        diverge("record_test")  # after the weights are saved
        train(job)
        assert path.read_bytes() == record
        assert lab.store.weights(job) is None


def test_adam_goes_on_bit_for_bit(lab, make_job, interrupt):
    job = make_job("kd", optimizer="adam", beta2=0.999, lr=0.002, weight_decay=0.0)
    lab.train(job)
    expected = lab.outcome(job)
    lab.store.record_path(job).unlink()
    interrupt(job, batches=STEPS + 1)
    lab.train(job)
    assert "resumed after epoch 1" in lab.store.log_path(job).read_text(encoding="utf-8")
    assert lab.outcome(job) == expected


def test_run_is_tested_on_the_held_out_images_when_due(lab, make_job, tmp_path):
    job = make_job("student", holdout=200, evaluate_every=2)
    lab.train(job)
    rows = load("digits", None, tmp_path).train
    images, labels = (torch.from_numpy(part[-200:].copy()) for part in (rows.images, rows.labels))
    normalised = (images.permute(0, 3, 1, 2) / 255 - 0.3) / 0.35
    network = new_network(job, lab.source.device).eval()
    load_weights(network, lab.store.weights_path(job), job)
    with torch.no_grad():
        logits = network(normalised).logits
    expected = {
        "top1": 100 * (logits.argmax(dim=1) == labels).double().mean().item(),
        "topk": 100 * (logits.topk(2).indices == labels[:, None]).any(dim=1).double().mean().item(),
        "loss": torch.nn.functional.cross_entropy(logits.double(), labels).item(),
    }
    measured = lab.record(job)["metrics"]["last"]
    assert {name: measured[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert lab.record(job)["curves"]["test"]["epoch"] == [2, 3]


def test_events_tell_how_it_goes(lab, cohort_jobs):
    lab.train(cohort_jobs["kd"], cohort_jobs["short"])
    assert [event["event"] for event in lab.events] == ["epoch", "epoch", "done", "epoch", "done"]
    first = lab.events[0]
    assert first["images_per_second"] > 0
    assert {*first["runs"]} == {cohort_jobs["kd"].id, cohort_jobs["short"].id}
    for run in first["runs"].values():
        assert run["epoch"] == 1
        assert run["loss"] > 0
        assert 0 <= run["top1"] <= 100


def test_checkpoints_are_kept_only_as_often_as_asked(lab, cohort_jobs, stop_after):
    with pytest.raises(StoppedError):
        lab.train(cohort_jobs["kd"], stopped=stop_after(2 * STEPS), checkpoint_seconds=1e9)
    assert not lab.store.checkpoint_path(cohort_jobs["kd"]).exists()
