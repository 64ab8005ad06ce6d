"""From the figure's records to its panels."""

from dataclasses import replace

import pytest

from benchmark.report import build
from benchmark.runs.record import Points
from benchmark.tables.reader import load
from tests.benchmark import made_up

POINTS = Points(x=[0.0, 1.0], y=[1.0, 0.0], label=[3, 4])


@pytest.fixture
def records(record, kinds):
    """Pictures and numbers of all panels but one, which has no run, and one whose picture failed."""
    job, points = kinds()["analyse"], {name: getattr(POINTS, name) for name in ("x", "y", "label")}
    picture = made_up.record(job, metrics={"last": {"kl_divergence": 0.2}}, points=points)
    clusters = made_up.record(job, metrics={"last": {"nmi": 91.234}})
    by_metric = {"tsne": picture, "nmi_percent": clusters, "top1": record(97.5)}
    found = {cell.key: [by_metric[cell.metric]] for cell in load("2", "figure").cells}
    start = "figure02/wrn-40-4:wrn-16-4"
    missing = {f"{start}/srrl[fm]/{metric}": [None] for metric in by_metric}
    return found | missing | {f"{start}/srrl/tsne": [record(None, "failed", "all points are equal")]}


def test_panels_show_pictures_with_their_numbers(records, context):
    figure = build(load("2", "figure"), records, context)
    assert [panel.title for panel in figure.panels] == ["Student", "L_FM", "L_SR", "L_FM+L_SR", "Teacher"]
    assert [panel.points for panel in figure.panels] == [POINTS, None, POINTS, None, POINTS]
    assert [panel.absent for panel in figure.panels][1::2] == ["no run yet", "failed"]
    assert figure.panels[0].subtitle == "top-1 97.50, NMI 91.23"
    assert figure.panels[1].subtitle == ""
    assert any("all points are equal" in note for note in figure.notes)


def test_a_panel_that_does_not_apply_says_so(records, context, record):
    records["figure02/wrn-40-4:wrn-16-4/srrl/tsne"] = [record(None, "not_applicable", "no classes")]
    assert build(load("2", "figure"), records, context).panels[3].absent == "not applicable"


def test_caption_speaks_of_one_run(records, context):
    text = " ".join(build(load("2", "figure"), records, context).caption)
    assert "One run, seed 0" in text
    assert "Complete so far: 3 of 5 cells." in text


def test_files_of_variants_stand_beside_the_others(records, context):
    table = load("2", "figure")
    assert build(table, records, context).stem == "figure02"
    assert build(table, records, replace(context, variants=("authors",))).stem == "figure02+authors"
