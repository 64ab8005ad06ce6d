"""Pretraining stages and the runs that start from them; linear probes."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from benchmark.training.cohort import CohortTraining
from benchmark.training.failures import StoppedError

STEPS = 3  # batches of an epoch
TRUNK = ("conv1.", "group1.", "group2.", "group3.")
"""Stem and stages of a wide ResNet; its final norm and its classifier are no part of the trunk."""


def state_of(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def saved(lab, stage, prefix=""):
    """The student (``network.``) or the method's modules (``method.``) that a stage saved."""
    state = load_file(lab.store.weights_path(stage))
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def trains(member, *modules):
    """Whether a member's optimiser updates just the parameters of these modules."""
    expected = {id(parameter) for module in modules for parameter in module.parameters()}
    return {id(parameter) for parameter in member.trained_parameters} == expected


@pytest.fixture
def forget(lab):
    """``forget(*jobs)`` returns the outcomes of jobs and removes them."""

    def remove(*jobs):
        outcomes = [lab.outcome(job) for job in jobs]
        for job in jobs:
            lab.store.record_path(job).unlink()
            lab.store.weights_path(job).unlink()
        return outcomes

    return remove


@pytest.fixture
def fresh(lab):
    """The member of a job, alone in its cohort and not yet trained; and the cohort."""

    def make(job):
        cohort = CohortTraining([job], lab.context())
        return cohort.members[0], cohort

    return make


@pytest.mark.parametrize("name", ["ab", "ft", "fsp"])
def test_stage_alone_equals_stage_in_cohort(name, lab, stages, forget):
    expected = forget(stages[name])
    lab.train(stages[name])
    assert [lab.outcome(stages[name])] == expected


@pytest.mark.parametrize("batches", [STEPS + 1, 2 * STEPS])
def test_interrupted_stage_goes_on_bit_for_bit(batches, lab, stages, forget, stop_after):
    jobs = list(stages.values())
    expected = forget(*jobs)
    with pytest.raises(StoppedError):
        lab.train(*jobs, stopped=stop_after(batches), checkpoint_seconds=0.0)
    unfinished = [job for job in jobs if not lab.store.record_path(job).exists()]
    assert unfinished
    lab.train(*unfinished)
    assert "resumed after epoch" in lab.store.log_path(unfinished[0]).read_text(encoding="utf-8")
    assert [lab.outcome(job) for job in jobs] == expected


@pytest.mark.parametrize(("name", "epochs"), [("ab", 2), ("fsp", 3)])
def test_stage_of_a_student_trains_its_trunk_and_the_methods_modules(name, epochs, lab, stages, fresh):
    member, _ = fresh(stages[name])
    network, modules = member.network, member.loss.pretrain_modules()
    before, after = state_of(network), saved(lab, stages[name], "network.")
    assert trains(member, network.conv1, network.group1, network.group2, network.group3, modules)
    trunk = {key for key in before if key.startswith(TRUNK)}
    assert {key for key in before if not torch.equal(before[key], after[key])} == trunk
    assert {key.partition(".")[0] for key in before.keys() - trunk} == {"norm", "classifier"}
    batches = {int(after[key]) for key in trunk if key.endswith("num_batches_tracked")}
    assert batches == {epochs * STEPS}
    assert after["norm.num_batches_tracked"] == 0
    trained = saved(lab, stages[name], "method.")
    assert trained.keys() == modules.state_dict().keys()
    assert bool(trained) == (name == "ab")
    assert not any(torch.equal(tensor, trained[key]) for key, tensor in modules.state_dict().items())


def test_stage_of_a_teacher_trains_the_methods_modules_alone(lab, stages, fresh, teacher_job):
    member, cohort = fresh(stages["ft"])
    teacher = state_of(cohort.shared_state.teacher.network)
    paraphraser, translator = state_of(member.loss.paraphraser), state_of(member.loss.translator)
    assert member.network is None
    assert trains(member, member.loss.paraphraser)
    assert member.extra_parameters == sum(tensor.numel() for tensor in paraphraser.values())
    cohort.run()
    after = saved(lab, stages["ft"], "method.")
    assert saved(lab, stages["ft"]).keys() == {f"method.{key}" for key in paraphraser}
    assert not any(torch.equal(after[key], tensor) for key, tensor in paraphraser.items())
    assert same(state_of(member.loss.translator), translator)
    assert same(state_of(cohort.shared_state.teacher.network), teacher)
    assert lab.record(stages["ft"])["spec"]["network"] == teacher_job.network


