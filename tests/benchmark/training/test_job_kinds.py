"""First stages and the runs that begin from them; probes."""

from copy import deepcopy

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from benchmark.training.cohort import CohortTraining
from benchmark.training.failures import StoppedError
from benchmark.training.weights import save_weights

STEPS = 3  # batches of an epoch
TRUNK = ("conv1.", "group1.", "group2.", "group3.")
"""Stem and stages of a wide ResNet; its final norm and its classifier are no part."""


def _state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def _same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def _under(state, prefix):
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _saved(lab, stage, prefix=""):
    """What a stage left of the student (``network.``) or of the method's modules (``method.``)."""
    return _under(load_file(lab.store.weights_path(stage)), prefix)


def _trained_by(member):
    """The parameters that a member's optimiser has, as a set of identities."""
    return {id(parameter) for group in member._optimizer.param_groups for parameter in group["params"]}


def _ids(*modules):
    return {id(parameter) for module in modules for parameter in module.parameters()}


@pytest.fixture
def forget(lab):
    """Removes what jobs left."""

    def remove(*jobs):
        for job in jobs:
            lab.store.record_path(job).unlink()
            lab.store.weights_path(job).unlink()

    return remove


@pytest.fixture
def fresh(lab):
    """The member of a job, alone in its cohort and not yet trained; and the cohort."""

    def make(job):
        cohort = CohortTraining([job], lab.context())
        return cohort.members[0], cohort

    return make


@pytest.mark.parametrize("name", ["ab", "ft", "fsp"])
def test_stage_alone_equals_stage_in_company(name, lab, stages, forget):
    expected = lab.outcome(stages[name])
    forget(stages[name])
    lab.train(stages[name])
    assert lab.outcome(stages[name]) == expected


@pytest.mark.parametrize("batches", [STEPS + 1, 2 * STEPS])
def test_interrupted_stage_goes_on_bit_for_bit(batches, lab, stages, forget, stop_after):
    jobs = list(stages.values())
    expected = [lab.outcome(job) for job in jobs]
    forget(*jobs)
    with pytest.raises(StoppedError):
        lab.train(*jobs, stopped=stop_after(batches), checkpoint_seconds=0.0)
    unfinished = [job for job in jobs if not lab.store.record_path(job).exists()]
    assert unfinished
    lab.train(*unfinished)
    assert "resumed after epoch" in lab.store.log_path(unfinished[0]).read_text(encoding="utf-8")
    assert [lab.outcome(job) for job in jobs] == expected


