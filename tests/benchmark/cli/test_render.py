"""Files of the leaderboard, and whether files follow from the records."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import url2pathname

import pytest

from benchmark.tables import leaderboard
from tests.benchmark.made_up import parts

pytestmark = pytest.mark.usefixtures("small_board")

PAIRS = ("resnet56:resnet20", "vgg13:vgg8")


@pytest.fixture
def finish(session_of):
    """``finish(profile, *methods)`` leaves records of two pairs as if they had been trained, each on a processor."""

    def run(profile, *methods, processors=()):
        session = session_of("leaderboard", profile=profile)
        plan = session.plan([leaderboard.load().select(methods, PAIRS)], (0, 1, 2))
        for place, job in enumerate(plan.jobs):
            last = {"epoch": 6, "top1": 70.0 + place / 10, "topk": 90.0, "loss": 1.0}
            given = {"metrics": {"params": 1, "last": last, "best": last}, "cost": {"step_seconds": 1.0}}
            processor = dict(processors).get(job.title, "P")
            facts = {"processor": processor, "device": "cpu", "threads": 1, "data": {"official": True}}
            session.store.write(job, "done", facts, **parts(job.kind, **given))

    return run


def boards(path):
    page_data = re.search(
        r'<script type="application/json" id="page-data">(.*?)</script>', path.read_text(), re.DOTALL
    )[1]
    return {board["name"]: board for board in json.loads(page_data)["boards"]}


def test_the_leaderboard_is_written_before_anything_is_trained(command, tmp_path):
    shown = command("leaderboard", "--render")
    assert shown.status == 0
    assert "There are no numbers to rank yet." in shown.out
    names = {path.name for path in (tmp_path / "results" / "digits" / "leaderboard").iterdir()}
    assert names == {"leaderboard.md", "leaderboard.csv", "leaderboard-pairs.csv"}
    assert set(boards(tmp_path / "results" / "leaderboard.html")) == {"printed"}


def test_the_page_holds_every_profile_whichever_was_asked_for(command, finish, tmp_path):
    finish("digits", "kd", "srrl")
    finish("quick", "kd")
    command("leaderboard", "--render")
    page = tmp_path / "results" / "leaderboard.html"
    assert list(boards(page)) == ["quick", "digits", "printed"]  # the paper's own data first
    assert boards(page)["quick"]["seeds"] == [0, 1, 2]
    before = page.read_bytes()
    assert (
        command("leaderboard", "--render", "--check", profile="quick").status == 1
    )  # its own tables are not there yet
    command("leaderboard", "--render", "--seeds", "1", profile="quick")
    assert page.read_bytes() == before


def test_plain_students_alone_are_no_board_of_the_page(command, finish, tmp_path):
    finish("quick", "student")
    command("leaderboard", "--render")
    assert list(boards(tmp_path / "results" / "leaderboard.html")) == ["printed"]


def test_added_methods_and_changes_have_files_of_their_own(command, finish, tmp_path):
    finish("digits", "kd")
    results, pages = tmp_path / "results", {"leaderboard.html", "leaderboard+kd+srrl.html"}
    out = command("leaderboard", "--render", "--methods", "kd+srrl", "--pairs", "vgg13:vgg8").out
    assert "leaderboard+kd+srrl.html" in " ".join(out.split())
    assert {path.name for path in results.glob("*.html")} == pages
    command("leaderboard", "--render", "--set", "epochs=2")
    command("leaderboard", "--render", "--preset", "authors", "--selection", "best")
    assert {path.name for path in results.glob("*.html")} == pages
    [changed] = results.glob("digits+*/leaderboard/leaderboard.html")
    assert set(boards(changed)) == {"printed"}
    names = {path.name for path in (results / "digits" / "leaderboard").glob("*authors*")}
    assert {"leaderboard+authors.html", "leaderboard+authors-best.md"} <= names


def test_machines_that_differ_are_told_wherever_runs_are_compared(command, finish, tmp_path):
    told = "On 2 of 2 pairs, runs that are compared were made on different machines (processor: P, Q)"
    finish("digits", "kd", "srrl", processors={"srrl": "Q"})
    out = command("--table", "11", "--leaderboard", "--render", "--pairs", ",".join(PAIRS)).out
    assert " ".join(out.split()).count(told) == 2
    results = tmp_path / "results" / "digits"
    for file in ("tables/table11.md", "tables/table11.tex", "leaderboard/leaderboard.md"):
        assert told in (results / file).read_text(), file
    board = boards(tmp_path / "results" / "leaderboard.html")["digits"]
    assert board["cells"]["srrl"][PAIRS[0]]["elsewhere"]["seeds"] == 3
    assert told in " ".join(board["statistics"]["last"]["top1"]["sentences"])
    finish("digits", "kd", "srrl")
    command("--table", "11", "--leaderboard", "--render")
    assert "made on different machines" not in (results / "tables/table11.md").read_text()


def test_what_was_selected_is_linked_on_the_page(command, finish, tmp_path):
    finish("digits", "kd")
    finish("quick", "kd")
    assert "file://" not in command("leaderboard", "--render").out
    selected = ("--methods", "kd,kd[temperature=8]", "--pairs", "wrn-40-2:*", "--selection", "best")
    out = command("leaderboard", "--render", *selected).out
    [link] = re.findall(r"file://\S+", out)
    page, _, view = link.partition("#")
    assert Path(url2pathname(urlsplit(page).path)) == tmp_path / "results" / "leaderboard+kd[temperature=8].html"
    assert parse_qs(view) == {
        "board": ["digits"],
        "epoch": ["best"],
        "method": ["student", "kd", "kd[temperature=8]"],
        "pair": ["wrn-40-2:wrn-16-2", "wrn-40-2:wrn-40-1"],
    }
    # The page has no board of a scale without runs, nor do all pairs need a filter.
    assert "file://" not in command("leaderboard", "--render", *selected, profile="paper").out
    assert "file://" not in command("--table", "11", "--render", "--pairs", "wrn-40-2:*").out


CHECKS = {
    "run": ("--table", "11", "--leaderboard", "--render", "--check"),
    "leaderboard": ("leaderboard", "--render", "--check"),
    "check": ("check",),
}


@pytest.mark.parametrize(("words", "files"), [(CHECKS["run"], 3 + 4), (CHECKS["leaderboard"], 4)])
def test_render_check_tells_what_is_missing(words, files, command, tmp_path):
    shown = command(*words)
    assert (shown.status, shown.out.count("missing")) == (1, files)
    assert not (tmp_path / "results").exists()


def test_a_check_tells_what_is_stale(command, finish, tmp_path):
    finish("digits", "kd")
    command("--table", "11", "--leaderboard", "--render")
    command("claims")
    files = {"run": ("table11.md", "leaderboard.html"), "leaderboard": ("leaderboard.csv",), "check": ("claims.md",)}
    for name, words in CHECKS.items():
        shown = command(*words)
        assert (shown.status, shown.err) == (0, "")
        assert all(file in shown.out for file in files[name])
        assert "table06" not in shown.out
    finish("digits", "kd", "srrl")
    (tmp_path / "results/digits/leaderboard/leaderboard.md").unlink()
    for name, stale in {"run": 3 + 3, "leaderboard": 3, "check": 3 + 3 + 1}.items():
        shown = command(*CHECKS[name])
        assert (shown.status, shown.out.count("stale")) == (1, stale)
        assert "leaderboard.md: missing; repeat the command that writes it" in shown.out


def test_a_check_of_nothing_is_an_error(command):
    shown = command("check")
    assert (shown.status, shown.err.count("\n")) == (2, 1)
    assert "digits yet: --table all --leaderboard --render writes it" in shown.err


def test_tables_on_other_data_say_so_and_have_a_folder_of_their_own(command, tmp_path):
    command("--table", "11", "--render", "--set", "dataset=cifar10", "--set", "epochs=2")
    [written] = (tmp_path / "results").glob("digits+cifar10+*/tables/table11.md")
    text = written.read_text()
    assert "(%) on cifar10 (profile digits)" in text
    assert "Data: cifar10, 50,000 training and 10,000 test images" in text
    assert "scikit-learn" not in text
    assert "paper" not in text


def test_the_page_on_other_data_has_no_printed_numbers_and_opens_without_runs(command, tmp_path):
    command("leaderboard", "--render", "--set", "dataset=cifar10")
    [board] = boards(tmp_path / "results/digits+cifar10/leaderboard/leaderboard.html").values()
    assert (board["printed"], board["beside"]) == (False, False)
    assert all(cell["paper"] is None for cells in board["cells"].values() for cell in cells.values())
    assert all(pair["paper"] is None for pair in board["pairs"])


SWEEP = ",".join(f"srrl[fm={number}.5,form=kl,sr=0.{number}]" for number in range(1, 13))


LONGER = ("--selection", "best", "--preset", "authors")


@pytest.mark.parametrize(
    "what", [("--table", "9"), ("--table", "9", *LONGER), ("--figure", "2", *LONGER), ("leaderboard", *LONGER)]
)
def test_a_sweep_of_many_options_writes_its_files(command, tmp_path, what):
    words = (*what, "--methods", SWEEP, "--seeds", "1")
    shown = command(*words, "--render")
    assert (shown.status, "File name too long" in shown.out) == (0, False)
    names = [path.name for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert max(len(name.encode()) for name in names) > 240
    assert command(*words, "--render", "--check").status == 0
