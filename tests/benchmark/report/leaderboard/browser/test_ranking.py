"""The page's numbers, and how they follow switches and filters."""

import pandas as pd
import pytest

from benchmark.report.leaderboard.statistics.summary import LeaderboardStatistics
from tests.benchmark.report.leaderboard.browser.oracle import SAME, check_rows, number, ranking, values


def test_the_ranking_is_the_payloads_and_sorts_by_number(show, data):
    page = show(data)
    board = data["boards"][0]
    stats = board["statistics"]["last"]["top1"]
    check_rows(page, board, stats)
    assert [row["position"] for row in page.rows()] == ["1", "2", "3", "4", "5", "6", "–"]
    assert page.count("#ranking-table .range") == 10
    for clicks, direction in ((1, "descending"), (2, "ascending")):
        page.click("[data-key='sort/gain_student']")
        heads = page.value("[...document.querySelectorAll('#ranking-table th[aria-sort]')].map((th) => th.ariaSort)")
        assert (heads[3], set(heads[:3] + heads[4:])) == (direction, {"none"})
        rows = page.rows()
        shown = [number(row["gain_student"]) for row in rows if row.get("gain_student", "–") != "–"]
        assert shown == sorted(shown, reverse=clicks == 1)
        assert rows[-1]["method"] == "fsp"
    # A negative gain would come first among texts.
    assert min(shown) < 0 < max(shown)


@pytest.mark.parametrize(("metric", "epoch"), [("top5", "last"), ("loss", "best")])
def test_metric_and_epoch_switch_all_numbers(show, data, metric, epoch):
    page = show(data)
    page.choose("metric", metric)
    page.choose("epoch", epoch)
    board = data["boards"][0]
    check_rows(page, board, board["statistics"][epoch][metric], metric)
    numbers = values(board, "srrl", "vgg13:vgg8", epoch, metric).values()
    decimals = 4 if metric == "loss" else 2
    assert float(page.cell("srrl", "vgg13:vgg8")[0]) == pytest.approx(sum(numbers) / 3, abs=0.51 * 10**-decimals)
    assert page.find("#best-warning").is_displayed() == (epoch == "best")
    assert not page.find("#beside").is_enabled()


def test_a_filter_ranks_anew_by_the_same_rules(show, data):
    page = show(data)
    page.chip("pair", "same architectures")
    board, everyone = data["boards"][0], [method["id"] for method in data["boards"][0]["methods"]]
    found = ranking(board, everyone, SAME)
    # FSP has two of three now, and takes part; with CRD's failure one pair less is shared by all.
    assert found["methods"]["fsp"]["ranked"]
    assert len(found["shared_pairs"]) == 2
    check_rows(page, board, found)
    assert "2 of 3 shown pairs" in page.text("#ranking-note")
    assert "filter" in page.text("#ranking-note")
    assert page.count("#ranking-table .range") == 0
    assert not page.find("#diagram").is_displayed()
    page.find("#text").send_keys("srrl, ours c?d")
    page.chip("method", "crd")
    assert [row["method"] for row in page.rows()] == ["crd"]
    page.chip("method", "srrl")
    check_rows(page, board, ranking(board, ["crd", "srrl"], SAME))
    assert page.texts("#heatmap tbody tr[data-method] th") == [
        {"crd": "CRD", "srrl": "Ours"}[row["method"]] for row in page.rows()
    ]
    assert "2 of 7 methods, 3 of 7 pairs" in page.text("#view")


@pytest.mark.parametrize(
    ("metric", "methods", "pairs"),
    [
        # FSP has exactly half of these pairs: too few.
        ("top1", (), ("resnet56:resnet20", "wrn-40-2:shufflenetv1")),
        ("loss", (), SAME),
        # KD and the student are compared with, though they are not shown.
        ("loss", ("crd", "srrl", "fsp"), ("resnet56:resnet20", "vgg13:vgg8")),
        # None of these methods has numbers on the first pair.
        ("top1", ("crd", "fsp"), ("wrn-40-2:wrn-40-1", "wrn-40-2:shufflenetv1")),
    ],
)
def test_the_rules_hold_where_they_are_close(show, data, metric, methods, pairs):
    board = data["boards"][0]
    cells = board["cells"]
    cells["srrl"]["resnet56:resnet20"]["values"] = cells["kd"]["resnet56:resnet20"]["values"]  # they tie
    next(pair for pair in board["pairs"] if pair["id"] == "vgg13:vgg8")["teacher"]["last"] |= {
        "top1": 50.0,
        "loss": 9.0,
    }
    page = show(data)
    wanted = [f"method={method}" for method in methods] + [f"pair={pair}" for pair in pairs]
    page.value("location.hash = arguments[0]", "&".join([f"metric={metric}", *wanted]))
    page.wait(lambda: page.count("#heatmap .pair") == len(pairs))
    shown = methods or [method["id"] for method in board["methods"]]
    check_rows(page, board, ranking(board, shown, pairs, "last", metric), metric)


