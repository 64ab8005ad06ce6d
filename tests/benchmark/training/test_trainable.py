"""What `test_cohort` does not see from outside."""

from dataclasses import replace

import pytest
import torch

from benchmark.training import job_kinds
from benchmark.training.failures import DivergedError
from benchmark.training.teacher import SharedBatch
from methods import Batch

START = torch.zeros(())


@pytest.fixture
def make_member(source, lab):
    """Factory of a run's member, ready to train without a teacher."""

    def make(job):
        made = job_kinds.trainable(job, source.device, lab.context().weights)
        made.setup(None)
        return made

    return make


@pytest.fixture
def member(make_job, make_member):
    return make_member(make_job("student", epochs=4))


@pytest.fixture
def batch(source, make_job):
    sample = next(iter(source.stream(make_job("student").recipe, 0).epoch(1)))
    return Batch(sample.images, sample.targets, sample.indices, START, None)


def test_losses_get_progress_and_generator_of_the_run_and_full_precision(make_job, make_member, batch, monkeypatch):
    member, seen = make_member(make_job("student", epochs=4, precision="bf16")), []
    loss = member.loss.forward
    monkeypatch.setattr(member.loss, "forward", lambda *given: (seen.append(given), loss(*given))[1])
    member.epoch = 2
    member.begin_epoch()
    member.step(replace(batch, progress=torch.tensor(0.5)), SharedBatch(batch.views))
    [(student, _, given)] = seen
    assert given.progress == 0.625
    assert given.generator is member.generator
    assert student.logits.dtype == torch.float32
    assert {parameter.dtype for parameter in member.network.parameters()} == {torch.float32}


@pytest.fixture
def fixed_parts(member, monkeypatch):
    """Sets the parts of the loss that the next steps will see."""

    def fix(**parts):
        def forward(features, *_):
            return {name: value + 0 * features.logits.sum() for name, value in parts.items()}

        monkeypatch.setattr(member.loss, "forward", forward)

    return fix


def test_loss_curve_is_the_mean_over_the_images_of_an_epoch(member, batch, fixed_parts):
    for epoch in (1, 2):
        member.begin_epoch()
        for size in (32, 8):
            fixed_parts(ce=epoch * size, other=1.5)
            part = Batch(batch.images[:size], batch.targets[:size], batch.indices[:size], START, None)
            member.step(part, SharedBatch(part.views))
        member.end_epoch(40)
    mean = (32 * 32 + 8 * 8) / 40
    assert member.curves.state["parts"] == {"ce": [mean, 2 * mean], "other": [1.5, 1.5]}


def test_loss_that_is_not_finite_is_named(member, batch, fixed_parts):
    member.begin_epoch()
    for value in (float("inf"), 1.0):
        fixed_parts(ce=1.0, other=value)
        member.step(batch, SharedBatch(batch.views))
    with pytest.raises(DivergedError, match=r"the loss \(other\) is not finite in epoch 1"):
        member.end_epoch(64)


def test_checkpoint_of_another_run_is_not_taken(member, make_job, make_member, tmp_path):
    member.save(tmp_path / "run.pt")
    other = make_member(make_job("student", seed=1))
    assert not other.resume(tmp_path / "run.pt")
    assert member.resume(tmp_path / "run.pt")
