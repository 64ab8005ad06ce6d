"""Published weights as a teacher."""

import hashlib
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from benchmark.config.teachers import TeacherChoice, Weights
from benchmark.errors import UserError
from benchmark.runs.names import parse_method
from benchmark.training.cohort import CohortTraining

TEACHER = TeacherChoice("C100", "wrn-16-2")
NAMES = (
    (r"^group", "block"),
    (r"\.first\.", ".layer.0."),
    (r"\.rest\.(\d+)\.", lambda match: f".layer.{int(match[1]) + 1}."),
    (r"\.norm([12])\.", r".bn\1."),
    (r"\.shortcut\.", ".convShortcut."),
    (r"^norm\.", "bn1."),
    (r"^classifier\.", "fc."),
)
"""What turns this project's names of a wide ResNet's weights into RepDistiller's."""


def _published(name):
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    return name


@pytest.fixture
def network(teacher_job, leave_network):
    """A trained teacher whose weights need full precision."""
    network = leave_network(teacher_job)
    with torch.no_grad():
        network.classifier.bias.fill_(1 / 3)
    return network


@pytest.fixture
def state(network):
    return network.state_dict()


@pytest.fixture
def give(tmp_path, resolver):
    """Writes a checkpoint and gives the resolver in which it is the teacher, and its path."""

    def make(content, name="ckpt_epoch_240.pth", part=""):
        path = tmp_path / name
        torch.save(content, path)
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        return replace(resolver, given={TEACHER.network: Weights(sha, path, part)}), path

    return make


@pytest.mark.parametrize("rename", [_published, str], ids=["published", "own"])
def test_checkpoint_becomes_a_teacher(rename, lab, give, network, state):
    content = {"opt": {"lr": 0.05}, "epoch": 240, "model": {rename(name): tensor for name, tensor in state.items()}}
    given, path = give(content)
    job = given.teacher(TEACHER)
    lab.train(job)
    saved = load_file(lab.store.weights_path(job))
    assert saved.keys() == state.keys()
    assert all(saved[name].dtype == state[name].dtype for name in state)
    assert all(torch.equal(saved[name], state[name]) for name in state)
    record = lab.record(job)
    assert (record["kind"], record["status"]) == ("evaluate", "done")
    assert record["given"] == {"file": path.name}
    assert record["spec"]["weights"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["metrics"]["params"] == sum(parameter.numel() for parameter in network.parameters())
    assert record["metrics"]["last"] == pytest.approx(_measured(network, lab.source.test_batches(job.recipe)))
    assert lab.store.settled(job) == "done"
    assert lab.events[-1]["event"] == "done"


def _measured(network, batches):
    """Accuracies in percent of the first guess and the first two, and cross-entropy in nats."""
    images, targets = map(torch.cat, zip(*batches, strict=True))
    with torch.no_grad():
        logits = network(images).logits.double()
    right = logits.gather(1, targets[:, None])
    ranks = (logits > right).sum(dim=1)
    top1, topk = (100 * (ranks < k).double().mean().item() for k in (1, 2))
    return {"top1": top1, "topk": topk, "loss": (logits.logsumexp(dim=1) - right[:, 0]).mean().item()}


def _distilled(state):
    """The state dict of a distillation between two networks of one kind."""
    student = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    networks = {"student": student, "teacher": state}
    return {f"module.{part}.{name}": tensor for part, own in networks.items() for name, tensor in own.items()}


@pytest.mark.parametrize("part", ["student", "teacher"])
def test_one_network_of_two_becomes_a_teacher(part, lab, give, state):
    content = {"epoch": 240, "model": _distilled(state), "optimizer": {}, "best_acc": 70.0}
    given, _ = give(content, "latest", part)
    job = given.teacher(TEACHER)
    lab.train(job)
    saved = load_file(lab.store.weights_path(job))
    assert all(
        torch.equal(saved[name], tensor) == (part == "teacher") for name, tensor in state.items() if tensor.any()
    )
    assert lab.record(job)["given"] == {"file": "latest", "network": part}


def test_the_chosen_network_is_part_of_ids_and_only_where_one_was_chosen(give, state):
    jobs = [give(_distilled(state), part=part)[0].teacher(TEACHER) for part in ("", "student", "teacher")]
    assert len({job.id for job in jobs}) == 3
    assert ["part" in job.spec for job in jobs] == [False, True, True]


def test_students_learn_from_given_weights_in_full_precision_and_record_them(lab, give, state):
    given, _ = give({"model": state})
    job = given.run("C100", "wrn-10-2", parse_method("kd"), TEACHER, 0)
    lab.train(job.teacher)
    training = CohortTraining([job], lab.context())
    used = training.shared_state.teacher.network.state_dict()
    assert all(torch.equal(used[name], tensor) for name, tensor in state.items())
    assert used["classifier.bias"][0] != torch.tensor(1 / 3).half().float()
    training.run()
    record, weights = lab.record(job), lab.store.weights_path(job.teacher)
    assert record["status"] == "done"
    assert record["spec"]["teacher"] == {"network": "wrn-16-2", "id": job.teacher.id}
    assert record["provenance"]["teacher_weights"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert not lab.store.teacher_path(job.teacher).exists()  # it is kept where it came from


def replaced(**changes):
    """The content of a file whose state dict has other tensors, or lacks some."""
    new = {name.replace("__", "."): tensor for name, tensor in changes.items()}
    return lambda state: {"model": {name: each for name, each in {**state, **new}.items() if each is not None}}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (replaced(conv1__weight=None), " from .*{file}: this is no wrn-16-2: conv1.weight is missing"),
        (replaced(more=torch.zeros(1)), " from .*{file}: this is no wrn-16-2: more is left over"),
        (replaced(classifier__bias=torch.zeros(9)), r" from .*{file}: this is no wrn-16-2: classifier.bias is \(9,\)"),
        (lambda _: {"epoch": 240}, ".*{file} holds no state dict"),
        (_distilled, " from .*{file}: it holds two networks that are a wrn-16-2 each: choose one"),
    ],
)
def test_file_that_does_not_fit_is_the_users_error(content, fault, lab, give, state):
    given, path = give(content(state))
    job = given.teacher(TEACHER)
    with pytest.raises(UserError, match="teacher wrn-16-2" + fault.replace("{file}", path.name)):
        lab.train(job)
    assert not lab.store.record_path(job).exists()
    assert not lab.store.weights_path(job).exists()


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "{file} has changed since the plan was made"),
        (lambda path: path.unlink(), "{file}"),
    ],
)
def test_file_that_changed_or_disappeared_since_planning_is_the_users_error(spoil, fault, lab, give, state):
    given, path = give({"model": state})
    job = given.teacher(TEACHER)
    spoil(path)
    with pytest.raises(UserError, match=fault.replace("{file}", path.name)):
        lab.train(job)
    assert not lab.store.record_path(job).exists()
