"""Published weights against the published networks, restated in plain functions under their own parameter names."""

import pytest
import torch
import torchvision
from torch.nn import functional as F

import models
from models.published_weights import load_published, read_published


class Published:
    """Draws weights of a published network as they are asked for, and keeps them in ``state``."""

    def __init__(self):
        self.state = {}
        self.generator = torch.Generator().manual_seed(0)

    def uniform(self, key, count, low, high):
        self.state[key] = torch.empty(count).uniform_(low, high, generator=self.generator)
        return self.state[key]

    def conv(self, x, key, outputs, size=3, stride=1, groups=1, *, bias=False):
        shape = (outputs, x.shape[1] // groups, size, size)
        weight = torch.randn(shape, generator=self.generator) * (2 / (shape[1] * size * size)) ** 0.5
        self.state[f"{key}.weight"] = weight
        shift = self.uniform(f"{key}.bias", outputs, -0.1, 0.1) if bias else None
        return F.conv2d(x, weight, shift, stride, size // 2, groups=groups)

    def norm(self, x, key):
        weight = self.uniform(f"{key}.weight", x.shape[1], 0.6, 1.2)
        bias = self.uniform(f"{key}.bias", x.shape[1], -0.3, 0.3)
        mean = self.uniform(f"{key}.running_mean", x.shape[1], -0.3, 0.3)
        var = self.uniform(f"{key}.running_var", x.shape[1], 0.5, 1.5)
        self.state[f"{key}.num_batches_tracked"] = torch.tensor(7)
        return F.batch_norm(x, mean, var, weight, bias)

    def pooled(self, x, key):
        self.state[f"{key}.weight"] = torch.randn(100, x.shape[1], generator=self.generator) / x.shape[1] ** 0.5
        return F.linear(x.mean((2, 3)), self.state[f"{key}.weight"], self.uniform(f"{key}.bias", 100, -0.1, 0.1))


def wide(net, x, blocks, factor):
    x = net.conv(x, "conv1", 16)
    for group, outputs, first in ((1, 16 * factor, 1), (2, 32 * factor, 2), (3, 64 * factor, 2)):
        for block in range(blocks):
            key, stride = f"block{group}.layer.{block}", first if block == 0 else 1
            active = net.norm(x, f"{key}.bn1").relu()
            out = net.norm(net.conv(active, f"{key}.conv1", outputs, stride=stride), f"{key}.bn2").relu()
            if x.shape[1] != outputs:
                x = net.conv(active, f"{key}.convShortcut", outputs, 1, stride)
            x = x + net.conv(out, f"{key}.conv2", outputs)
    return net.pooled(net.norm(x, "bn1").relu(), "fc")


def basic(net, x, blocks, stem, widths):
    x = net.norm(net.conv(x, "conv1", stem), "bn1").relu()
    for layer, width in enumerate(widths, start=1):
        for block in range(blocks):
            key, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            out = net.norm(net.conv(x, f"{key}.conv1", width, stride=stride), f"{key}.bn1").relu()
            out = net.norm(net.conv(out, f"{key}.conv2", width), f"{key}.bn2")
            if stride == 2 or x.shape[1] != width:
                x = net.norm(net.conv(x, f"{key}.downsample.0", width, 1, stride), f"{key}.downsample.1")
            x = (out + x).relu()
    return net.pooled(x, "fc")


def bottlenecks(net, x, counts):
    x = net.norm(net.conv(x, "conv1", 64), "bn1").relu()
    for layer, (blocks, width) in enumerate(zip(counts, (64, 128, 256, 512), strict=True), start=1):
        for block in range(blocks):
            key, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            out = net.norm(net.conv(x, f"{key}.conv1", width, 1), f"{key}.bn1").relu()
            out = net.norm(net.conv(out, f"{key}.conv2", width, 3, stride), f"{key}.bn2").relu()
            out = net.norm(net.conv(out, f"{key}.conv3", 4 * width, 1), f"{key}.bn3")
            if block == 0:
                x = net.norm(net.conv(x, f"{key}.shortcut.0", 4 * width, 1, stride), f"{key}.shortcut.1")
            x = (out + x).relu()
    return net.pooled(x, "linear")


def vgg(net, x, convolutions):
    for block, width in enumerate((64, 128, 256, 512, 512)):
        x = F.max_pool2d(x, 2) if block in (1, 2, 3) else x
        for index in range(0, 3 * convolutions, 3):
            x = net.conv(x, f"block{block}.{index}", width, bias=True)
            x = net.norm(x, f"block{block}.{index + 1}").relu()
    return net.pooled(x, "classifier")


def mobile(net, x, classifier):
    x = net.norm(net.conv(x, "conv1.0", 16, 3, 2), "conv1.1").relu()
    plan = ((1, 8, 1, 1), (6, 12, 2, 1), (6, 16, 3, 2), (6, 32, 4, 2), (6, 48, 3, 1), (6, 80, 3, 2), (6, 160, 1, 1))
    for stage, (expansion, outputs, blocks, first) in enumerate(plan):
        for block in range(blocks):
            key, stride, middle = f"blocks.{stage}.{block}.conv", first if block == 0 else 1, expansion * x.shape[1]
            out = net.norm(net.conv(x, f"{key}.0", middle, 1), f"{key}.1").relu()
            out = net.norm(net.conv(out, f"{key}.3", middle, 3, stride, groups=middle), f"{key}.4").relu()
            out = net.norm(net.conv(out, f"{key}.6", outputs, 1), f"{key}.7")
            x = out + x if stride == 1 and x.shape[1] == outputs else out
    return net.pooled(net.norm(net.conv(x, "conv2.0", 1280, 1), "conv2.1").relu(), classifier)


def interleaved(x, groups):
    return torch.cat([x[:, start :: x.shape[1] // groups] for start in range(x.shape[1] // groups)], 1)


def shuffle1(net, x):
    x = net.norm(net.conv(x, "conv1", 24, 1), "bn1").relu()
    for layer, (units, outputs) in enumerate(((4, 240), (8, 480), (4, 960)), start=1):
        for unit in range(units):
            key, first = f"layer{layer}.{unit}", unit == 0
            branch, groups = outputs - x.shape[1] if first else outputs, 1 if x.shape[1] == 24 else 3
            middle = branch // 4
            out = net.norm(net.conv(x, f"{key}.conv1", middle, 1, groups=groups), f"{key}.bn1").relu()
            out = net.conv(interleaved(out, groups), f"{key}.conv2", middle, 3, 2 if first else 1, groups=middle)
            out = net.conv(net.norm(out, f"{key}.bn2").relu(), f"{key}.conv3", branch, 1, groups=3)
            out = net.norm(out, f"{key}.bn3")
            x = (torch.cat([out, F.avg_pool2d(x, 3, 2, 1)], 1) if first else out + x).relu()
    return net.pooled(x, "linear")


def mixed(net, x, key, numbers, outputs, stride):
    """Mix, filter and mix again, with the layers of these numbers."""
    one, two, three = numbers
    x = net.norm(net.conv(x, f"{key}.conv{one}", outputs, 1), f"{key}.bn{one}").relu()
    x = net.norm(net.conv(x, f"{key}.conv{two}", outputs, 3, stride, groups=outputs), f"{key}.bn{two}")
    return net.norm(net.conv(x, f"{key}.conv{three}", outputs, 1), f"{key}.bn{three}").relu()


def shuffle2(net, x):
    x = net.norm(net.conv(x, "conv1", 24, 1), "bn1").relu()
    for layer, (units, outputs) in enumerate(((4, 116), (8, 232), (4, 464)), start=1):
        half, key, inputs = outputs // 2, f"layer{layer}.0", x.shape[1]
        left = net.norm(net.conv(x, f"{key}.conv1", inputs, 3, 2, groups=inputs), f"{key}.bn1")
        left = net.norm(net.conv(left, f"{key}.conv2", half, 1), f"{key}.bn2").relu()
        x = interleaved(torch.cat([left, mixed(net, x, key, (3, 4, 5), half, 2)], 1), 2)
        for unit in range(1, units):
            through = mixed(net, x[:, half:], f"layer{layer}.{unit}", (1, 2, 3), half, 1)
            x = interleaved(torch.cat([x[:, :half], through], 1), 2)
    return net.pooled(net.norm(net.conv(x, "conv2", 1024, 1), "bn2").relu(), "linear")


FORMS = {
    "wrn-40-2": (wide, (6, 2)),
    "wrn-70-1": (wide, (11, 1)),
    "resnet20": (basic, (3, 16, (16, 32, 64))),
    "resnet8x4": (basic, (1, 32, (64, 128, 256))),
    "resnet50-crd": (bottlenecks, ((3, 4, 6, 3),)),
    "vgg8": (vgg, (1,)),
    "vgg13": (vgg, (2,)),
    "mobilenetv2-half": (mobile, ("classifier.0",)),
    "shufflenetv1": (shuffle1, ()),
    "shufflenetv2": (shuffle2, ()),
}


def published(name, x=None, form=None):
    """A published network's state dict and logits."""
    net, (function, arguments) = Published(), form or FORMS[name]
    with torch.no_grad():
        logits = function(net, torch.zeros(1, 3, 16, 16) if x is None else x, *arguments)
    return net.state, logits


def empty(name, num_classes=100):
    """A network in evaluation mode that gives no number before all its weights are loaded."""
    with torch.device("meta"):
        network = models.create(name, num_classes, models.made_for(name).in_size)
    network.to_empty(device="cpu")
    for tensor in network.state_dict().values():
        tensor.fill_(float("nan") if tensor.is_floating_point() else 0)
    return network.eval()


def assert_same_logits(network, x, expected):
    with torch.no_grad():
        actual = network(x).logits
    assert expected.std() > 0.1
    assert not torch.allclose(expected[0], expected[1], rtol=0.01)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max().clamp(min=1)))


@pytest.mark.parametrize("name", FORMS)
def test_a_published_file_gives_the_published_network_s_logits(tmp_path, images, name):
    state, logits = published(name, images())
    file = {"epoch": 240, "model": state, "accuracy": torch.tensor(75.61), "optimizer": {"state": {}}}
    network = empty(name)
    torch.save(file, tmp_path / "teacher.pth")
    load_published(network, read_published(tmp_path / "teacher.pth"))
    assert_same_logits(network, images(), logits)
    counters = [tensor for key, tensor in network.state_dict().items() if key.endswith("num_batches_tracked")]
    assert counters
    assert all(int(counter) == 7 for counter in counters)


def test_a_classifier_may_stand_alone(images):
    state, logits = published("mobilenetv2-half", images(), (mobile, ("classifier",)))
    network = empty("mobilenetv2-half")
    load_published(network, state)
    assert_same_logits(network, images(), logits)


@pytest.mark.parametrize("size", [18, 34, 50])
def test_torchvision_s_weights_give_torchvision_s_logits(images, size):
    with torch.device("meta"):
        twin = getattr(torchvision.models, f"resnet{size}")(weights=None)
    twin.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(3)
    for key, tensor in twin.state_dict().items():
        if tensor.ndim > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
        elif tensor.is_floating_point():
            low = {"running_var": 0.5, "weight": 0.5}.get(key.rpartition(".")[2], -0.3)
            tensor.uniform_(low, low + 0.7, generator=generator)
    network = empty(f"resnet{size}-imagenet", 1000)
    load_published(network, twin.state_dict())
    with torch.no_grad():
        assert_same_logits(network, images(64), twin(images(64)))
