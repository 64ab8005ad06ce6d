import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from benchmark.claims import reader
from benchmark.claims.verdicts import FAILED, FEW, NOISE, REPRODUCED
from benchmark.report import claims_report
from benchmark.runs.metrics import metric
from benchmark.runs.names import TEACHER
from tests.benchmark import made_up
from tests.benchmark.hostile import ESCAPES, hidden


@pytest.fixture(scope="module")
def every():
    return reader.load()


@pytest.fixture
def cells(every):
    return [cell for table in every.tables for cell in table.cells if cell.paper is not None]


@pytest.fixture
def as_printed(cells):
    """Records of runs that come out as the paper prints, give or take ``sd``, and as ``changed`` by cell's name."""

    def make(sd=0.0003, changed=None, seeds=3):
        rng = np.random.default_rng(0)
        records = {}
        for cell in cells:
            kind, value = metric(cell.metric), (changed or {}).get(cell.key, cell.paper)
            values = [value] if cell.method == TEACHER else value + sd * rng.normal(size=seeds)
            records[cell.key] = [
                made_up.record(metrics={"last": {kind.key: float(one)}, "best": {kind.key: float(one) + 1}})
                for one in values
            ]
        return records

    return make


@pytest.fixture
def judged(every, context):
    """The judged claims by name."""

    def make(records, **changes):
        made = claims_report.build(every, records, replace(context, **{"stand_in": False} | changes))
        return {one.claim.name: one for one in made.judged}

    return make


@pytest.mark.parametrize(
    ("name", "paper", "exception"),
    [
        (
            "best-in-all-settings",
            "in 8 of 9 cells",
            "srrl over crd, table06/resnet34-narrow:resnet10-narrow/top1: −0.33",
        ),
        ("better-than-crd", "in 24 of 26 cells", "srrl over crd, table12/vgg13:mobilenetv2-half/top1: −0.59"),
        ("closer-than-kd-and-at", "in 5 of 6 cells", "kl_div_with_teacher: −0.0295"),
        ("kd-second-on-cifar10", "in 4 of 6 cells", "kd over ofd, table05/resnet34-narrow:resnet18-narrow/top1: −0.06"),
        ("crd-second-for-others", "in 3 of 6 cells", "srrl over crd, table06/resnet34-narrow:resnet10-narrow"),
        ("second-on-imagenet", "in 3 of 4 cells", "crd over rkd, table07/resnet50-imagenet:mobilenet-imagenet/top5"),
        ("consistently-best", "in 12 of 13 cells", "srrl over crd, table12/vgg13:mobilenetv2-half/top1"),
        ("sums-do-not-help", "in 8 of 9 cells", "srrl over kd+srrl, table10/resnet34-narrow:resnet10-narrow"),
        ("larger-lead-on-imagenet", "no", "lead of srrl over kd, at, ofd, rkd, crd"),
        ("crd-best-on-stl", "yes", ""),
        ("ofd-second-for-wrn", "yes", ""),
        ("size-of-gains", "yes", ""),
        ("gap-on-imagenet", "yes", ""),
    ],
)
def test_whether_the_papers_own_numbers_bear_it_out(name, paper, exception, judged):
    entry = judged({})[name]
    assert entry.paper == paper
    assert exception in entry.exception
    assert bool(entry.exception) == bool(exception)


def test_without_records_there_are_not_enough_runs(judged):
    entries = judged({}).values()
    assert {(entry.judgement.verdict, entry.means) for entry in entries} == {(FEW, "–")}
    assert all(entry.counts.endswith(" missing") for entry in entries)


def test_runs_that_come_out_as_printed_have_the_verdict_of_print(judged, as_printed):
    for entry in judged(as_printed()).values():
        assert entry.means == entry.paper
        assert entry.judgement.verdict == (REPRODUCED if entry.paper == "yes" else FAILED), entry.claim.name


def test_runs_that_scatter_are_within_noise(judged, as_printed):
    verdicts = {entry.judgement.verdict for entry in judged(as_printed(sd=20.0)).values()}
    assert verdicts <= {NOISE, FAILED}
    assert judged(as_printed(sd=20.0))["both-losses-help"].judgement.verdict == NOISE


def test_one_seed_has_means_but_no_verdict(judged, as_printed):
    entry = judged(as_printed(seeds=1))["best-in-all-settings"]
    assert (entry.judgement.verdict, entry.means) == (FEW, "in 8 of 9 cells")


def test_sizes_count_only_on_the_papers_data(judged, as_printed):
    name = "table01/wrn-40-4:wrn-16-4/srrl[fm]/top1"
    records = as_printed(changed={name: 85.0})
    entry = judged(records)["size-of-gains"]
    assert entry.judgement.verdict == FAILED
    assert "where 0.75 to 1.25 is claimed" in entry.evidence
    assert judged(records, stand_in=True)["size-of-gains"].judgement.verdict == REPRODUCED
    assert judged(as_printed(changed={name: 70.0}), stand_in=True)["size-of-gains"].judgement.verdict == FAILED


