"""The metrics of tables: which record has them, where, and how they are printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from benchmark.errors import unknown
from benchmark.runs.record import Record

LAST = "last"
SELECTIONS: Mapping[str, str] = MappingProxyType({LAST: "last epoch", "best": "best epoch, chosen on the test data"})
"""The epoch that a table shows, and its name in the caption."""


@dataclass(frozen=True)
class Metric:
    """One number of a record.

    Attributes:
        key: name of the number in the record.
        decimals: decimals in tables.
        higher: whether higher is better; None if neither is.
        scale: factor from the record's unit to the table's.
        of_network: whether it is a property of the network, without seeds and spread.
        measure: name of the analysis whose record has it; empty if the run's own record has it.
        absent: why a finished job may lack it.
    """

    key: str
    decimals: int
    higher: bool | None
    scale: float = 1.0
    of_network: bool = False
    measure: str = ""
    absent: str = "the record is done without this number"

    def read(self, record: Record, selection: str) -> float | None:
        """The number in the table's unit; None if the record lacks it."""
        metrics = record.metrics
        value = getattr(metrics, self.key) if self.of_network else metrics.of(selection).get(self.key)
        return None if value is None else float(value * self.scale)


_NO_EPOCHS = "weights from a file have no best epoch"
_UNEQUAL = "representations of different widths have no distance"
_UNCONNECTED = "the student was trained without a connector"

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "top1": Metric("top1", decimals=2, higher=True, absent=_NO_EPOCHS),
        "top5": Metric("topk", decimals=2, higher=True, absent=_NO_EPOCHS),
        "loss": Metric("loss", decimals=4, higher=False, absent=_NO_EPOCHS),
        "params_M": Metric("params", decimals=2, higher=None, scale=1e-6, of_network=True),
        "kl_div_with_teacher": Metric("kl_teacher", decimals=4, higher=False, measure="similarity"),
        "kl_div_with_student": Metric("kl_student", decimals=4, higher=False, measure="similarity"),
        "ce_with_label": Metric("cross_entropy", decimals=4, higher=False, measure="similarity"),
        "l2_distance": Metric("l2", decimals=2, higher=False, measure="distance", absent=_UNEQUAL),
        "l2_connected": Metric("l2_connected", decimals=2, higher=False, measure="distance", absent=_UNCONNECTED),
        "l2_normalised": Metric("l2_normalised", decimals=2, higher=False, measure="distance", absent=_UNEQUAL),
        "nmi_percent": Metric("nmi", decimals=2, higher=True, measure="clusters"),
        "nmi_predicted": Metric("nmi_predicted", decimals=2, higher=True, measure="clusters"),
        # The divergence that is left; the picture itself is in the record's points.
        "tsne": Metric("kl_divergence", decimals=2, higher=None, measure="tsne"),
    }
)


def metric(name: str) -> Metric:
    """A metric by name.

    Raises:
        UserError: the name is unknown.
    """
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]