@pytest.mark.parametrize("metric", ["top1", "loss"])
def test_only_the_seeds_that_all_ranked_methods_have_count(show, data, metric):
    board = data["boards"][0]
    for cell in board["cells"]["srrl"].values():
        cell["values"]["last"] = {key: [found[0], None, None] for key, found in cell["values"]["last"].items()}
    everyone, pairs = ([one["id"] for one in board[axis]] for axis in ("methods", "pairs"))
    rows = [
        (method, pair, seed, value)
        for method in everyone
        for pair in pairs
        for seed, value in values(board, method, pair, metric=metric).items()
    ]
    scores = pd.DataFrame(rows, columns=["method", "pair", "seed", "value"])
    teachers = {pair["id"]: pair["teacher"]["last"][metric] for pair in board["pairs"]}
    kind = next(one for one in board["metrics"] if one["id"] == metric)
    standing = LeaderboardStatistics(scores, kind["higher"], teachers, kind["decimals"], {})
    board["statistics"] = {}  # so that the page has to find them itself
    page = show(data, f"metric={metric}")
    check_rows(page, board, standing.page_data(), metric)
    check_rows(page, board, ranking(board, everyone, pairs, metric=metric), metric)
    assert ", on the seeds that they share (1 of 3)." in page.text("#ranking-note")
    assert ", on the seeds that they share (1 of 3)" in standing.sentences[0]
    # KD lacks the one seed of a pair: it is not shown, but then that pair says nothing of it.
    cell = board["cells"]["kd"]["vgg13:vgg8"]["values"]["last"]
    cell |= {key: [None, *found[1:]] for key, found in cell.items()}
    page = show(data, f"metric={metric}&method=srrl&method=at")
    found = ranking(board, ["srrl", "at"], pairs, metric=metric)
    check_rows(page, board, found, metric)
    assert len(found["shared_pairs"]) == 7
    assert sum(found["methods"]["srrl"][name] for name in ("wins", "ties", "losses")) == 6


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at", {"at"}),
        ("AT, ours", {"at", "srrl"}),
        ("DIST[temperature=1] kd", {"dist[temperature=1]", "kd"}),
        ("s*,?t", {"student", "srrl", "at"}),
        ("a", set()),
        (" ", {"student", "kd", "at", "fsp", "crd", "srrl", "dist[temperature=1]"}),
    ],
)
def test_text_filters_by_names_and_titles_as_the_command_does(show, data, text, shown):
    page = show(data)
    page.open_filters()
    page.find("#text").send_keys(text)
    assert {row["method"] for row in page.rows()} == shown
    lit = page.find("[data-key='chip/method']").get_attribute("aria-pressed")
    assert lit == ("false" if text.strip() else "true")


def test_a_title_with_spaces_is_one(show, data):
    data["boards"][0]["methods"][5]["title"] = "My own"
    page = show(data, "text=my+own,kd")
    assert {row["method"] for row in page.rows()} == {"kd", "srrl"}


def test_step_times_are_of_five_pairs_at_least(show, data):
    page = show(data)
    assert next(row["relative"] for row in page.rows() if row["method"] == "kd") == "1.10×"
    assert "No step time" in page.text("#ranking-legend")  # FSP has two pairs
    page = show(
        data, "&".join(["method=kd", "method=at", *(f"pair={pair['id']}" for pair in data["boards"][0]["pairs"])])
    )
    assert "No step time" not in page.text("#ranking-legend")
    page = show(data, "pair=same+architectures")
    assert {row["relative"] for row in page.rows()} == {"–"}
    assert "fewer than 5 of the shown pairs" in page.text("#ranking-legend")
    assert not page.find("#costs").is_displayed()


def test_what_has_no_number_says_why(show, data):
    page = show(data, "method=kd&method=crd&method=fsp&pair=wrn-40-2:wrn-40-1")
    reasons = {row["method"]: row.get("reason") for row in page.rows()}
    assert reasons == {
        "kd": None,
        "crd": "Not ranked. Its runs failed: the loss was not finite in epoch 2.",
        "fsp": "Not ranked. It applies to none of these pairs.",
    }
    page = show(data, "pair=resnet32x4:shufflenetv2")
    assert next(row for row in page.rows() if row["method"].startswith("dist"))["reason"] == (
        "Not ranked. It has no numbers yet."
    )


def test_filters_are_closed_unless_the_link_has_some(show, data):
    assert not show(data, "metric=loss").find("#text").is_displayed()
    assert show(data, "pair=vgg13:vgg8").find("#text").is_displayed()


