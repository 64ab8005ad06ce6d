"""The report from made-up measurements."""

import csv

import pytest

from benchmark.bench.columns import SIDE_BY_SIDE, variants
from benchmark.bench.measurements import (
    BARE_RATE,
    FLOOR_RATE,
    PAIRED,
    RATE,
    STEP,
    Key,
    Measurement,
    Spread,
)
from benchmark.bench.report import Machine, markdown, write
from benchmark.registry.catalog import ROOT

DETAILS = "speed-details.md"
COLUMN = "11/wrn-40-2:wrn-16-2"
MACHINE = Machine("A processor, 2 cores, cpu, torch 2.9.0", rounds=2, seconds=1.0)


def _measured(column=COLUMN, factor=1.0):
    def note(variant, quantity, value, method="", number=0):
        return Measurement(Key(column, variant, method, quantity), number, value)

    for number, rate in enumerate((10.0, 12.0)):
        yield note("separate", RATE, 1.5, number=number)
        yield note("separate-side-by-side", RATE, 2.0, number=number)
        yield note("cohort", RATE, factor * rate, number=number)
        yield note("separate", BARE_RATE, 2.5, number=number)
        yield note("separate-side-by-side", BARE_RATE, 3.0, number=number)
        yield note("cohort", BARE_RATE, 12.0, number=number)
        yield note("cohort", PAIRED, rate, number=number)
        yield note("cohort-fp32", PAIRED, rate / 2, number=number)
        for method, seconds in (("student", 0.1), ("kd", 0.102), ("crd", 0.14)):
            yield note("cohort", STEP, seconds, method, number)
    for method in ("student", "kd", "crd"):
        yield note("separate", "memory", 2**30, method)
    yield note("cohort", "memory", 1.5 * 2**30)
    yield note("cohort", FLOOR_RATE, factor * 24.0)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("report")
    write([*_measured(), *_measured("6/a:b", factor=4.0)], MACHINE, variants("cpu", 2), tmp_path / "bench")
    return tmp_path / "bench"


def _cells(report, first, name="speed.md"):
    lines = (report / name).read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith(f"| {first} |")]
    assert rows
    return rows[0]


def test_ratios_with_their_spread_floor_and_memory_stand_in_the_columns_line(report):
    cells = _cells(report, COLUMN)
    assert cells[1:5] == ["2", "11 (10 to 12)", "5.50 (5.00 to 6.00)", "4.00"]
    assert cells[-3:] == ["46% (42% to 50%)", "2.0 GiB", "1.5 GiB"]


def test_other_ways_stand_apart_and_the_better_separate_way_is_named(report):
    lines = (report / DETAILS).read_text(encoding="utf-8").split("\n\n")[-1].splitlines()
    cells = next([cell.strip() for cell in line.split("|")] for line in lines if line.startswith(f"| {COLUMN} |"))
    assert cells[2] == "2.00"
    assert cells[-3:-1] == ["side by side, a thread each", "0.75"]


def test_the_geometric_mean_ends_the_table(report):
    assert _cells(report, "geometric mean")[3] == "11.00 (10.00 to 12.00)"


def test_costs_of_losses_follow(report):
    assert _cells(report, "crd", DETAILS)[1:] == ["40%", "40%"]
    assert _cells(report, "kd", DETAILS)[1:] == ["2%", "2%"]


def test_settings_are_stated_and_csv_and_plot_written(report):
    text = (report / DETAILS).read_text(encoding="utf-8")
    assert "A processor, 2 cores, cpu, torch 2.9.0. 2 rounds" in text
    assert (report / "speed.csv").read_text(encoding="utf-8").startswith("machine,column,variant,method,quantity")
    assert (report / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_the_committed_page_follows_from_the_committed_numbers():
    folder = ROOT / "results" / "bench"
    with (folder / "speed.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    summary = {
        Key(*(line[name] for name in Key._fields)): Spread(*(float(line[name]) for name in Spread._fields))
        for line in lines
    }
    # Separate trainings side by side were measured in one round only, later, and are not part of the page.
    page = markdown({key: spread for key, spread in summary.items() if key.variant != SIDE_BY_SIDE})
    assert page == (folder / "speed.md").read_text(encoding="utf-8")
    assert page in (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
