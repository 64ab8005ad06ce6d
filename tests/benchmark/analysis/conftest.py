from types import SimpleNamespace

import pytest
import torch

from benchmark.analysis.outputs import Outputs


@pytest.fixture(scope="session")
def wave():
    """``wave.s`` and ``wave.t`` fill a shape row by row with a sine and a cosine of the position (float64)."""

    def positions(rows, columns):
        return torch.arange(rows * columns, dtype=torch.float64).reshape(rows, columns)

    return SimpleNamespace(
        s=lambda rows, columns: torch.sin(0.9 * positions(rows, columns) + 0.1),
        t=lambda rows, columns: torch.cos(1.1 * positions(rows, columns) + 0.4),
    )


@pytest.fixture
def outputs():
    """Single-precision outputs as a network gives them: class centres in noise, ``spread`` apart."""

    def make(seed=0, images=60, classes=5, width=7, spread=1.0, connected=None):
        generator = torch.Generator().manual_seed(seed)
        targets = torch.randint(classes, (images,), generator=generator)
        centres = spread * torch.randn(classes, width, generator=generator)
        return Outputs(
            logits=3 * torch.randn(images, classes, generator=generator),
            embedding=centres[targets] + torch.randn(images, width, generator=generator),
            connected=None if connected is None else torch.randn(images, connected, generator=generator),
            targets=targets,
        )

    return make
