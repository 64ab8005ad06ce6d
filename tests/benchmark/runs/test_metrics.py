import pytest

from benchmark.errors import UserError
from benchmark.runs.metrics import metric
from tests.benchmark import made_up


def record(**last):
    return made_up.record(metrics={"params": 703_284, "last": last, "best": {"top1": 98.0, "epoch": 12}})


@pytest.mark.parametrize(
    ("name", "selection", "expected"),
    [("top1", "last", 97.0), ("top1", "best", 98.0), ("top5", "last", 99.5), ("params_M", "best", 0.703284)],
)
def test_reads_the_selected_epoch_in_the_tables_unit(name, selection, expected):
    assert metric(name).read(record(), selection) == pytest.approx(expected)


def test_a_record_without_metrics_has_no_number():
    assert metric("top1").read(made_up.record(status="failed"), "last") is None
    assert metric("params_M").read(made_up.record(status="failed"), "last") is None


def test_unknown_metric_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'top1'"):
        metric("top_1")
