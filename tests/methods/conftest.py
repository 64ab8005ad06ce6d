"""Closed-form inputs with known losses, and small pairs of networks."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

import models
from methods import Batch, Pair
from models import Features, Network
from tests.methods import modern

SAMPLES, CLASSES = 40, 5


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks as small as these lose more to waking threads than they gain by them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def golden():
    """Losses of the `wave` inputs, computed in float64 by implementations other than this one."""
    return json.loads((Path(__file__).parent / "golden_values.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def wave():
    """``wave.s`` and ``wave.t`` fill a shape row by row with a sine and a cosine of the position (float64)."""

    def positions(shape: tuple[int, ...], off: int) -> Tensor:
        return torch.arange(torch.Size(shape).numel(), dtype=torch.float64).reshape(shape) + off

    def sine(*shape: int, off: int = 0) -> Tensor:
        return torch.sin(0.9 * positions(shape, off) + 0.1)

    def cosine(*shape: int, off: int = 0) -> Tensor:
        return torch.cos(1.1 * positions(shape, off) + 0.4)

    return SimpleNamespace(s=sine, t=cosine)


@pytest.fixture(scope="session")
def make_bench():
    """Factory of a student, a frozen teacher and batches: ``make_bench("wrn-10-1", "wrn-16-1", sizes=(16, 16))``."""

    def make(
        student: str, teacher: str, *, sizes: tuple[int, int] = (16, 16), classes: int = CLASSES
    ) -> SimpleNamespace:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            learner = models.create(student, classes, in_size=sizes[0], width=0.25)
            expert = (
                models.create(teacher, classes, in_size=sizes[1], width=0.25).eval().requires_grad_(requires_grad=False)
            )
        labels = torch.arange(SAMPLES) % classes

        def run(network: Network, images: Tensor) -> Features:
            size = network.in_size
            return network(images[:, :, :size, :size]).full()

        def teach(images: Tensor) -> Features:
            with torch.no_grad():
                return run(expert, images)

        def training_features() -> Iterator[tuple[Features, Tensor]]:
            images = torch.randn(SAMPLES, 3, *[max(sizes)] * 2, generator=torch.Generator().manual_seed(0))
            for start in range(0, SAMPLES, 16):
                part = slice(start, start + 16)
                yield teach(images[part].to(expert.classifier.weight.dtype)), labels[part]

        pair = Pair(
            student=learner.shapes(),
            teacher=expert.shapes(),
            student_network=learner,
            teacher_network=expert,
            num_samples=SAMPLES,
            num_classes=classes,
            labels=labels,
            batch_size=4,
            training_features=training_features,
        )

        def batch(
            size: int = 4, seed: int = 0, dtype: torch.dtype = torch.float32, network: Network = learner
        ) -> SimpleNamespace:
            """One batch with the features of the student (``network`` if a method wraps it) and of the teacher."""
            generator = torch.Generator().manual_seed(seed)
            indices = torch.randperm(SAMPLES, generator=generator)[:size]
            images = torch.randn(size, 3, *[max(sizes)] * 2, generator=generator).to(dtype)
            expert.to(dtype)
            data = Batch(
                images=images,
                targets=labels[indices],
                indices=indices,
                progress=torch.tensor(0.5),
                generator=generator,
                strong=images.flip(3) + 0.1,
                epoch=torch.tensor(6.0),
                epochs=torch.tensor(12.0),
                student=partial(run, network.to(dtype)),
                teacher=teach,
            )
            return SimpleNamespace(data=data, student=data.student(images), teacher=teach(images))

        return SimpleNamespace(pair=pair, student=learner, teacher=expert, batch=batch)

    return make


@pytest.fixture(scope="session")
def pair(make_bench):
    """A pair of networks with as many classes as `modern.logits` have."""
    return make_bench("wrn-10-1", "wrn-16-1", classes=7).pair


@pytest.fixture
def seen():
    """`modern.logits` of one view: student, whose gradient is asked for, teacher and labels."""
    z, v, *_, y = modern.logits()
    return z.requires_grad_(), v, y


@pytest.fixture(params=["one-class", "other-classes-by-image", "all-but-one"])
def masked(request):
    """``masked(logits)``: logits ``(B, 9)`` where the teacher masks classes; always the same places."""
    places = torch.zeros(7, 9, dtype=torch.bool)
    if request.param == "one-class":
        places[:, 2] = True
    elif request.param == "all-but-one":
        places[:, 1:] = True
    else:
        places[torch.arange(7), torch.arange(7)] = True
        places[3] = False
    return lambda logits: logits.masked_fill(places[: len(logits)], -torch.inf)