def test_a_view_can_be_linked(show, data):
    page = show(data)
    page.choose("metric", "loss")
    page.chip("pair", "vgg13:vgg8")
    page.chip("pair", "wrn-40-2:shufflenetv1")
    page.choose("show", "gain_kd")
    page.click("[data-key='sort/relative']")
    shown = page.rows(), page.texts("#heatmap td"), page.text("#view")
    linked = show(data, page.hash().removeprefix("#"))
    assert (linked.rows(), linked.texts("#heatmap td"), linked.text("#view")) == shown
    broken = show(data, "board=nothing&metric=nothing&pair=nothing&sort=nothing&cell=kd/nothing")
    check_rows(broken, data["boards"][0], data["boards"][0]["statistics"]["last"]["top1"])


def test_the_papers_numbers_alone(show, data):
    page = show(data)
    page.chip("method", "kd")
    page.click("#source option[value='printed']")
    board = data["boards"][1]
    check_rows(page, board, board["statistics"]["last"]["top1"])
    assert page.cell("srrl", "resnet56:resnet20") == ["71.44"]
    assert page.cell("fsp", "wrn-40-2:wrn-40-1") == ["n/a"]
    assert page.texts("#heatmap .teacher td")[1] == "72.34"
    assert not page.find("#costs").is_displayed()
    assert not page.find("#beside-field").is_displayed()


def test_a_page_of_other_data_than_the_papers_offers_nothing_of_it(show, data):
    del data["boards"][1]
    data["boards"][0]["beside"] = False
    page = show(data, "beside=1")
    assert not page.find("#beside-field").is_displayed()
    assert len(page.cell("srrl", "resnet56:resnet20")) == 2
    assert page.count("#ranking-table tr.paper") == 0


def test_a_page_without_runs_and_printed_numbers_opens(show, data):
    del data["boards"][1]
    board = data["boards"][0] | {"beside": False, "runs": {}, "recipes": {}}
    for cells in board["cells"].values():
        for cell in cells.values():
            cell |= {"state": "missing", "values": {}, "paper": None, "cost": None, "runs": []}
    page = show(data | {"boards": [board]})
    assert page.cell("srrl", "resnet56:resnet20") == ["–"]


@pytest.mark.parametrize("stand_in", [True, False])
def test_the_papers_value_stands_beside_ours(show, data, stand_in):
    data["boards"][0]["stand_in"] = stand_in
    page = show(data)
    cell = "srrl", "resnet56:resnet20"
    assert len(page.cell(*cell)) == 2
    page.click("#beside")
    ours, _, paper = page.cell(*cell)
    difference = float(ours) - 71.44
    assert paper == ("71.44" if stand_in else f"71.44 (+{difference:.2f})")
    # On the pairs that ours are ranked on the paper has too few numbers for FSP, and it has none for DIST.
    assert page.count("#ranking-table tr.paper") == 5
    page.choose("show", "gain_student")
    # 71.44 less the printed student's 69.06.
    assert page.cell(*cell)[2].startswith("+2.38")


def test_a_board_opens_with_the_suites_metric_which_is_the_papers(show, data):
    for board in data["boards"]:
        board["metric"] = "top5"
    data["boards"][1]["metrics"][0] |= {"id": "top5", "title": "top-5 accuracy, %"}
    page = show(data, "beside=1")
    assert "top-5 accuracy" in page.text("#view")
    assert page.cell("srrl", "resnet56:resnet20")[2] == "71.44"
    page.choose("metric", "top1")
    assert "metric=top1" in page.hash()
    assert not page.find("#beside").is_enabled()
    assert page.find("#beside-field").get_attribute("data-tip") == "The paper prints top-5 accuracy only."
    assert len(page.cell("srrl", "resnet56:resnet20")) == 2


def test_what_the_tests_against_kd_find_is_told(show, data):
    told = show(data).text("#sentences")
    assert all(sentence in told for sentence in data["boards"][0]["statistics"]["last"]["top1"]["sentences"])


def test_cells_say_what_they_lack_and_which_are_best(show, data):
    page = show(data)
    assert page.cell("fsp", "wrn-40-2:wrn-40-1") == ["n/a"]
    assert page.cell("dist[temperature=1]", "resnet32x4:shufflenetv2") == ["–"]
    assert page.cell("crd", "wrn-40-2:wrn-40-1") == ["failed"]
    assert page.cell("at", "vgg13:vgg8")[1].endswith("2/3")
    tip = page.find("[data-cell='crd/wrn-40-2:wrn-40-1']").get_attribute("data-tip")
    assert tip == "the loss was not finite in epoch 2"
    given = data["boards"][0]["statistics"]["last"]["top1"]["cells"]
    for mark in ("best", "near"):
        want = {
            f"{m}/{p}"
            for m, row in given.items()
            for p, one in row.items()
            if one[mark] and not (mark == "near" and one["best"])
        }
        shown = set(
            page.value("[...document.querySelectorAll(arguments[0])].map((cell) => cell.dataset.cell)", f".cell.{mark}")
        )
        assert shown == {name for name in want if page.cell(*name.split("/"))[0] not in ("–", "n/a", "failed")}
