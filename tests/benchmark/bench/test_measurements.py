"""What follows from measurements, with numbers that were made up."""

import csv
import io

import pytest

from benchmark.bench.measurements import (
    BARE_RATE,
    BARE_RATIO,
    FLOOR,
    FLOOR_RATE,
    GAIN,
    LOSS_COST,
    MEAN,
    PAIRED,
    RATE,
    RATIO,
    STEP,
    Key,
    Measurement,
    baseline,
    summarise,
    to_csv,
)


def made(column, variant, method, quantity, number, value):
    return Measurement(Key(column, variant, method, quantity), number, value)


MADE_UP = [
    made(column, variant, "", RATE, number, value)
    for column, variant, values in (
        ("a", "separate", (2.0, 4.0)),
        ("a", "cohort", (10.0, 16.0)),
        ("b", "separate", (1.0, 1.0)),
        ("b", "cohort", (5.0, 9.0)),
    )
    for number, value in enumerate(values)
]


def _found(measured, variant, quantity, column="a", method=""):
    spread = summarise(measured).get(Key(column, variant, method, quantity))
    return [] if spread is None else [tuple(spread)]


def test_ratios_are_those_of_the_same_round():
    assert _found(MADE_UP, "cohort", RATIO) == [(4.5, 4.0, 5.0)]
    assert not _found(MADE_UP, "separate", RATIO)


@pytest.mark.parametrize(
    ("beside", "better", "cohort", "other", "others_ratio"),
    [(2.0, "separate-side-by-side", 3.5, "separate", 0.5), (0.5, "separate", 7.0, "separate-side-by-side", 0.5)],
)
def test_separate_trainings_are_those_of_the_better_way(beside, better, cohort, other, others_ratio):
    measured = [
        *MADE_UP,
        *(made("b", "separate-side-by-side", "", RATE, number, beside) for number in range(2)),
        *(made("b", way, "", BARE_RATE, 0, rate) for way, rate in (("separate", 3.0), ("cohort", 12.0))),
        made("b", "separate-side-by-side", "", BARE_RATE, 0, 3 * beside),
        *(made("b", name, "", PAIRED, 0, rate) for name, rate in (("cohort", 6.0), ("cohort-fp32", 4.0))),
    ]
    assert baseline(summarise(measured), "b") == better
    assert baseline(summarise(measured), "a") == "separate"
    assert _found(measured, "cohort", RATIO, "b")[0][0] == cohort
    assert _found(measured, "cohort", BARE_RATIO, "b")[0][0] == 12 / max(3.0, 3 * beside)
    assert _found(measured, "cohort-fp32", RATIO, "b")[0][0] == 5 / max(1.0, beside) / 1.5
    assert _found(measured, other, RATIO, "b")[0][0] == others_ratio
    assert not _found(measured, better, RATIO, "b")
    # Ways to do separate trainings have no mean over columns, in which they are not the same.
    assert not _found(measured, other, RATIO, MEAN)


def test_columns_are_joined_by_the_geometric_mean_of_each_round():
    ((value, low, high),) = _found(MADE_UP, "cohort", RATIO, MEAN)
    assert (low, high) == pytest.approx((5.0, 6.0))
    assert value == pytest.approx(5.5)


def test_without_the_losses_rates_without_them_are_compared():
    bare = [made("a", variant, "", BARE_RATE, 0, rate) for variant, rate in (("separate", 3.0), ("cohort", 12))]
    assert _found(bare, "cohort", BARE_RATIO) == [(4.0, 4.0, 4.0)]


def test_a_loss_costs_what_its_step_takes_beyond_the_plain_students():
    steps = [
        made("a", variant, method, STEP, 0, seconds)
        for variant, method, seconds in (
            ("cohort", "student", 0.1),
            ("cohort", "kd", 0.11),
            ("cohort", "crd", 0.15),
            ("separate", "student", 0.4),
            ("separate", "kd", 0.5),
        )
    ]
    assert _found(steps, "cohort", LOSS_COST, method="crd")[0][0] == pytest.approx(0.5)
    assert _found(steps, "cohort", LOSS_COST, method="kd")[0][0] == pytest.approx(0.1)
    assert not _found(steps, "cohort", LOSS_COST, method="student")
    assert not _found(steps, "separate", LOSS_COST, method="kd")


def test_the_cohorts_gain_over_its_variants_and_the_share_of_the_floor():
    measured = [
        *(made("a", name, "", PAIRED, 0, rate) for name, rate in (("cohort", 6.0), ("cohort-fp32", 4.0))),
        *MADE_UP,
        made("a", "cohort", "", FLOOR_RATE, 0, 20.0),
    ]
    assert _found(measured, "cohort-fp32", GAIN) == [(1.5, 1.5, 1.5)]
    assert _found(measured, "cohort-fp32", RATIO) == [(pytest.approx(5 / 1.5),) * 3]
    assert not _found(measured, "cohort", GAIN)
    assert _found(measured, "cohort", FLOOR)[0][1:] == (0.5, 0.8)


def test_csv_has_a_line_a_row_and_names_the_machine():
    found = summarise(MADE_UP)
    lines = list(csv.DictReader(io.StringIO(to_csv(found, "a fast one, 2 cores"))))
    assert len(lines) == len(found)
    assert {line["machine"] for line in lines} == {"a fast one, 2 cores"}
    line = next(line for line in lines if (line["column"], line["quantity"]) == ("a", RATIO))
    assert (float(line["value"]), float(line["low"]), float(line["high"])) == (4.5, 4.0, 5.0)
