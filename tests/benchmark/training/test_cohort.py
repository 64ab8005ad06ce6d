"""Runs that train together: equal to themselves alone, whatever happens to their neighbours."""

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
from benchmark.training.failures import DivergedError, StoppedError
from benchmark.training.streams import Streams
from benchmark.training.trainable import Trainable
from benchmark.training.weights import load_weights, new_network
from methods import NotApplicableError
from models import Network
from models.wrn import WideResNet

STEPS = 3  # batches of an epoch


@pytest.mark.parametrize("name", ["kd", "srrl", "kd+srrl", "crd", "ofd", "at", "rkd", "ab", "ft", "fsp", "short"])
def test_run_alone_equals_run_in_company(name, lab, company, undisturbed):
    lab.train(company[name])
    assert lab.outcome(company[name]) == undisturbed.outcome(company[name])


def test_order_of_members_does_not_matter(lab, company, undisturbed):
    lab.train(company["ofd"], company["crd"], company["kd"])
    for name in ("kd", "crd", "ofd"):
        assert lab.outcome(company[name]) == undisturbed.outcome(company[name])


def test_runs_are_not_all_alike(company, undisturbed):
    assert len({undisturbed.store.weights_path(job).read_bytes() for job in company.values()}) == len(company)


def test_without_a_teacher_alone_equals_together(lab, make_job):
    alone, together = make_job("student"), make_job("student", epochs=2)
    lab.train(alone, together)
    first = lab.outcome(alone)
    lab.store.record_path(alone).unlink()
    lab.train(alone)
    assert lab.outcome(alone) == first


@pytest.mark.parametrize("batches", [1, STEPS + 2, 2 * STEPS + 1])
def test_stopped_amid_an_epoch_and_resumed(batches, lab, company, undisturbed, stop_after):
    jobs = [company[name] for name in ("crd", "ofd", "rkd", "kd+srrl", "ft", "short")]
    with pytest.raises(StoppedError):
        lab.train(*jobs, stopped=stop_after(batches), checkpoint_seconds=0.0)
    assert not any(lab.store.record_path(job).is_file() for job in jobs if job.recipe.epochs == 3)
    unfinished = [job for job in jobs if not lab.store.record_path(job).is_file()]
    lab.train(*unfinished, checkpoint_seconds=0.0)
    for job in jobs:
        assert lab.outcome(job) == undisturbed.outcome(job)


def test_resumes_after_the_last_checkpoint(lab, company, stop_after):
    job = company["kd"]
    with pytest.raises(StoppedError):
        lab.train(job, stopped=stop_after(2 * STEPS + 1), checkpoint_seconds=0.0)
    lab.events.clear()
    lab.train(job)
    assert [(event["event"], _epochs(event)) for event in lab.events[:-1]] == [("resumed", {2}), ("epoch", {3})]
    assert "resumed after epoch 2 of 3" in lab.store.log_path(job).read_text(encoding="utf-8")
    assert not lab.store.checkpoint_path(job).exists()


def _epochs(event):
    return {run["epoch"] for run in event["runs"].values()}


def test_members_with_unequal_checkpoints_catch_up(lab, company, undisturbed, stop_after):
    for name, epochs in (("crd", 2), ("ofd", 1)):
        with pytest.raises(StoppedError):
            lab.train(company[name], stopped=stop_after(epochs * STEPS), checkpoint_seconds=0.0)
    lab.events.clear()
    lab.train(company["crd"], company["ofd"], company["srrl"])
    for name in ("crd", "ofd", "srrl"):
        assert lab.outcome(company[name]) == undisturbed.outcome(company[name])
    assert [_epochs(event) for event in lab.events if event["event"] != "done"] == [{1, 2}, {1}, {2}, {3}]


def test_checkpoints_are_kept_only_as_often_as_asked(lab, company, stop_after):
    with pytest.raises(StoppedError):
        lab.train(company["kd"], stopped=stop_after(2 * STEPS), checkpoint_seconds=1e9)
    assert not lab.store.checkpoint_path(company["kd"]).exists()


def test_damaged_checkpoint_is_named_and_the_run_starts_anew(lab, company, undisturbed, stop_after):
    job = company["srrl"]
    with pytest.raises(StoppedError):
        lab.train(job, stopped=stop_after(STEPS), checkpoint_seconds=0.0)
    path = lab.store.checkpoint_path(job)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=f"checkpoint {path} is damaged"):
        lab.train(job)
    assert lab.outcome(job) == undisturbed.outcome(job)


