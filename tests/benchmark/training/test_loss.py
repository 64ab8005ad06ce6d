from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from benchmark.errors import UserError
from benchmark.registry import catalog, plugins
from benchmark.runs.objective import Term
from benchmark.training.loss import ObjectiveLoss, build_method
from benchmark.training.pairs import make_pair
from benchmark.training.teacher import WEAK, SharedBatch, Teacher
from benchmark.training.weights import new_network
from methods import Batch

CPU = torch.device("cpu")


@pytest.fixture
def bench(make_job, teacher_job):
    """Factory of an objective's loss and of what it is called with."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 10
    indices = torch.randperm(40, generator=generator)[:8]
    images = torch.randn(8, 3, 8, 8, generator=generator)
    teacher = Teacher(new_network(teacher_job, CPU), "fp32")
    student = new_network(make_job("student"), CPU)
    pair = make_pair(student, teacher.network, labels, 8, lambda: ())

    def make(method, seed=0):
        loss = ObjectiveLoss(make_job(method).objective, pair, seed)
        batch = Batch(images, labels[indices], indices, 0.0, torch.Generator().manual_seed(0))
        return loss, (student(images), SharedBatch([images], teacher), batch)

    return make


def test_parts_are_weighted_and_named_by_term(bench):
    loss, inputs = bench("kd+srrl")
    parts = loss(*inputs)
    assert set(parts) == {"ce", "kd.kd", "srrl.fm", "srrl.sr"}
    cross_entropy = functional.cross_entropy(inputs[0].logits, inputs[2].targets)
    torch.testing.assert_close(parts["ce"], 0.1 * cross_entropy)
    alone = loss.terms["kd"](inputs[0], inputs[1].teacher(), inputs[2])["kd"]
    torch.testing.assert_close(parts["kd.kd"], 0.9 * alone)


def test_a_term_starts_the_same_in_every_sum(bench):
    alone, joined, other = (bench(*arguments)[0] for arguments in (("srrl",), ("kd+srrl",), ("srrl", 1)))
    first = dict(alone.terms["srrl"].named_parameters())
    assert first
    assert all(torch.equal(first[name], value) for name, value in joined.terms["srrl"].named_parameters())
    assert not all(torch.equal(first[name], value) for name, value in other.terms["srrl"].named_parameters())


@pytest.mark.parametrize(("method", "modes"), [("kd", {False}), ("ofd", {True}), ("kd+ofd", {False, True})])
def test_terms_say_which_modes_of_the_teacher_they_use(method, modes, bench):
    assert bench(method)[0].teacher_passes == {(mode, WEAK) for mode in modes}


def test_distillation_needs_a_teacher(make_job):
    with pytest.raises(ValueError, match="kd needs a pair of networks"):
        ObjectiveLoss(make_job("kd").objective, None, 0)


def test_code_that_is_no_longer_the_planned_one_is_not_trained(make_job, bench):
    pair = bench("kd")[0].terms["kd"].pair
    (term,) = make_job("kd").objective.terms
    with pytest.raises(UserError, match=r"methods/kd.py changed after the plan was made: run the command again"):
        build_method(replace(term, sha256="of other code"), pair, 0)
    assert build_method(term, pair, 0).title == "KD"


METHOD = """
from methods import Method

class Edited(Method):
    title = "{title}"
    citation = "unpublished"
"""


@pytest.fixture
def plugin(monkeypatch, tmp_path):
    """``plugin(title, name)`` writes a file with a method that is known to planning; the term it plans."""

    def write(title, name="edited"):
        path = tmp_path / f"{name}.py"
        path.write_text(METHOD.format(title=title), encoding="utf-8")
        monkeypatch.setenv(plugins.VARIABLE, str(path))
        return Term(name, 1.0, {}, 1, catalog.method(name).code)

    return write


def test_code_edited_between_the_plan_and_the_first_step_is_not_trained(bench, plugin):
    pair = bench("kd")[0].terms["kd"].pair
    planned = plugin("planned")
    plugin("edited")
    assert catalog.method("edited").code == planned.sha256  # as the catalog remembers it
    with pytest.raises(UserError, match=r"edited.py changed after the plan was made: run the command again"):
        build_method(planned, pair, 0)


def test_code_edited_after_it_was_loaded_does_not_matter_to_what_runs(bench, plugin):
    pair = bench("kd")[0].terms["kd"].pair
    planned = plugin("planned")
    build_method(planned, pair, 0)
    plugin("edited")
    assert build_method(planned, pair, 0).title == "planned"