@pytest.mark.parametrize("name", ["ab", "ft", "fsp"])
def test_stage_is_saved_in_full_precision(name, lab, stages):
    tensors = [tensor for tensor in _saved(lab, stages[name]).values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert not all(torch.equal(tensor, tensor.half().float()) for tensor in tensors)


@pytest.mark.parametrize(("name", "epochs"), [("ab", 2), ("fsp", 3)])
def test_stage_of_a_student_trains_its_trunk_and_nothing_else_of_it(name, epochs, lab, stages, fresh):
    member, _ = fresh(stages[name])
    before, after = _state(member.network), _saved(lab, stages[name], "network.")
    trunk = {key for key in before if key.startswith(TRUNK)}
    assert {key for key in before if not torch.equal(before[key], after[key])} == trunk
    rest = {key.partition(".")[0] for key in before.keys() - trunk}
    assert rest == {"norm", "classifier"}
    batches = {int(after[key]) for key in trunk if key.endswith("num_batches_tracked")}
    assert batches == {epochs * STEPS}
    assert after["norm.num_batches_tracked"] == 0


@pytest.mark.parametrize("name", ["ab", "fsp"])
def test_stage_of_a_student_has_the_optimiser_for_trunk_and_prepared_modules(name, stages, fresh):
    member, _ = fresh(stages[name])
    network = member.network
    trunk = _ids(network.conv1, network.group1, network.group2, network.group3)
    assert _trained_by(member) == trunk | _ids(member.loss.pretrain_modules())
    assert bool(_ids(member.loss.pretrain_modules())) == (name == "ab")


def test_stage_of_a_teacher_trains_the_prepared_modules_alone(lab, stages, fresh, teacher_job):
    member, cohort = fresh(stages["ft"])
    teacher = _state(cohort.shared.teacher.network)
    paraphraser, translator = _state(member.loss.paraphraser), _state(member.loss.translator)
    assert member.network is None
    assert _trained_by(member) == _ids(member.loss.paraphraser)
    assert member.extra_parameters == sum(tensor.numel() for tensor in paraphraser.values())
    cohort.run()
    after = _saved(lab, stages["ft"], "method.")
    assert _saved(lab, stages["ft"]).keys() == {f"method.{key}" for key in paraphraser}
    assert not any(torch.equal(after[key], tensor) for key, tensor in paraphraser.items())
    assert _same(_state(member.loss.translator), translator)
    assert _same(_state(cohort.shared.teacher.network), teacher)
    assert lab.record(stages["ft"])["spec"]["network"] == teacher_job.network


def test_prepared_modules_of_a_students_stage_are_trained_and_saved(lab, stages, fresh):
    member, _ = fresh(stages["ab"])
    before, after = _state(member.loss.pretrain_modules()), _saved(lab, stages["ab"], "method.")
    assert before.keys() == after.keys()
    assert not any(torch.equal(before[key], tensor) for key, tensor in after.items())


@pytest.mark.parametrize(
    ("name", "rates"), [("ab", [0.05, 0.05]), ("fsp", [0.005, 0.005, 0.005]), ("ft", [0.02, 0.02])]
)
def test_rate_of_a_stage_is_constant(name, rates, lab, stages, company):
    assert company[name].recipe.milestones == (2,)
    assert lab.record(stages[name])["curves"]["lr"] == rates


def test_record_of_a_stage_says_what_it_came_to(lab, stages):
    for name, part in (("ab", "ab"), ("ft", "reconstruction"), ("fsp", "fsp")):
        record = lab.record(stages[name])
        losses = record["curves"]["parts"][part]
        assert record["kind"] == "stage"
        assert record["metrics"]["last"] == {"epoch": len(losses), "loss": losses[-1]}
        assert losses[-1] < losses[0]
        assert record["curves"]["test"] == {"epoch": []}
        assert lab.store.settled(stages[name]) == "done"


def test_records_tell_the_weights_that_were_read(company, undisturbed, teacher_job):
    for name in ("kd", "ab", "ft"):
        run = company[name]
        told = undisturbed.record(run)["provenance"]["rests_on"]
        assert told == {job.id: undisturbed.sha(job) for job in (teacher_job, *run.stages)}


@pytest.mark.parametrize("name", ["ab", "fsp"])
def test_run_begins_from_the_student_of_its_stage(name, lab, company, stages, fresh, undisturbed):
    member, _ = fresh(company[name])
    assert _same(_state(member.network), _saved(lab, stages[name], "network."))
    assert member.network.training
    assert _trained_by(member) == _ids(member.network)
    assert undisturbed.record(company[name])["cost"]["extra_parameters"] == 0


def test_run_keeps_the_teachers_prepared_modules_as_they_are(lab, company, stages, fresh):
    member, cohort = fresh(company["ft"])
    method = member.loss.terms["ft"]
    assert _trained_by(member) == _ids(member.network, method.translator)
    before = _state(method.translator)
    cohort.run()
    assert _same(_state(method.paraphraser), _saved(lab, stages["ft"], "method."))
    parameters = list(method.paraphraser.parameters())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in parameters)
    assert not torch.equal(method.translator[0].weight, before["0.weight"])


