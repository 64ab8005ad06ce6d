import math

import pytest

from benchmark.errors import UserError
from benchmark.report.metrics import metric


@pytest.mark.parametrize(
    ("name", "selection", "expected"),
    [("top1", "last", 97.0), ("top1", "best", 98.0), ("top5", "last", 99.5), ("params_M", "best", 0.703284)],
)
def test_reads_the_selected_epoch_in_the_tables_unit(record, name, selection, expected):
    assert metric(name).read(record(97.0), selection) == pytest.approx(expected)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "97"])
def test_what_is_no_finite_number_is_not_there(record, value):
    broken = record()
    broken["metrics"]["last"]["top1"] = value
    assert metric("top1").read(broken, "last") is None


@pytest.mark.parametrize("metrics", [None, {}, {"last": None}])
def test_a_record_without_metrics_has_no_number(metrics):
    assert metric("top1").read({"status": "done", "metrics": metrics}, "last") is None


def test_unknown_metric_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'top1'"):
        metric("top_1")
