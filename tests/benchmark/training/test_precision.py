import pytest
import torch

import models
from benchmark.training.precision import autocast, autocast_modules, cast_weights, set_matmul_precision


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("bf16", torch.bfloat16), ("fp16", torch.float16), ("tf32", torch.float32), ("fp32", torch.float32)],
)
def test_forward_passes_run_in(precision, dtype):
    layer, inputs = torch.nn.Linear(4, 4), torch.randn(2, 4)
    with autocast(precision, inputs.device):
        assert layer(inputs).dtype == dtype
    assert layer(inputs).dtype == torch.float32


@pytest.fixture
def switches():
    """What allows TF32 in the whole process; as before afterwards."""
    found = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in found]
    yield found
    for switch, allowed in zip(found, before, strict=True):
        switch.allow_tf32 = allowed


@pytest.mark.parametrize(("precision", "allowed"), [("tf32", True), ("fp32", False), ("bf16", False)])
def test_tf32_is_allowed_only_where_asked_for(precision, allowed, switches):
    for switch in switches:
        switch.allow_tf32 = not allowed
    set_matmul_precision(precision)
    assert [switch.allow_tf32 for switch in switches] == [allowed, allowed]


class Formula(torch.nn.Module):
    """A method in outline: a module that calls another, and a formula of its own."""

    def __init__(self):
        super().__init__()
        self.modules_of = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4))
        self.seen = []
        self.modules_of[2].register_forward_pre_hook(lambda _, inputs: self.seen.append(inputs[0].dtype))

    def forward(self, inputs):
        outputs = self.modules_of(inputs)
        self.seen += [outputs.dtype, (outputs @ outputs.T).dtype]
        return outputs


@pytest.mark.parametrize(
    ("precision", "inside"), [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)]
)
def test_modules_of_a_method_compute_as_networks_do_and_its_formula_in_full(precision, inside):
    method = Formula()
    autocast_modules(precision, method)
    method(torch.randn(2, 4)).sum().backward()
    assert method.seen == [inside, torch.float32, torch.float32]
    assert {parameter.grad.dtype for parameter in method.parameters()} == {torch.float32}


def test_a_failing_module_leaves_no_autocast_behind():
    method = Formula()
    autocast_modules("bf16", method)
    with pytest.raises(RuntimeError):
        method(torch.randn(2, 5))
    assert torch.nn.Linear(4, 4)(torch.randn(2, 4)).dtype == torch.float32
    assert method(torch.randn(2, 4)).dtype == torch.float32


@pytest.mark.parametrize("name", ["wrn-16-2", "resnet8x4", "mobilenetv2-half", "shufflenetv2", "vgg8"])
@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_weights_that_are_cast_once_give_what_autocast_gives(name, precision, dtype):
    network = models.create(name, 10, 32, 0.25).eval().requires_grad_(requires_grad=False)
    cached = cast_weights(network, precision)
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), autocast(precision, images.device):
        expected, found = network(images), cached(images)
    assert torch.equal(expected.logits, found.logits)
    assert all(map(torch.equal, expected.feats, found.feats))
    assert cached.classifier.weight.dtype == dtype
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}
    assert {module.weight.dtype for module in cached.modules() if isinstance(module, torch.nn.BatchNorm2d)} == {
        torch.float32
    }
    assert cast_weights(network, "fp32") is cast_weights(network, "tf32") is network
