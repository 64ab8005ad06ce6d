import math

import numpy as np
import pytest

from benchmark.errors import UserError
from benchmark.report.aggregate import aggregate
from benchmark.tables.reader import load
from tests.benchmark import made_up


def cell(frame, method):
    return frame[frame["method"] == method].iloc[0]


def test_statistics_agree_with_numpy(small_table, named, record):
    values = [96.4, 97.9, 97.25]
    found = cell(aggregate(small_table(), named({"kd": [record(value) for value in values]})), "kd")
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["std"] == pytest.approx(np.std(values, ddof=1))
    assert found["difference"] == pytest.approx(np.mean(values) - 71.0)
    assert (found["n"], found["wanted"], found["state"], found["values"]) == (3, 3, "done", values)


def test_one_run_has_no_standard_deviation(small_table, named, record):
    found = cell(aggregate(small_table(), named({"teacher": [record(99.0)]})), "teacher")
    assert (found["n"], found["state"]) == (1, "done")
    assert math.isnan(found["std"])


@pytest.mark.parametrize(
    ("statuses", "state", "n"),
    [
        (["done", "done"], "done", 2),
        (["done", None], "partial", 1),
        (["done", "failed"], "partial", 1),
        (["failed", None], "failed", 0),
        (["failed", "not_applicable"], "failed", 0),
        (["not_applicable", "not_applicable"], "not_applicable", 0),
        ([None, None], "missing", 0),
        ([], "missing", 0),
    ],
)
def test_states(small_table, named, record, statuses, state, n):
    found = cell(
        aggregate(small_table(), named({"kd": [status and record(90.0, status) for status in statuses]})), "kd"
    )
    assert (found["state"], found["n"]) == (state, n)
    assert math.isnan(found["mean"]) == (n == 0)


@pytest.mark.parametrize("status", ["failed", "not_applicable"])
def test_only_done_records_are_averaged(small_table, named, record, status):
    found = cell(aggregate(small_table(), named({"kd": [record(90.0), record(10.0, status, "because")]})), "kd")
    assert (found["mean"], found["values"], found["reasons"]) == (90.0, [90.0], ["because"])


@pytest.fixture
def analysed(kinds):
    """A record of an analysis, with numbers of its own."""
    return lambda **numbers: made_up.record(kinds()["analyse"], metrics={"last": numbers})


CONNECTED = "table03/wrn-40-4:wrn-16-4/student/l2_connected"


@pytest.mark.parametrize(
    ("made", "state", "n"),
    [
        (("lacks", "lacks"), "not_applicable", 0),
        (("lacks", None), "not_applicable", 0),
        (("failed", "lacks"), "failed", 0),
        (("has", "lacks"), "partial", 1),
        ((None, None), "missing", 0),
    ],
)
def test_a_number_that_a_finished_job_lacks_does_not_apply(made, state, n, analysed, record):
    records = {"lacks": analysed(l2=1.5), "has": analysed(l2=1.5, l2_connected=0.5), "failed": record(None, "failed")}
    found = aggregate(load("3"), {CONNECTED: [one and records[one] for one in made]}).set_index("cell").loc[CONNECTED]
    assert (found["state"], found["n"]) == (state, n)
    assert ("the student was trained without a connector" in found["reasons"]) == ("lacks" in made)


def test_weights_from_a_file_have_no_best_epoch(small_table, named, kinds):
    given = named({"teacher": [made_up.record(kinds()["evaluate"])]})
    assert cell(aggregate(small_table(), given), "teacher")["state"] == "done"
    best = cell(aggregate(small_table(), given, "best"), "teacher")
    assert (best["state"], best["reasons"]) == ("not_applicable", ["weights from a file have no best epoch"])


def test_ids_of_the_averaged_records(small_table, named, record, analysed):
    done, other, failed, bare = record(), record(96.0, seed=1), record(None, "failed", seed=2), analysed(nmi=70.0)
    frame = aggregate(small_table(), named({"kd": [done, failed, None, other, bare], "at": [failed]}))
    assert cell(frame, "kd")["runs"] == (done.id[:12], other.id[:12])
    assert cell(frame, "at")["runs"] == cell(frame, "student")["runs"] == ()


def test_best_epoch_only_where_asked_for(small_table, named, record):
    records = named({"kd": [record(90.0)]})
    assert cell(aggregate(small_table(), records), "kd")["mean"] == 90.0
    assert cell(aggregate(small_table(), records, "best"), "kd")["mean"] == 91.0
    with pytest.raises(UserError, match="unknown selection"):
        aggregate(small_table(), records, "bets")


def test_a_property_of_the_network_needs_one_run(table6, record):
    name = "table06/wrn-40-4:wrn-16-2/student/params_M"
    first = record()
    frame = aggregate(table6, {name: [None, first, record(seed=1)]})
    found = frame[frame["cell"] == name].iloc[0]
    assert found["mean"] == pytest.approx(0.703284)
    assert (found["n"], found["wanted"], found["state"], found["runs"]) == (1, 1, "done", (first.id[:12],))
    assert math.isnan(found["std"])


@pytest.mark.parametrize(
    ("number", "metric", "key"), [("2", "kl_div_with_teacher", "kl_teacher"), ("3", "nmi_percent", "nmi")]
)
def test_numbers_of_an_analysis_come_from_its_record(number, metric, key, analysed):
    name = f"table0{number}/wrn-40-4:wrn-16-4/srrl/{metric}"
    frame = aggregate(load(number), {name: [analysed(**{key: value}) for value in (0.25, 0.75)]})
    found = frame[frame["cell"] == name].iloc[0]
    assert (found["mean"], found["n"], found["state"]) == (0.5, 2, "done")
    assert set(frame["state"]) == {"done", "missing"}


def test_a_figure_is_there_with_its_pictures(analysed):
    figure = load("2", "figure")
    drawn = analysed(kl_divergence=0.2)
    frame = aggregate(figure, {cell.key: [drawn if cell.metric == "tsne" else None] for cell in figure.cells})
    assert list(frame[~frame["hidden"]]["state"]) == ["done"] * 5
    assert list(frame[frame["hidden"]]["state"]) == ["missing"] * 10
