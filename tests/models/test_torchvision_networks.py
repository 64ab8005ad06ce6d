"""torchvision's networks by name, against torchvision's own numbers, and methods on a pair of them."""

import copy

import pytest
import torch
from torch import nn
from torchvision import models as torchvision_models

import methods
import models
from methods import Batch, Pair
from models.published_weights import load_published
from models.torchvision_networks import FAMILIES, family_of

# The smallest of each family, with the smallest input that it takes, and whether an average of its map is classified.
SMALLEST = {
    "densenet121": (32, False),
    "efficientnet_b0": (32, True),
    "googlenet": (32, True),
    "mnasnet0_5": (32, True),
    "mobilenet_v2": (32, True),
    "mobilenet_v3_small": (32, False),
    "regnet_y_400mf": (32, True),
    "resnet18": (32, True),
    "shufflenet_v2_x0_5": (32, True),
    "swin_t": (32, True),
}
# Of these only shapes are computed, which takes no memory.
LARGE = {
    "alexnet": "64x55 192x27 256x13, 4096x1",
    "convnext_tiny": "96x56 96x56 192x28 384x14 768x7, 768x1",
    "efficientnet_v2_s": "24x112 48x56 64x28 160x14 256x7, 1280x7",
    "efficientnet_v2_m": "24x112 48x56 80x28 176x14 512x7, 1280x7",
    "inception_v3": "64x109 192x52 288x25 768x12 2048x5, 2048x5",
    "maxvit_t": "64x112 64x56 128x28 256x14 512x7, 512x1",
    "mobilenet_v3_large": "16x112 24x56 40x28 112x14 160x7, 1280x1",
    "resnext50_32x4d": "64x112 256x56 512x28 1024x14 2048x7, 2048x7",
    "vgg11": "64x112 128x56 256x28 512x14 512x7, 4096x1",
    "vgg19_bn": "64x112 128x56 256x28 512x14 512x7, 4096x1",
    "vit_b_16": "768x14 768x14 768x14 768x14 768x14, 768x1",
    "wide_resnet50_2": "64x112 256x56 512x28 1024x14 2048x7, 2048x7",
}


def theirs(name, num_classes=5):
    torch.manual_seed(0)
    return torchvision_models.get_model(name, num_classes=num_classes, **family_of(name).options(32))


def ours(name, in_size=32):
    torch.manual_seed(0)
    return models.create(f"torchvision/{name}", num_classes=5, in_size=in_size)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", SMALLEST)
def test_logits_are_torchvision_s_and_feats_those_of_its_stages(name, images):
    in_size, averaged = SMALLEST[name]
    network, module = ours(name).eval(), theirs(name).eval()
    with torch.no_grad():
        features, expected = network(images(in_size)), module(images(in_size))
    torch.testing.assert_close(features.logits, expected)
    assert [feat.shape[2] for feat in features.feats] == ([8, 8, 4, 2, 1] if name == "swin_t" else [16, 8, 4, 2, 1])
    assert (features.map.shape[2:] == (1, 1)) or averaged
    torch.testing.assert_close(features.map.mean((2, 3)), features.embedding)
    assert network.state_dict().keys() == {
        "classifier.weight",
        "classifier.bias",
        *(f"wrapped.{key}" for key in module.state_dict() if not key.startswith(f"{family_of(name).classifier}.")),
    }


# At 32 pixels the last map has one position, whose average is itself.
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", [name for name, (_, averaged) in SMALLEST.items() if averaged])
def test_the_average_of_the_map_is_the_embedding(name, images):
    network = ours(name, in_size=64).eval()
    with torch.no_grad():
        features = network(images(64))
    assert features.map.shape[2:] == (2, 2)
    torch.testing.assert_close(features.map.mean((2, 3)), features.embedding)