def test_checkpoint_of_other_code_is_named_and_the_run_starts_anew(lab, company, undisturbed, stop_after):
    job = company["kd"]
    with pytest.raises(StoppedError):
        lab.train(job, stopped=stop_after(STEPS), checkpoint_seconds=0.0)
    path = lab.store.checkpoint_path(job)
    state = unpack(path)
    path.write_bytes(pack({**state, "optimizer": {"state": {}, "param_groups": []}}))
    with pytest.warns(UserWarning, match="does not fit"):
        lab.train(job)
    assert lab.outcome(job) == undisturbed.outcome(job)


def test_diverging_run_ends_alone(lab, company, undisturbed, make_job):
    wild = make_job("srrl", lr=1e30)
    lab.train(company["crd"], wild, company["kd"])
    record = lab.record(wild)
    assert record["status"] == "failed"
    assert record["failure"]["reason"].startswith("diverged: the loss (")
    assert record["metrics"] == {}
    assert lab.store.settled(wild) == "failed"
    for name in ("crd", "kd"):
        assert lab.outcome(company[name]) == undisturbed.outcome(company[name])


def test_weights_broken_by_the_last_step_are_no_result(lab, make_job):
    wild = make_job("student", lr=1e30, epochs=1, train_limit=32)
    lab.train(wild)
    assert lab.record(wild)["failure"]["reason"] == "diverged: the outputs on test images are not finite after epoch 1"


def test_raising_method_ends_its_run_alone(lab, company, undisturbed, monkeypatch):
    forward, calls = methods.rkd.RKD.forward, []

    def break_later(*arguments):
        calls.append(1)
        if len(calls) > STEPS + 1:
            raise LookupError("no such map\nhere")
        return forward(*arguments)

    monkeypatch.setattr(methods.rkd.RKD, "forward", break_later)
    lab.train(company["rkd"], company["crd"], checkpoint_seconds=0.0)
    assert lab.record(company["rkd"])["failure"] == {"reason": "LookupError: no such map"}
    assert "Traceback" in lab.store.log_path(company["rkd"]).read_text(encoding="utf-8")
    assert len(calls) == STEPS + 2
    assert not lab.store.checkpoint_path(company["rkd"]).exists()
    assert lab.outcome(company["crd"]) == undisturbed.outcome(company["crd"])


def test_cohort_ends_when_every_run_has_failed(lab, company, monkeypatch):
    monkeypatch.setattr(methods.kd.KD, "forward", lambda *_: {"kd": torch.tensor(float("nan"), requires_grad=True)})
    lab.train(company["kd"], company["short"])
    assert [event["event"] for event in lab.events] == ["failed", "failed"]
    assert "kd.kd" in lab.record(company["kd"])["failure"]["reason"]


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
def test_what_concerns_all_runs_is_passed_on(error, lab, company, monkeypatch):
    def raise_it(*_):
        raise error

    monkeypatch.setattr(methods.kd.KD, "forward", raise_it)
    with pytest.raises(type(error)):
        lab.train(company["srrl"], company["kd"])
    assert not lab.store.record_path(company["kd"]).exists()
    assert not lab.store.record_path(company["srrl"]).exists()


