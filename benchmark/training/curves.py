"""The curves of a run: learning rate, losses and test metrics by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EVALUATED = ("top1", "topk", "loss")


class CurveRecorder:
    """Records values by epoch, as plain numbers that a checkpoint and a record can hold.

    Args:
        state: of a checkpoint, to continue its curves.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        self.state: dict[str, Any] = (
            dict(state) if state else {"epoch": [], "lr": [], "parts": {}, "test": {"epoch": []}}
        )

    def add_training(self, epoch: int, rate: float, parts: Mapping[str, float]) -> None:
        """Add an epoch's learning rate and the mean of every part of the loss."""
        self.state["epoch"].append(epoch)
        self.state["lr"].append(rate)
        for name, value in parts.items():
            self.state["parts"].setdefault(name, []).append(float(f"{value:.6g}"))

    def add_test(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Add the test metrics after an epoch."""
        test = self.state["test"]
        test["epoch"].append(epoch)
        for name in EVALUATED:
            test.setdefault(name, []).append(round(metrics[name], 6))

    def metrics(self, index: int) -> dict[str, float]:
        """The test metrics at a position of the test curve, with their epoch."""
        test = self.state["test"]
        return {name: test[name][index] for name in ("epoch", *EVALUATED)}

    @property
    def best(self) -> dict[str, float]:
        """The test metrics with the highest top-1, the earliest among equals."""
        top1 = self.state["test"]["top1"]
        return self.metrics(max(range(len(top1)), key=lambda index: (top1[index], -index)))

    @property
    def latest(self) -> dict[str, float | None]:
        """``loss``, the parts' sum in the last epoch, and ``top1`` of the last test, None before the first test."""
        top1 = self.state["test"].get("top1")
        loss = sum(values[-1] for values in self.state["parts"].values())
        return {"loss": loss, "top1": top1[-1] if top1 else None}