@pytest.mark.parametrize(
    ("name", "part", "rates"),
    [("ab", "ab", [0.05, 0.05]), ("fsp", "fsp", [0.005, 0.005, 0.005]), ("ft", "reconstruction", [0.02, 0.02])],
)
def test_weights_and_record_of_a_stage(name, part, rates, lab, stages, cohort_jobs):
    assert cohort_jobs[name].recipe.milestones == (2,)  # which the stage does not take over
    record = lab.record(stages[name])
    losses = record["curves"]["parts"][part]
    assert record["kind"] == "stage"
    assert record["curves"]["lr"] == rates
    assert record["metrics"]["last"] == {"epoch": len(losses), "loss": losses[-1]}
    assert losses[-1] < losses[0]
    assert record["curves"]["test"] == {"epoch": []}
    assert lab.store.settled(stages[name]) == "done"
    tensors = [tensor for tensor in saved(lab, stages[name]).values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert not all(torch.equal(tensor, tensor.half().float()) for tensor in tensors)  # in full precision


def test_records_tell_the_weights_that_were_read(cohort_jobs, undisturbed, teacher_job):
    for name in ("kd", "ab", "ft"):
        run = cohort_jobs[name]
        told = undisturbed.record(run)["provenance"]["rests_on"]
        assert told == {job.id: undisturbed.sha(job) for job in (teacher_job, *run.stages)}


@pytest.mark.parametrize(("method", "stage"), [("ab", "ab"), ("fsp", "fsp"), ("fsp+kd", "fsp")])
def test_run_starts_from_the_student_of_its_stage(method, stage, lab, make_job, cohort_jobs, stages, fresh):
    job = cohort_jobs.get(method) or make_job(method)
    assert job.stages == (stages[stage],)
    member, _ = fresh(job)
    assert same(state_of(member.network), saved(lab, stages[stage], "network."))
    assert member.network.training
    assert trains(member, member.network)
    assert member.extra_parameters == 0


def test_run_keeps_modules_pretrained_on_the_teacher_frozen(lab, cohort_jobs, stages, fresh):
    member, cohort = fresh(cohort_jobs["ft"])
    method = member.loss.terms["ft"]
    assert trains(member, member.network, method.translator)
    before = state_of(method.translator)
    cohort.run()
    assert same(state_of(method.paraphraser), saved(lab, stages["ft"], "method."))
    parameters = list(method.paraphraser.parameters())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in parameters)
    assert not torch.equal(method.translator[0].weight, before["0.weight"])


def test_stage_that_does_not_apply_ends_alone(lab, stages, forget):
    not_applicable = replace(stages["fsp"], network="wrn-10-4")
    expected = forget(stages["fsp"])
    lab.train(not_applicable, stages["fsp"])
    assert lab.record(not_applicable)["status"] == "not_applicable"
    reason = lab.record(not_applicable)["failure"]["reason"]
    assert reason.startswith("FSP needs maps of equal channels, but wrn-10-4 has 4, 16,")
    assert [lab.outcome(stages["fsp"])] == expected


@pytest.fixture
def base(make_job, leave_network):
    """A run of a hundred classes, and its network."""
    job = make_job("student", dataset="cifar100")
    return job, leave_network(job)


@pytest.fixture
def probe(resolver, base):
    return resolver.probe("PROBE-CIFAR100", base[0])


def outcome_of_probe(lab, job):
    """What a probe came to; the record is removed."""
    record = lab.record(job)
    lab.store.record_path(job).unlink()
    return record["status"], record["metrics"], record["curves"]


def test_probe_is_softmax_regression_on_frozen_embeddings(lab, probe, base, fresh):
    member, cohort = fresh(probe)
    network, classifier = base[1], deepcopy(member.network.classifier)
    assert tuple(classifier.weight.shape) == (10, network.classifier.in_features)
    assert trains(member, member.network.classifier)
    optimizer = torch.optim.SGD(classifier.parameters(), lr=1.0, momentum=0.9)
    for epoch in (1, 2, 3):
        optimizer.param_groups[0]["lr"] = 0.05 if epoch < 3 else 0.005
        for sample in lab.source.stream(probe.recipe, 0).epoch(epoch):
            with torch.no_grad():
                embedding = network(sample.images).embedding
            optimizer.zero_grad()
            functional.cross_entropy(classifier(embedding), sample.targets).backward()
            optimizer.step()
    cohort.run()
    torch.testing.assert_close(member.network.classifier.weight, classifier.weight, rtol=1e-4, atol=1e-5)
    after = state_of(member.network)
    changed = {key for key, tensor in state_of(network).items() if not torch.equal(tensor, after[key])}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert not any(module.training for module in member.network.modules() if isinstance(module, nn.BatchNorm2d))
    hits = count = 0
    with torch.no_grad():
        for images, targets in lab.source.test_batches(probe.recipe):
            hits += (classifier(network(images).embedding).argmax(dim=1) == targets).sum().item()
            count += len(targets)
    assert count == 600
    assert lab.record(probe)["metrics"]["last"]["top1"] == pytest.approx(100 * hits / count, abs=0.2)


def test_record_of_a_probe_and_its_interruption(lab, probe, stop_after):
    lab.train(probe)
    record = lab.record(probe)
    assert record["kind"] == "probe"
    assert set(record["metrics"]) == {"last", "best"}
    assert record["spec"]["base"] == {"network": "wrn-10-2", "id": probe.base.id}
    assert record["provenance"]["teacher_weights"] is None
    assert record["provenance"]["rests_on"] == {probe.base.id: lab.sha(probe.base)}
    assert not lab.store.weights_path(probe).exists()
    assert lab.store.settled(probe) == "done"
    expected = outcome_of_probe(lab, probe)
    with pytest.raises(StoppedError):
        lab.train(probe, stopped=stop_after(STEPS + 1), checkpoint_seconds=0.0)
    lab.train(probe)
    assert "resumed after epoch 1" in lab.store.log_path(probe).read_text(encoding="utf-8")
    assert outcome_of_probe(lab, probe) == expected
