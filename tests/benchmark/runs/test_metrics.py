import pytest

from benchmark.errors import UserError
from benchmark.runs.metrics import METRICS, metric
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


@pytest.mark.parametrize(
    ("name", "measure", "key", "decimals", "higher"),
    [
        ("top1", "", "top1", 2, True),
        ("top5", "", "topk", 2, True),
        ("loss", "", "loss", 4, False),
        ("kl_div_with_teacher", "similarity", "kl_teacher", 4, False),
        ("kl_div_with_student", "similarity", "kl_student", 4, False),
        ("ce_with_label", "similarity", "cross_entropy", 4, False),
        ("l2_distance", "distance", "l2", 2, False),
        ("l2_connected", "distance", "l2_connected", 2, False),
        ("l2_normalised", "distance", "l2_normalised", 2, False),
        ("nmi_percent", "clusters", "nmi", 2, True),
        ("nmi_predicted", "clusters", "nmi_predicted", 2, True),
    ],
)
def test_where_numbers_stand_and_how_they_are_printed(name, measure, key, decimals, higher):
    found = metric(name)
    assert (found.measure, found.decimals, found.higher) == (measure, decimals, higher)
    assert found.read(record(**{key: 1.25}), "last") == 1.25
    assert found.read(made_up.record(status="failed", metrics={"last": {"other": 1.25}}), "last") is None


def test_a_picture_is_no_number():
    assert METRICS["tsne"].measure == "tsne"
    assert METRICS["tsne"].read(record(), "last") is None