def test_a_run_that_failed_is_missing_and_one_that_cannot_be_is_left_out(judged, as_printed):
    records = as_printed()
    name = "table09/wrn-40-4:wrn-16-4/srrl[form=ce]/top1"
    records[name] = [*[made_up.record(status="failed")] * 2, records[name][2]]
    assert judged(records)["l2-best-form"].judgement.verdict == FEW
    records[name] = [made_up.record(status="not_applicable")] * 3
    entry = judged(records)["l2-best-form"]
    assert (entry.judgement.verdict, entry.counts) == (REPRODUCED, "5 hold")


def test_a_number_that_does_not_apply_is_left_out(judged, as_printed, kinds):
    records = as_printed()
    whole = judged(records)["distance-narrows"].counts
    name = "table03/wrn-40-4:wrn-16-4/srrl[fm]/l2_distance"
    records[name] = [made_up.record(kinds()["analyse"], metrics={"last": {"l2_connected": 1.0}})] * 3
    assert (whole, judged(records)["distance-narrows"].counts) == ("5 hold", "3 hold")


def test_the_wanted_epoch_is_read(judged, as_printed):
    records = as_printed()
    for record in records["table06/wrn-40-4:wrn-16-2/kd/top1"]:
        record.metrics.best["top1"] += 10
    assert judged(records)["best-in-all-settings"].means == "in 8 of 9 cells"
    assert judged(records, selection="best")["best-in-all-settings"].means == "in 7 of 9 cells"


def test_the_evidence_names_what_decided(judged, as_printed):
    start = "table06/resnet34-narrow:resnet10-narrow"
    evidence = judged(as_printed())["best-in-all-settings"].evidence
    assert evidence.startswith(
        f"53 hold, 1 against; least: srrl over crd, {start}/top1: −0.33 (−0.33 to −0.33), 3 seeds"
    )
    crushed = {name: 1.0 for name in as_printed() if name.startswith("table06") and "/srrl/" in name}
    evidence = judged(as_printed(changed=crushed))["best-in-all-settings"].evidence
    assert "54 against; against: srrl over " in evidence
    assert "9 pairs together, 9 on the wrong side, p < 1e-06 (and 5 more); least: " in evidence


class TestPage:
    @pytest.fixture
    def page(self, every, as_printed, context):
        def make(**changes):
            document = claims_report.build(every, as_printed(), replace(context, **changes))
            [(name, text)] = document.forms().items()
            return name, text

        return make

    def test_holds_all_claims_one_a_line(self, page, every):
        name, text = page()
        assert name == "claims.md"
        lines = [line for line in text.splitlines() if line.startswith("| ")]
        assert len(lines) == 2 + len(every.claims)
        assert {line.replace("\\|", "").count("|") for line in lines} == {7}
        assert f"{len(every.claims)} claims. By the paper's means: 26 yes, 8 in part, 1 no." in text

    def test_says_where_sizes_mean_little(self, page):
        assert "Stand-in data. The data are stand-ins, so the sizes" in page()[1]
        assert "stand-ins" not in page(stand_in=False)[1]

    def test_on_other_data_shows_none_of_the_papers_means(self, page, every):
        text = page(dataset="leaves", note="Data: leaves")[1]
        assert text.startswith("# Claims of the paper (on leaves, profile digits)")
        assert "Data: leaves. The data are others than the paper's, so the sizes" in text
        lines = [line for line in text.splitlines() if line.startswith("| ")]
        assert lines[0] == "| | Claim | Our runs | Our means | Evidence |"
        assert {line.replace("\\|", "").count("|") for line in lines} == {6}
        assert f"{len(every.claims)} claims. By our runs (on leaves, profile digits): " in text
        assert "paper's means" not in text
        assert "prints means" not in text

    def test_says_what_was_changed_and_which_epoch(self, page):
        assert "Numbers of the last epoch. Changed: epochs=1, lr=0.1." in page()[1]
        name, text = page(selection="best", changes=(), variants=("authors",))
        assert name == "claims+authors-best.md"
        assert "Numbers of the best epoch, chosen on the test data." in text

    def test_follows_from_the_records_byte_for_byte(self, page, every, as_printed, context, tmp_path):
        assert page() == page()
        document = claims_report.build(every, as_printed(), context)
        [path] = document.write(tmp_path / "new")
        assert path.read_text(encoding="utf-8") == page()[1]
        assert document.stale(tmp_path / "new") == []
        path.write_text("other")
        assert len(document.stale(tmp_path / "new")) == 1


@pytest.mark.parametrize("width", [70, 200])
def test_the_terminal_shows_every_claim(width, every, as_printed, context):
    stream = io.StringIO()
    claims_report.build(every, as_printed(), context).print(Console(file=stream, width=width))
    shown = stream.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    assert "in 8 of 9 cells" in shown.replace("\n", " ") or width < 100
    assert shown.count("not reproduced") >= 9 or width < 100
    assert "26 yes, 8 in part, 1 no" in " ".join(shown.split())


def test_control_characters_are_spelled_out(every, context):
    made = claims_report.build(every, {}, replace(context, profile=ESCAPES, note=ESCAPES, changes=(ESCAPES,)))
    console = Console(file=io.StringIO(), width=120)
    made.print(console)
    for text in (console.file.getvalue(), *made.forms().values()):
        assert hidden(text) == []
        assert "x1b" in text