@pytest.mark.parametrize("name", LARGE)
def test_shapes_at_the_usual_size(name):
    with torch.device("meta"):
        shapes = models.create(f"torchvision/{name}", num_classes=10, in_size=224).shapes()
    sides = [f"{channels}x{height}" for channels, height, _ in (*shapes.feats, shapes.map)]
    assert f"{' '.join(sides[:-1])}, {sides[-1]}" == LARGE[name]


def test_every_network_with_a_final_linear_layer_is_of_one_family():
    names = set(torchvision_models.list_models(module=torchvision_models))
    without = {name for name in names if name.startswith("squeezenet")}
    assert {name: family_of(name).feats for name in names - without}
    for name in without:
        with pytest.raises(models.UnknownNetworkError, match=f"torchvision/{name} cannot be used"):
            family_of(name)
    checked = {id(family_of(name)) for name in (*SMALLEST, *LARGE, "vit_h_14", "vit_l_16")}
    assert {id(family) for pattern, family in FAMILIES.items() if not pattern.startswith("vgg")} <= checked


def test_an_unknown_name_is_answered_with_similar_ones():
    with pytest.raises(
        models.UnknownNetworkError, match="'torchvision/resnet19': the nearest are torchvision/resnet18"
    ):
        models.create("torchvision/resnet19", num_classes=5)
    assert "torchvision/resnet18" not in models.names()


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "resnet18",
            {"width": 0.25},
            "torchvision/resnet18: width is 0.25, but this network has one width: --set width=1",
        ),
        ("resnet18", {"in_size": 31}, "torchvision/resnet18: in_size is 31, the smallest is 32"),
        (
            "vit_b_16",
            {"in_size": 40},
            "torchvision/vit_b_16 cannot be built for 40 pixels and 5 classes: .*indivisible",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(name, changes, message):
    with pytest.raises(ValueError, match=message) as caught, torch.device("meta"):
        models.create(f"torchvision/{name}", **({"num_classes": 5, "in_size": 32} | changes))
    assert "\n" not in str(caught.value)


def test_published_weights_of_torchvision_are_loaded(images):
    module = theirs("resnet18", num_classes=5).eval()
    network = ours("resnet18").eval()
    nn.init.zeros_(network.classifier.weight)
    load_published(network, module.state_dict())
    torch.testing.assert_close(network(images(32)).logits, module(images(32)))


@pytest.fixture(scope="module")
def pair():
    student = ours("resnet18", in_size=64).train()
    teacher = ours("resnet18", in_size=64)
    nn.init.normal_(teacher.classifier.weight)
    teacher = teacher.eval().requires_grad_(requires_grad=False)
    return Pair(
        student=student.shapes(),
        teacher=teacher.shapes(),
        student_network=student,
        teacher_network=teacher,
        num_samples=10,
        num_classes=5,
        labels=torch.arange(10) % 5,
        batch_size=4,
        training_features=lambda: (),
    )


@pytest.mark.parametrize("name", ["kd", "at", "srrl"])
def test_methods_train_on_a_pair(name, pair, images):
    batch = Batch(images(64, count=4), torch.arange(4), torch.arange(4), torch.zeros(()), None)
    method, student = methods.load(name)(pair), copy.deepcopy(pair.student_network)
    with torch.no_grad():
        teacher = pair.teacher_network(batch.images).full()
    parts = method(student(batch.images).full(), teacher, batch)
    sum(parts.values()).backward()
    assert all(part.isfinite() for part in parts.values())
    assert student.wrapped.layer4[0].conv1.weight.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in method.parameters())


def _everything(kind, pair):
    """What a run asks of a pair: the method, and for a pretraining stage the student's trunk."""
    return kind(pair), pair.student_network.trunk()


@pytest.mark.parametrize("name", ["ofd", "fsp", "ab"])
def test_methods_that_need_other_parts_say_that_they_do_not_apply(name, pair):
    from benchmark.training.loss import not_applicable_without_parts

    kind = methods.load(name)
    with pytest.raises(methods.NotApplicableError, match="torchvision/resnet18"), not_applicable_without_parts(kind):
        _everything(kind, pair)