def test_sums_begin_from_the_stage_too(lab, make_job, stages, fresh):
    job = make_job("fsp+kd")
    assert job.stages == (stages["fsp"],)
    member, _ = fresh(job)
    assert _same(_state(member.network), _saved(lab, stages["fsp"], "network."))


def test_stage_that_does_not_apply_ends_alone(lab, make_job, stages, forget):
    not_applicable = make_job("fsp", "wrn-10-4").stages[0]
    expected = lab.outcome(stages["fsp"])
    forget(stages["fsp"])
    lab.train(not_applicable, stages["fsp"])
    assert lab.record(not_applicable)["status"] == "not_applicable"
    assert lab.record(not_applicable)["failure"]["reason"].startswith(
        "FSP needs maps of equal channels, but wrn-10-4 has 4, 16,"
    )
    assert lab.outcome(stages["fsp"]) == expected


# Probes.


@pytest.fixture
def base(make_job, leave_network):
    """A run of a hundred classes, and its network."""
    job = make_job("student", dataset="cifar100")
    return job, leave_network(job)


@pytest.fixture
def probe(resolver, base):
    return resolver.probe("PROBE-CIFAR100", base[0])


def _told(lab, job):
    record = lab.record(job)
    return record["status"], record["metrics"], record["curves"]


def test_probe_trains_the_classifier_alone(probe, base, fresh):
    member, cohort = fresh(probe)
    network = member.network
    assert tuple(network.classifier.weight.shape) == (10, base[1].classifier.in_features)
    assert _trained_by(member) == _ids(network.classifier)
    cohort.run()
    after = _state(network)
    changed = {key for key, tensor in _state(base[1]).items() if not torch.equal(tensor, after[key])}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert not any(module.training for module in network.modules() if isinstance(module, nn.BatchNorm2d))


def test_probe_is_softmax_regression_on_frozen_embeddings(lab, probe, base, fresh):
    member, cohort = fresh(probe)
    network, classifier = base[1], deepcopy(member.network.classifier)
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
    hits = count = 0
    with torch.no_grad():
        for images, targets in lab.source.test_batches(probe.recipe):
            hits += (classifier(network(images).embedding).argmax(dim=1) == targets).sum().item()
            count += len(targets)
    assert count == 600
    assert lab.record(probe)["metrics"]["last"]["top1"] == pytest.approx(100 * hits / count, abs=0.2)


def test_record_of_a_probe(lab, probe):
    lab.train(probe)
    record = lab.record(probe)
    assert record["kind"] == "probe"
    assert set(record["metrics"]) == {"last", "best"}
    assert record["spec"]["base"] == {"network": "wrn-10-2", "id": probe.base.id}
    assert record["provenance"]["teacher_weights"] is None
    assert record["provenance"]["rests_on"] == {probe.base.id: lab.sha(probe.base)}
    assert not lab.store.weights_path(probe).exists()
    assert lab.store.settled(probe) == "done"


def test_probe_alone_equals_probe_in_company(lab, resolver, make_job, leave_network):
    jobs = [make_job(method) for method in ("kd", "srrl", "at")]
    for job in jobs:
        save_weights(leave_network(job), lab.store.weights_path(job), job)
    probes = [resolver.probe("PROBE-STL10", job) for job in jobs]
    lab.train(*probes)
    together = _told(lab, probes[1])
    lab.store.record_path(probes[1]).unlink()
    lab.train(probes[1])
    assert _told(lab, probes[1]) == together


def test_interrupted_probe_goes_on_bit_for_bit(lab, probe, stop_after):
    lab.train(probe)
    expected = _told(lab, probe)
    lab.store.record_path(probe).unlink()
    with pytest.raises(StoppedError):
        lab.train(probe, stopped=stop_after(STEPS + 1), checkpoint_seconds=0.0)
    lab.train(probe)
    assert "resumed after epoch 1" in lab.store.log_path(probe).read_text(encoding="utf-8")
    assert _told(lab, probe) == expected
