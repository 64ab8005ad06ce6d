import pytest
import torch

from benchmark.training.precision import autocast, set_matmul_precision


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("tf32", torch.float32), ("fp32", torch.float32)]
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
