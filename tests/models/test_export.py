"""Networks that come back from a folder."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import models
from models import ExportError
from models.export import CONFIG, WEIGHTS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    """What ``run_all.py export`` writes of a small network, as far as loading needs it; and the network."""

    def make(name="wrn-10-1", **changes):
        torch.manual_seed(1)
        network = models.create(name, 7, 8, 0.5).eval()
        state = {
            key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in network.state_dict().items()
        }
        network.load_state_dict(state)
        config = {"network": name, "num_classes": 7, "in_size": 8, "width": 0.5, "run": "ab" * 32}
        (tmp_path / CONFIG).write_text(json.dumps(config | changes))
        save_file(state, tmp_path / WEIGHTS, metadata={"about": "{}"})
        return tmp_path, network

    return make


@pytest.fixture
def wrapped(tmp_path):
    """A folder with a network under another classifier, as a method leaves it; and the network."""

    def make(**changes):
        torch.manual_seed(1)
        form = {"kind": "reused-classifier", "tap": "map", "inputs": 32, "middle": 3, "outputs": 6, "size": [2, 2]}
        network = models.rewrap(models.create("wrn-10-1", 7, 8, 0.5), form | {"bias": True}).eval()
        config = {"network": "wrn-10-1", "num_classes": 7, "in_size": 8, "width": 0.5, "wrapping": network.wrapping}
        (tmp_path / CONFIG).write_text(json.dumps(config | changes))
        save_file(network.state_dict(), tmp_path / WEIGHTS, metadata={"about": "{}"})
        return tmp_path, network

    return make


@pytest.mark.parametrize("name", ["wrn-10-1", "resnet8-A", "vgg8", "mobilenetv2-cifar"])
def test_comes_back_in_float32_and_evaluation_mode(name, folder):
    path, network = folder(name)
    for place in (path, str(path)):
        loaded = models.load(place)
        assert (loaded.name, loaded.num_classes, loaded.in_size, loaded.training) == (name, 7, 8, False)
        assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
        images = torch.randn(3, 3, 8, 8)
        assert torch.equal(loaded(images).logits, network(images).logits)


def test_altered_weights_are_refused(folder):
    path, _ = folder()
    sha = hashlib.sha256((path / WEIGHTS).read_bytes()).hexdigest()
    path, network = folder(sha256=sha)
    assert torch.equal(models.load(path).classifier.weight, network.classifier.weight)
    with torch.no_grad():
        network.classifier.weight.zero_()
    save_file(network.state_dict(), path / WEIGHTS)
    with pytest.raises(ExportError, match=r"model.safetensors is not the file that was exported") as caught:
        models.load(path)
    assert "\n" not in str(caught.value)


def test_a_network_under_another_classifier_comes_back_whole(wrapped):
    path, network = wrapped()
    loaded, images = models.load(path), torch.randn(3, 3, 8, 8)
    assert torch.equal(loaded(images).logits, network(images).logits)
    assert (loaded.wrapping, loaded.training) == (network.wrapping, False)
    assert not loaded.classifier.weight.requires_grad


def test_a_network_under_another_classifier_needs_torch_and_safetensors_alone(wrapped):
    """An exported folder is loaded where the project's methods and its command are not to be had."""
    path, network = wrapped()
    code = f"""
import sys
sys.modules["methods"] = sys.modules["benchmark"] = None
import models, torch
network = models.load({str(path)!r})
print(network(torch.ones(1, 3, 8, 8)).logits.double().sum().item())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert float(done.stdout) == pytest.approx(network(torch.ones(1, 3, 8, 8)).logits.double().sum().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("wrapping", "message"),
    [
        ("reused-classifier", "config.json: 'wrapping' is no object"),
        ({"kind": "sandwich"}, "config.json: wrn-10-1 is wrapped as 'sandwich', but the known kinds are"),
        ({"kind": "reused-classifier"}, "config.json: wrn-10-1 cannot be wrapped as 'reused-classifier'"),
        (None, "are no weights of wrn-10-1: "),
    ],
)
def test_an_unknown_form_is_one_line(wrapping, message, wrapped):
    path, _ = wrapped(wrapping=wrapping)
    with pytest.raises(ExportError, match=message) as caught:
        models.load(path)
    assert "\n" not in str(caught.value)


def test_drawing_random_numbers_does_not_change_what_is_loaded(folder):
    path, network = folder()
    torch.manual_seed(2)
    loaded = models.load(path)
    assert all(
        torch.equal(mine, theirs) for mine, theirs in zip(loaded.parameters(), network.parameters(), strict=True)
    )


def test_weights_of_another_network_are_one_line(folder):
    path, _ = folder(width=1.0)
    with pytest.raises(ExportError, match=r"are no weights of wrn-10-1: .*size mismatch") as caught:
        models.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda bias: bias.to(torch.complex64), "is of type complex64, it must be one of float16, bfloat16, float32"),
        (lambda bias: bias.to(torch.int32), "is of type int32, it must be one of float16, bfloat16, float32"),
        (lambda bias: bias / 0, "holds NaN or infinite values"),
    ],
)
def test_weights_of_another_kind_are_not_cast(change, reason, folder):
    path, network = folder()
    state = {**network.state_dict(), "classifier.bias": change(network.classifier.bias.detach())}
    save_file(state, path / WEIGHTS)
    with pytest.raises(ExportError, match=f"are no weights of wrn-10-1: classifier.bias {reason}"):
        models.load(path)


def test_a_missing_tensor_is_an_error(folder):
    path, network = folder()
    state = {key: tensor for key, tensor in network.state_dict().items() if key != "classifier.bias"}
    save_file(state, path / WEIGHTS)
    with pytest.raises(ExportError, match=r"Missing key.*classifier.bias"):
        models.load(path)


def test_an_unknown_network_is_named(folder):
    path, _ = folder(network="wrn-10-one")
    with pytest.raises(models.UnknownNetworkError, match=r"wrn-10-one.*; .* of your own, let SRRL_BENCH_PLUGINS name"):
        models.load(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: (path / CONFIG).unlink(), "config.json cannot be read"),
        (lambda path: (path / CONFIG).write_text("{"), "config.json cannot be read"),
        (lambda path: (path / CONFIG).write_text("[]"), "lacks 'network'"),
        (lambda path: (path / CONFIG).write_text('{"network": "vgg8"}'), "lacks 'num_classes'"),
        (lambda path: (path / WEIGHTS).unlink(), "model.safetensors cannot be read"),
        (lambda path: (path / WEIGHTS).write_bytes(b"no tensors"), "model.safetensors cannot be read"),
    ],
)
def test_broken_folders(spoil, message, folder):
    path, _ = folder()
    spoil(path)
    with pytest.raises(ExportError, match=message):
        models.load(path)
