"""Small networks with fixed weights."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import models
from models import Network


@pytest.fixture
def build() -> Callable[..., Network]:
    """Builds a narrow network for small inputs, whose weights depend on the seed alone."""

    def _build(name: str, in_size: int | None = None, width: float = 0.25, seed: int = 0) -> Network:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return models.create(name, 5, in_size or 2 * models.made_for(name).smallest, width)

    return _build


@pytest.fixture
def trained(build: Callable[..., Network]) -> Callable[..., Network]:
    """Builds one as if trained: in evaluation mode, every batch-norm with statistics of its own."""

    def _trained(name: str, **arguments: object) -> Network:
        network = build(name, **arguments)
        generator = torch.Generator().manual_seed(1)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor, low in ((module.weight, 0.7), (module.bias, -0.3), (module.running_mean, -0.3)):
                    tensor.data.uniform_(low, low + 0.6, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
        return network.eval()

    return _trained


@pytest.fixture
def images() -> Callable[..., Tensor]:
    """Draws a batch of images."""

    def _images(in_size: int = 16, count: int = 2) -> Tensor:
        return torch.randn(count, 3, in_size, in_size, generator=torch.Generator().manual_seed(2))

    return _images
