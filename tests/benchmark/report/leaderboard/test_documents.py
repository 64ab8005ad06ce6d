"""The leaderboard's files."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from rich.console import Console

from benchmark.report.leaderboard.documents import ELSEWHERE, NEAR, Leaderboard, Page
from benchmark.tables import leaderboard as leaderboard_table
from tests.benchmark.hostile import ESCAPES, MARKUP, hidden
from tests.benchmark.report.leaderboard.made_up import PROVENANCE, broken, done


@pytest.fixture
def leaderboard(sample):
    return Leaderboard(sample())


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_writes_a_ranking_and_all_pairs(leaderboard, tmp_path):
    paths = leaderboard.write(tmp_path)
    assert [path.name for path in paths] == ["leaderboard.md", "leaderboard.csv", "leaderboard-pairs.csv"]
    assert leaderboard.stale(tmp_path) == []
    ranking = [row for row in rows(paths[1].read_text()) if (row["metric"], row["epoch"]) == ("top1", "last")]
    found = {row["method"]: row for row in ranking}
    assert float(found["srrl"]["gain_student"]) == 2.0
    assert float(found["at"]["gain_kd"]) == -0.5
    assert found["fsp"]["ranked"] == "False"
    pairs = rows(paths[2].read_text())
    [cell] = [
        row
        for row in pairs
        if (row["metric"], row["epoch"], row["pair"], row["method"]) == ("top1", "best", "vgg13:vgg8", "kd")
    ]
    assert (float(cell["mean"]), cell["n"], cell["best"]) == (pytest.approx(73.1), "3", "False")


def test_numbers_of_the_best_epoch_have_files_of_their_own(sample):
    made = sample()
    best = Leaderboard(replace(made, context=replace(made.context, selection="best")))
    assert list(best.forms()) == ["leaderboard-best.md", "leaderboard-best.csv", "leaderboard-best-pairs.csv"]


def test_the_markdown_ranks_and_marks(leaderboard):
    text = leaderboard.forms()["leaderboard.md"]
    lines = text.splitlines()
    ranked = [line.split(" | ")[:3] for line in lines if re.match(r"\| [–\d]", line)]
    assert [line[1] for line in ranked] == ["Ours", "KD", "AT", "Student", "FSP"]
    assert (ranked[0][0], ranked[0][2], ranked[-1][0]) == ("| 1", "1.00", "| –")
    assert "| Ours | 1.00 | +2.00 | +1.00 |" in text  # three pairs are too few for an interval
    assert f"{NEAR}: not significantly worse than the best of its pair." in text
    assert "FSP is not ranked. It has 1 of 3 pairs" in text
    assert "n/a" in text


def test_columns_of_what_a_training_takes_are_there_where_methods_differ(sample, data_for):
    def record(cell, job):
        cost = {"step_seconds": 2.0, "extra_parameters": 0, "passes": 1 + (cell.method == "crld")}
        return done(job, 70.0, cost=cost)

    table = leaderboard_table.load().select(["kd", "crld"], ["vgg13:vgg8"])
    two_views, alike = Leaderboard(data_for(table, record)), Leaderboard(sample())
    head = next(line for line in two_views.forms()[f"{table.stem}.md"].splitlines() if line.startswith("| #"))
    assert "| W/T/L vs KD | Views | Passes | Step time |" in head
    line = next(line for line in two_views.forms()[f"{table.stem}.md"].splitlines() if "| CRLD |" in line)
    assert " | 2 | 2 | – | 0 | 1 |" in line
    ranking = {row["method"]: row for row in rows(two_views.forms()[f"{table.stem}.csv"])}
    assert [(ranking[name]["views"], ranking[name]["passes"]) for name in ("kd", "crld")] == [("1", "1"), ("2", "2")]
    assert "epochs" not in ranking["kd"]
    assert not {"epochs", "views", "passes"} & {*rows(alike.forms()["leaderboard.csv"])[0]}
    assert "Views" not in alike.forms()["leaderboard.md"]


def test_equal_average_ranks_share_a_place(sample):
    def tied(cell, _job, record):
        record.metrics.last["top1"] -= 0.5 * (cell.method == "kd")  # as good as AT then
        return record

    lines = Leaderboard(sample(tied)).forms()["leaderboard.md"].splitlines()
    ranked = [line.split(" | ")[:2] for line in lines if re.match(r"\| [–\d]", line)]
    assert [place for place, _ in ranked] == ["| 1", "| 2", "| 2", "| 4", "| –"]


def test_what_is_not_significantly_worse_than_the_best_is_marked(sample):
    noise = {0: -2.0, 1: 0.0, 2: 2.0}

    def noisy(_cell, job, record):
        record.metrics.last["top1"] += noise[job.seed]
        return record

    clear, unclear = (Leaderboard(sample(*change)).forms()["leaderboard.md"] for change in ((), (noisy,)))
    assert f"{NEAR} ±" not in clear
    assert unclear.count(f"{NEAR} ±") > 5


def test_runs_of_other_machines_are_marked(sample):
    def moved(cell, job, record):
        odd = cell.method == "srrl" and job.seed < 2
        return done(job, 90.0 + job.seed, provenance=PROVENANCE | {"processor": "Q"}) if odd else record

    alike, mixed = (Leaderboard(sample(*change)) for change in ((), (moved,)))
    for leaderboard, count in ((alike, 0), (mixed, 3)):
        text = leaderboard.forms()["leaderboard.md"]
        assert len(re.findall(rf"\d\*\*{NEAR}?{ELSEWHERE}|{ELSEWHERE}\*\* ±", text)) == count
        assert (f"{ELSEWHERE}: made on another machine than the runs it is compared with." in text) == bool(count)
        assert ("On 3 of 3 pairs, runs that are compared were made on different machines" in text) == bool(count)
        console = Console(file=io.StringIO(), width=80)
        leaderboard.print(console)
        assert ("--retrain" in console.file.getvalue()) == bool(count)
        pairs = rows(leaderboard.forms()["leaderboard-pairs.csv"])
        assert {(row["method"], row["elsewhere"]) for row in pairs} == {
            *((method, "0") for method in ("student", "kd", "at", "fsp")),
            ("srrl", "2" if count else "0"),
        }


def test_is_shown_in_eighty_columns(leaderboard):
    console = Console(file=io.StringIO(), width=80)
    leaderboard.print(console)
    lines = console.file.getvalue().splitlines()
    assert any(re.match(r"\s*1\s+Ours\s+1.00\s+\+2.00", line) for line in lines)
    assert max(map(len, lines)) <= 80


def test_the_terminal_keeps_options_in_titles(data_for):
    table = leaderboard_table.load().select(["kd", "kd[temperature=8]"], ["vgg13:vgg8"])
    leaderboard = Leaderboard(data_for(table, lambda _cell, job: done(job, 70.0)))
    for width, shown in ((120, "KD[temperature=8]"), (80, "ature=8]")):
        console = Console(file=io.StringIO(), width=width)
        leaderboard.print(console)
        assert shown in console.file.getvalue()


def test_what_has_no_number_keeps_its_row(sample):
    def change(cell, job, record):
        if cell.method == "kd":
            return None
        return broken(job, "failed", "diverged") if cell.method == "at" else record

    leaderboard = Leaderboard(sample(change))
    text = leaderboard.forms()["leaderboard.md"]
    assert re.search(r"^\| – \| AT \| failed \| – \|", text, re.MULTILINE)
    assert re.search(r"^\| – \| KD \| no numbers yet \| – \|", text, re.MULTILINE)
    assert "AT is not ranked. Its runs failed: diverged." in text
    assert "Methods without numbers yet: KD." in text
    console = Console(file=io.StringIO(), width=100)
    leaderboard.print(console)
    assert re.search(r"–\s+AT\s+failed", console.file.getvalue())


def test_the_page_holds_all_boards_and_the_printed_numbers(sample, table, tmp_path):
    page = Page([sample()], table)
    [path] = page.write(tmp_path)
    text = path.read_text(encoding="utf-8")
    assert path.name == "leaderboard.html"
    assert '"opens_with":"digits"' in text
    assert text.count('"printed":true') == text.count('"printed":false') == 1
    assert page.stale(tmp_path) == []
    path.write_text(text.replace("seed2-", "seed3-"), encoding="utf-8")
    assert "stale" in page.stale(tmp_path)[0]


def test_the_page_is_of_use_before_anything_is_trained(table):
    assert '"opens_with":"printed"' in Page([], table).forms()["leaderboard.html"]


@pytest.fixture
def nasty(sample):
    """Data whose title, labels, notes, failures and provenance are all formulas, markup and control characters."""
    text = f"=1+1 {ESCAPES} {MARKUP}"

    def change(cell, job, record):
        return broken(job, "failed", text) if cell.method == "at" else record

    made = sample(change)
    rows = tuple(replace(row, label=f"{text} {row.run}") for row in made.table.rows)
    table = replace(made.table, title=text, rows=rows, notes=(text,))
    return replace(made, table=table, context=replace(made.context, note=text, choices=(text,)))


def test_nothing_acts_in_any_form(nasty):
    console = Console(file=io.StringIO(), width=300)
    Leaderboard(nasty).print(console)
    forms = Leaderboard(nasty).forms() | Page([nasty], nasty.table).forms()
    texts = [console.file.getvalue(), *forms.values()]
    assert [hidden(text) for text in texts] == [[]] * 5
    assert ["x1b" in text for text in texts] == [True, True, True, False, True]  # pairs have names alone


def test_no_text_of_the_csv_is_a_formula_and_numbers_are_numbers(nasty):
    forms = Leaderboard(nasty).forms()
    ranking, pairs = rows(forms["leaderboard.csv"]), rows(forms["leaderboard-pairs.csv"])
    assert {row["reason"][:14] for row in ranking if row["method"] == "at"} == {"Its runs faile"}
    assert any(float(row["gain_kd"]) < 0 for row in ranking if row["gain_kd"])
    for row in (*ranking, *pairs):
        assert not any(text.startswith(("=", "+", "@", "\t", "\r")) for text in row.values())


def test_the_page_s_data_cannot_end_their_element_and_say_what_was_meant(nasty):
    text = Page([nasty], nasty.table).forms()["leaderboard.html"]
    data, _ = re.findall(r"<script[^>]*>(.*?)</script>", text, flags=re.DOTALL)
    found = json.loads(data)
    assert found["title"].endswith(MARKUP)
    assert found["title"].startswith(r"=1+1 \x1b[31mred\x1b]0;owned\x07 ")
    assert "<script>alert" not in text