def test_a_checkpoint_that_finds_no_memory_is_kept(lab, company, monkeypatch):
    path = lab.store.checkpoint_path(company["kd"])
    with pytest.raises(StoppedError):
        lab.train(company["kd"], checkpoint_seconds=0.0, stopped=path.exists)
    before = path.read_bytes()

    def run_out(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with monkeypatch.context() as patch:
        patch.setattr(Trainable, "resume", run_out)
        with pytest.raises(torch.OutOfMemoryError):
            lab.train(company["kd"])
    assert path.read_bytes() == before


class CountedLanes(Streams):
    """Notes how many streams are opened at a time."""

    def __init__(self):
        self.counts = []

    @contextmanager
    def fork_join(self, count):
        self.counts.append(count)
        yield


def test_few_members_are_tested_at_a_time(lab, company, monkeypatch):
    counted = CountedLanes()
    monkeypatch.setattr(cohort, "streams_of", lambda _: counted)
    lab.train(*company.values())
    # One leaves after its second epoch; nobody else is tested in that.
    assert {*counted.counts} == {len(company), len(company) - 1, 4}


def test_method_that_refuses_its_pair_fails_alone(lab, company, monkeypatch):
    def refuse(*_):
        raise ValueError("unequal channels")

    monkeypatch.setattr(methods.kd.KD, "__init__", refuse)
    lab.train(company["kd"], company["srrl"])
    assert lab.store.read(company["kd"]).reason == "ValueError: unequal channels"
    assert lab.store.read(company["srrl"]).status == "done"


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_method_that_ends_its_process_fails_alone(error, lab, company, monkeypatch):
    def leave(*_):
        raise error

    monkeypatch.setattr(methods.kd.KD, "forward", leave)
    lab.train(company["kd"], company["srrl"])
    assert lab.store.read(company["kd"]).reason.startswith(type(error).__name__)
    assert lab.store.read(company["srrl"]).status == "done"


def test_method_that_does_not_apply_is_no_failure(lab, company, monkeypatch):
    def refuse(*_):
        raise NotApplicableError("KD needs logits, and there are none")

    monkeypatch.setattr(methods.kd.KD, "__init__", refuse)
    lab.train(company["kd"], company["srrl"], checkpoint_seconds=0.0)
    record = lab.store.read(company["kd"])
    assert (record.status, record.reason) == ("not_applicable", "KD needs logits, and there are none")
    assert lab.store.settled(company["kd"], retry=True) == "not_applicable"
    assert not lab.store.weights_path(company["kd"]).exists()
    assert "not_applicable: KD needs logits" in lab.store.log_path(company["kd"]).read_text(encoding="utf-8")
    assert [event["event"] for event in lab.events if event["event"] != "epoch"] == ["not_applicable", "done"]


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
    assert lab.record(needing)["failure"] == {"reason": f"{title} needs {part}(), which {name} has not"}


def test_pair_of_unequal_channels_is_not_applicable_to_fsp(lab, make_job):
    job = make_job("fsp", "resnet10-narrow", in_size=16)
    assert not job.stages  # known to be vain, without training
    lab.train(job)
    assert lab.record(job)["status"] == "not_applicable"
    reason = "FSP needs maps of equal channels, but resnet10-narrow has 8, 8, 8, 16 where wrn-16-2 has 4, 8, 16, 32"
    assert lab.record(job)["failure"] == {"reason": reason}


def test_missing_teacher_is_the_users_error(lab, company, teacher_job):
    lab.store.weights_path(teacher_job).unlink()
    with pytest.raises(UserError, match=r"weights of none:wrn-16-2 student seed 0 \(\w+\) are gone: run the command"):
        lab.train(company["kd"])


def test_teacher_is_used_as_saved(lab, company, teacher_job):
    cohort = CohortTraining([company["kd"]], lab.context())
    path = lab.store.teacher_path(teacher_job)
    saved = load_file(path)
    network = cohort.shared.teacher.network
    used = network.state_dict()
    assert {saved[name].dtype for name, _ in network.named_parameters()} == {torch.float16}
    assert all(torch.equal(used[name], tensor.to(used[name].dtype)) for name, tensor in saved.items())
    assert path.read_bytes() == lab.store.weights_path(teacher_job).read_bytes()
    cohort.run()
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    assert lab.record(company["kd"])["provenance"]["teacher_weights"] == sha


def test_kept_teacher_serves_without_the_checkpoints(lab, company, undisturbed, teacher_job):
    lab.store.keep_teacher(teacher_job)
    lab.store.weights_path(teacher_job).unlink()
    lab.train(company["kd"])
    assert lab.outcome(company["kd"]) == undisturbed.outcome(company["kd"])


def test_training_leaves_the_teacher_as_it_was(lab, company):
    cohort = CohortTraining([company["ofd"], company["srrl"]], lab.context())
    teacher = cohort.shared.teacher.network
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    cohort.run()
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    assert not teacher.training
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in teacher.parameters())


def test_record_says_what_was_trained_and_how(company, undisturbed, teacher_job):
    job = company["crd"]
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
    assert record["cost"]["images"] == 3 * 96
    assert record["cost"]["cohort_members"] == len(company)
    assert record["cost"]["extra_parameters"] > 0
    assert 0 < record["cost"]["step_seconds"] < record["cost"]["cohort_seconds"]


