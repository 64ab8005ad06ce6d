"""A student under its teacher's classifier: what it computes, and that it is a network like any other."""

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

import models
from models import Features, Network
from models.reused_classifier import ReusedClassifier

STUDENTS = ("resnet8-A", "wrn-10-1", "mobilenetv2-cifar", "shufflenetv2")


@pytest.fixture
def wrapped(trained):
    """Wraps a small network as if trained, with a projector as if trained."""

    def make(name="resnet8-A", *, tap="feat", size=None, bias=True):
        student = trained(name)
        shapes = student.shapes()
        channels, *sides = shapes.map if tap == "map" else shapes.feats[-1]
        network = ReusedClassifier(
            student, tap=tap, inputs=channels, middle=3, outputs=6, size=size or sides, bias=bias
        ).eval()
        generator = torch.Generator().manual_seed(3)
        for module in network.projector.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                    tensor.uniform_(0.2, 1.2, generator=generator)
        return network

    return make


def convolved(maps, kernel):
    """A convolution that keeps the size, by loops over the places of the kernel."""
    off = kernel.shape[2] // 2
    padded = np.pad(maps, ((0, 0), (0, 0), (off, off), (off, off)))
    height, width = maps.shape[2:]
    places = [(row, column) for row in range(kernel.shape[2]) for column in range(kernel.shape[3])]
    return sum(
        np.einsum("bchw,dc->bdhw", padded[:, :, row : row + height, column : column + width], kernel[:, :, row, column])
        for row, column in places
    )


def projected(network, maps):
    """The projector in evaluation mode, in NumPy."""
    for layer in network.projector:
        norm = {key: value.numpy()[:, None, None] for key, value in layer[1].state_dict().items() if value.ndim}
        centred = convolved(maps, layer[0].weight.detach().numpy()) - norm["running_mean"]
        maps = np.maximum(0, centred / np.sqrt(norm["running_var"] + 1e-5) * norm["weight"] + norm["bias"])
    return maps


@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize("tap", ["feat", "map"])
def test_computes_the_classifier_of_the_mean_of_the_projected_map(name, tap, wrapped, images):
    network = wrapped(name, tap=tap).double()
    batch = images(network.in_size).double()
    seen, own = network(batch), network.student(batch)
    expected = projected(network, (own.map if tap == "map" else own.feats[-1]).detach().numpy())
    weight, bias = (part.numpy() for part in (network.classifier.weight, network.classifier.bias))
    np.testing.assert_allclose(seen.map.detach(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(seen.embedding.detach(), expected.mean((2, 3)), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(seen.logits.detach(), expected.mean((2, 3)) @ weight.T + bias, rtol=1e-9, atol=1e-12)
    for mine, theirs in ((seen.feats, own.feats), (seen.preacts, own.preacts)):
        assert all(torch.equal(*pair) for pair in zip(mine, theirs, strict=True))


def test_a_larger_map_is_pooled_before_it_is_projected(wrapped, images):
    network = wrapped(size=[2, 2]).double()
    batch = images(network.in_size).double()
    maps = network.student(batch).feats[-1].detach().numpy()
    assert maps.shape[2:] == (4, 4)
    pooled = maps.reshape(*maps.shape[:2], 2, 2, 2, 2).mean((3, 5))
    np.testing.assert_allclose(network(batch).map.detach(), projected(network, pooled), rtol=1e-9, atol=1e-12)


def test_has_the_students_name_and_size_and_the_shapes_of_its_own_map(wrapped):
    network = wrapped("wrn-10-1", tap="map")
    for part in ("name", "family", "width", "in_size", "num_classes", "rectifies_preacts"):
        assert getattr(network, part) == getattr(network.student, part)
    shapes, own = network.shapes(), network.student.shapes()
    assert (shapes.feats, shapes.num_classes, shapes.rectifies_preacts) == (own.feats, own.num_classes, True)
    assert (shapes.map, shapes.embedding) == ((6, *own.map[1:]), 6)
    assert network.trunk() == network.student.trunk()
    assert network.preact_norms() == network.student.preact_norms()


def test_the_classifier_is_frozen_and_lets_a_gradient_through(wrapped, images):
    network = wrapped().train()
    network(images(network.in_size)).logits.square().sum().backward()
    assert [name for name, each in network.named_parameters() if not each.requires_grad] == [
        "classifier.weight",
        "classifier.bias",
    ]
    assert network.classifier.weight.grad is None
    assert network.student.classifier.weight.grad is None
    assert all(each.grad.abs().sum() > 0 for each in network.projector.parameters())
    assert network.student.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("bias", [True, False])
def test_is_copied_and_is_built_again_from_its_description(bias, wrapped, build, images):
    network = wrapped(bias=bias)
    description = json.loads(json.dumps(network.wrapping))
    again = models.rewrap(build("resnet8-A", seed=7), description)
    assert again.wrapping == network.wrapping
    again.load_state_dict(network.state_dict())
    batch = images(network.in_size)
    for other in (again.eval(), copy.deepcopy(network)):
        assert torch.equal(other(batch).logits, network(batch).logits)
        assert not {each.data_ptr() for each in other.parameters()} & {each.data_ptr() for each in network.parameters()}


def test_a_student_without_feats_still_says_that_it_has_none(images):
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 5)

        def forward(self, images):
            return self.fc(self.conv(images).mean((2, 3)))

    student = models.wrap(Plain(), name="plain", in_size=8)
    network = ReusedClassifier(student, tap="map", inputs=4, middle=2, outputs=3, size=[1, 1], bias=True).eval()
    assert network(images(8)).logits.shape == (2, 5)
    assert network.shapes().map == (3, 1, 1)
    with pytest.raises(models.MissingPartError, match="plain has no maps of stages"):
        network.shapes().feats[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tap": "logits"}, "resnet8-A: tap must be among feat, map, not 'logits'"),
        ({"middle": 0}, "resnet8-A: a projector needs channels and a size of at least 1"),
    ],
)
def test_wrong_arguments_are_refused(change, message, build):
    arguments = {"tap": "feat", "inputs": 16, "middle": 2, "outputs": 3, "size": [4, 4], "bias": True}
    with pytest.raises(ValueError, match=message):
        ReusedClassifier(build("resnet8-A"), **arguments | change)


def test_the_student_is_used_as_it_is_given():
    """Any network serves, not only those that the project builds."""

    class Given(Network):
        def __init__(self):
            super().__init__()
            self.name = self.family = "given"
            self.in_size, self.num_classes, self.width = 4, 2, 1.0
            self.classifier = nn.Linear(3, 2)

        def forward(self, images):
            logits = self.classifier(images.mean((2, 3)))
            return Features(logits, images.mean((2, 3)), images, (images,), (images,))

    network = ReusedClassifier(Given(), tap="feat", inputs=3, middle=1, outputs=2, size=[4, 4], bias=True)
    assert network(torch.randn(2, 3, 4, 4)).map.shape == (2, 2, 4, 4)
