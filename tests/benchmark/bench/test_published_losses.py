"""The published form of a loss has the value and the gradient of the project's own."""

from types import SimpleNamespace

import pytest
import torch

import methods
import models
from benchmark.bench.published_losses import published_form
from benchmark.training.pairs import make_pair
from methods import Batch

# So few images draw CRD's negatives as one part, which sets the constants as the published form's whole batch does.
SAMPLES, CLASSES, SIZE = 40, 5, 5


@pytest.fixture(scope="module")
def bench():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student = models.create("wrn-10-1", CLASSES, in_size=16, width=0.25).train()
        teacher = models.create("wrn-16-1", CLASSES, in_size=16, width=0.5).eval()
        images = torch.randn(SIZE, 3, 16, 16)
    labels = torch.arange(SAMPLES) % CLASSES
    pair = make_pair(student, teacher, labels, SIZE, lambda: ())
    indices = torch.arange(SIZE) * 3
    batch = Batch(images, labels[indices], indices, torch.tensor(0.5), torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen = teacher(images)
    return SimpleNamespace(student=student, teacher=seen, batch=batch, pair=pair)


def _made(name, bench, **options):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return methods.load(name)(bench.pair, **options)


def _gradients(bench, loss):
    return torch.autograd.grad(loss, [*bench.student.parameters()], allow_unused=True)


def _check(bench, published, own):
    torch.testing.assert_close(published, own, rtol=1e-4, atol=1e-6)
    for mine, theirs in zip(_gradients(bench, published), _gradients(bench, own), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def _applicable():
    """Methods with one view that train the student as it is and need neither equal channels nor all features."""
    every = {name: methods.load(name) for name in methods.names() if name not in {"crd", "wkdl"}}
    plain = {name: kind for name, kind in every.items() if kind.views == 1 and kind.wrap is methods.Method.wrap}
    return [name for name, kind in plain.items() if "equal_channels" not in kind.requires]


@pytest.mark.parametrize("name", _applicable())
def test_published_form_has_the_value_and_gradient_of_the_projects_own(name, bench):
    method = _made(name, bench)
    own = method(bench.student(bench.batch.images).full(), bench.teacher.full(), bench.batch)
    published = published_form(name).loss(method, bench.student(bench.batch.images), bench.teacher, bench.batch, None)
    if own:
        _check(bench, published, sum(own.values()))
    else:  # the method's work is done after its first stage
        assert published == 0


def test_contrast_with_all_samples_of_other_classes(bench):
    """So that nothing is left to chance. Twice: the second loss sees banks and constants that the first one left."""
    others = SAMPLES - SAMPLES // CLASSES
    ours, theirs = (_made("crd", bench, negatives=others) for _ in range(2))
    assert published_form("crd").negatives(theirs) == others
    labels, indices = bench.pair.labels, bench.batch.indices
    negatives = torch.stack([torch.nonzero(labels != labels[index])[:, 0] for index in indices])
    contrasted = torch.cat([indices[:, None], negatives], dim=1)
    for _ in range(2):
        own = ours(bench.student(bench.batch.images).full(), bench.teacher.full(), bench.batch)
        student = bench.student(bench.batch.images)
        published = published_form("crd").loss(theirs, student, bench.teacher, bench.batch, contrasted)
        _check(bench, published, sum(own.values()))
    for name in ("bank_student", "bank_teacher", "normaliser_student", "normaliser_teacher"):
        torch.testing.assert_close(getattr(theirs, name), getattr(ours, name), rtol=1e-4, atol=1e-6)
