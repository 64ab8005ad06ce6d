"""Layers and initialisations that several families share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.features import Features


def convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the spatial size at stride 1."""
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


def activated(
    inputs: int,
    outputs: int,
    size: int,
    stride: int = 1,
    *,
    groups: int = 1,
    bias: bool = False,
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """A convolution that keeps the spatial size at stride 1, with batch-norm and activation."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=bias)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), activation())


def init_convolutions(network: nn.Module) -> None:
    """Draw all convolution weights from N(0, 2 / (k * k * outputs)) (He et al. 2015, fan-out)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def init_as_vgg(network: nn.Module) -> None:
    """Draw convolutions as ``init_convolutions`` and linear weights from N(0, 0.01 ** 2); all their biases are 0."""
    init_convolutions(network)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def classify(classifier: nn.Linear, rectified: Tensor) -> Tensor:
    """Logits ``(B, K)`` from the last rectified map ``(B, C, H, W)``."""
    logits: Tensor = classifier(rectified.mean((2, 3)))
    return logits


def pooled(classifier: nn.Linear, rectified: Tensor, feats: Sequence[Tensor], preacts: Sequence[Tensor]) -> Features:
    """Features from the last rectified map ``(B, C, H, W)``, which is pooled and classified, feats and preacts."""
    embedding = rectified.mean((2, 3))
    return Features(classifier(embedding), embedding, rectified, tuple(feats), tuple(preacts))


def check_stage(stage: int, last: int) -> None:
    """Check the stage to resume after.

    Raises:
        ValueError: it is not 1 to ``last``.
    """
    if not 1 <= stage <= last:
        raise ValueError(f"stage is {stage}, the network has stages 1 to {last}")