def test_record_says_where_it_comes_from(company, undisturbed):
    provenance = undisturbed.record(company["kd"])["provenance"]
    assert provenance["data"]["name"] == "digits"
    assert provenance["data"]["official"] is True
    assert len(provenance["data"]["fingerprint"]) == 64
    assert provenance["threads"] == 1
    assert provenance["device"] == "cpu"
    assert provenance["versions"]["torch"] == version("torch")


class TestReplacing:
    """A run that another machine left is trained again."""

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

    def test_the_record_is_replaced_when_it_is_done(self, lab, company, train):
        job = company["kd"]
        before = train(job, processor="elsewhere")
        expected, path = lab.outcome(job), lab.store.record_path(job)
        assert before.provenance.processor == "elsewhere"
        old = path.read_bytes()
        train(job, STEPS + 1)
        assert path.read_bytes() == old
        assert train(job).provenance.processor == "here"
        assert "resumed after epoch 1" in lab.store.log_path(job).read_text(encoding="utf-8")
        assert lab.outcome(job) == expected

    def test_what_was_not_begun_here_starts_anew(self, lab, company, train):
        job = company["kd"]
        train(job, STEPS + 1, processor="elsewhere")
        with pytest.warns(UserWarning, match="is not used, the run was begun on another machine: the run starts anew"):
            train(job)
        assert "resumed" not in lab.store.log_path(job).read_text(encoding="utf-8")

    def test_other_runs_go_on_wherever_they_were_begun(self, lab, company, train):
        job = company["kd"]
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

    def test_the_record_stays_where_the_run_comes_to_nothing(self, lab, company, train, diverge):
        job = company["kd"]
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
        diverge("note_test")  # of the weights as they are kept
        train(job)
        assert path.read_bytes() == record
        assert lab.store.weights(job) is None


def test_adam_goes_on_bit_for_bit(lab, make_job, stop_after):
    job = make_job("kd", optimizer="adam", beta2=0.999, lr=0.002, weight_decay=0.0)
    lab.train(job)
    expected = lab.outcome(job)
    lab.store.record_path(job).unlink()
    with pytest.raises(StoppedError):
        lab.train(job, stopped=stop_after(STEPS + 1), checkpoint_seconds=0.0)
    lab.train(job)
    assert "resumed after epoch 1" in lab.store.log_path(job).read_text(encoding="utf-8")
    assert lab.outcome(job) == expected


def test_run_with_images_held_out_is_tested_on_them(lab, make_job, tmp_path):
    job = make_job("student", holdout=200)
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


def test_epochs_between_evaluations(lab, make_job):
    job = make_job("student", evaluate_every=2)
    lab.train(job)
    assert lab.record(job)["curves"]["test"]["epoch"] == [2, 3]


def test_events_tell_how_it_goes(lab, company):
    lab.train(company["kd"], company["short"])
    assert [event["event"] for event in lab.events] == ["epoch", "epoch", "done", "epoch", "done"]
    first = lab.events[0]
    assert (first["epoch"], first["epochs"], first["members"]) == (1, 3, 2)
    assert first["images_per_second"] > 0
    assert 0 <= first["best"] <= 100


def test_training_draws_nothing_from_the_global_generator(lab, company):
    before = torch.get_rng_state()
    lab.train(company["crd"], company["rkd"])
    assert torch.equal(torch.get_rng_state(), before)


def test_global_generator_does_not_matter(lab, company, undisturbed):
    with torch.random.fork_rng():
        torch.manual_seed(4711)
        lab.train(company["crd"])
    assert lab.outcome(company["crd"]) == undisturbed.outcome(company["crd"])


def test_seed_changes_the_run(lab, company, undisturbed):
    other = replace(company["kd"], seed=1)
    lab.train(other)
    assert lab.outcome(other) != undisturbed.outcome(company["kd"])


def test_retrained_teacher_replaces_the_kept_one(lab, teacher_job):
    kept = lab.store.keep_teacher(teacher_job)
    kept.write_bytes(b"of another training")
    lab.store.record_path(teacher_job).unlink()
    lab.train(teacher_job)
    assert kept.read_bytes() == lab.store.weights_path(teacher_job).read_bytes()
