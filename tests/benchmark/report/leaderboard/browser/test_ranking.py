"""The numbers of the page: those that Python computed, and plain means and ranks under a filter."""

from statistics import fmean

import pandas as pd
import pytest

from benchmark.report.leaderboard.statistics import across

SAME = ("wrn-40-2:wrn-40-1", "resnet56:resnet20", "vgg13:vgg8")
GAINS = {"gain_student": "student", "gain_kd": "kd"}


def number(text):
    """The number that a text shows, None for a dash."""
    plain = text.replace("−", "-").replace("%", "").replace("×", "").strip()
    return None if plain == "–" else float(plain)


def check_rows(page, methods, decimals=2):
    """Compare the rows of the ranking with rows of `across`, by method."""
    rows = page.rows()
    assert {row["method"] for row in rows} == set(methods)
    for row in rows:
        expected = methods[row["method"]]
        assert row["pairs"].split("/")[0] == str(expected["pairs"])
        if not expected["ranked"]:
            assert row["reason"].startswith("Not ranked. ")
            continue
        assert number(row["average_rank"]) == pytest.approx(expected["average_rank"], abs=0.0051)
        for name, baseline in GAINS.items():
            value = None if row["method"] == baseline else pytest.approx(expected[name], abs=0.51 * 10**-decimals)
            assert number(row[name]) == value
        if "wins" in row and row["method"] not in GAINS.values():
            assert number(row["gap_closed"]) == pytest.approx(100 * expected["gap_closed"], abs=0.51)
            assert row["wins"] == f"{expected['wins']}/{expected['ties']}/{expected['losses']}"


def test_the_ranking_is_that_of_python_and_sorts_by_number(show, page_data):
    page = show(page_data)
    statistics = page_data["boards"][0]["statistics"]["last"]["top1"]
    check_rows(page, statistics["methods"])
    assert [row["position"] for row in page.rows()] == ["1", "2", "3", "4", "5", "6", "–"]
    assert page.count("#ranking-table .range") == 10
    assert page.text("#ranking-note") == " ".join(statistics["basis"])
    assert all(sentence in page.text("#sentences") for sentence in statistics["sentences"])
    for clicks, direction in ((1, "descending"), (2, "ascending")):
        page.click("[data-key='sort/gain_student']")
        heads = page.value("[...document.querySelectorAll('#ranking-table th[aria-sort]')].map((th) => th.ariaSort)")
        assert (heads[3], set(heads[:3] + heads[4:])) == (direction, {"none"})
        rows = page.rows()
        shown = [number(row["gain_student"]) for row in rows if row.get("gain_student", "–") != "–"]
        assert shown == sorted(shown, reverse=clicks == 1)
        assert rows[-1]["method"] == "fsp"
    # Sorted as texts, negative gains would come first.
    assert min(shown) < 0 < max(shown)


def test_metric_and_epoch_switch_all_numbers(show, page_data):
    page = show(page_data)
    page.choose("metric", "loss")
    page.choose("epoch", "best")
    board = page_data["boards"][0]
    check_rows(page, board["statistics"]["best"]["loss"]["methods"], decimals=4)
    values = board["cells"]["srrl"]["vgg13:vgg8"]["values"]["best"]["loss"]
    assert float(page.cell("srrl", "vgg13:vgg8")[0]) == pytest.approx(fmean(values), abs=0.51e-4)
    assert page.find("#best-warning").is_displayed()
    assert not page.find("#beside").is_enabled()


def plain(board, methods, pairs, metric):
    """`across` of the means of some cells, each as one seed."""
    found = board["statistics"]["last"][metric]["cells"]
    rows = [(m, p, 0, found[m][p]["mean"]) for m in methods for p in pairs if p in found.get(m, {})]
    kind = next(one for one in board["metrics"] if one["id"] == metric)
    scores = pd.DataFrame(rows, columns=["method", "pair", "seed", "value"])
    return across(scores, higher=kind["higher"], teachers={}, decimals=kind["decimals"])


@pytest.mark.parametrize(
    ("metric", "methods", "pairs", "shared"),
    [
        # FSP has two of three pairs and is ranked; CRD failed on one, so that two are shared.
        ("loss", (), ("wrn-40-2:wrn-40-1", "resnet56:resnet20", "vgg13:mobilenetv2-half"), 2),
        # FSP has exactly half of these pairs, which is too few.
        ("top1", (), ("resnet56:resnet20", "wrn-40-2:shufflenetv1"), 2),
        ("loss", ("student", "kd", "crd"), ("resnet56:resnet20", "vgg13:vgg8"), 2),
        # None of these methods has numbers on the first pair.
        ("top1", ("crd", "fsp"), ("wrn-40-2:wrn-40-1", "wrn-40-2:shufflenetv1"), 1),
    ],
)
def test_a_filter_ranks_the_plain_means_of_the_shown_cells(show, page_data, metric, methods, pairs, shared):
    board = page_data["boards"][0]
    cells = board["statistics"]["last"][metric]["cells"]
    cells["srrl"]["resnet56:resnet20"] = cells["kd"]["resnet56:resnet20"]  # they tie
    page = show(
        page_data, "&".join([f"metric={metric}", *(f"method={m}" for m in methods), *(f"pair={p}" for p in pairs)])
    )
    shown = methods or [method["id"] for method in board["methods"]]
    expected = plain(board, shown, pairs, metric)
    assert len(expected.shared) == shared
    found = {method: {"pairs": 0, "ranked": False} for method in shown}
    found |= {row["method"]: row for row in expected.methods.to_dict("records")}
    if "kd" not in shown:
        # The baselines are not shown, but gains over them are.
        pair = expected.shared[0]
        found["crd"] |= {name: cells["crd"][pair][name] for name in GAINS}
    check_rows(page, found, decimals=4 if metric == "loss" else 2)
    assert f"ranked on {shared} of {len(pairs)} shown pairs" in page.text("#ranking-note")


def test_intervals_marks_and_tests_are_hidden_under_a_filter(show, page_data):
    page = show(page_data, "sort=wins")
    for part in ("intervals", "marks"):
        assert page.count({"intervals": ".range", "marks": ".cell.best"}[part])
    page.chip("pair", "same architectures")
    assert "clear the filter for intervals, marks and tests" in page.text("#ranking-note")
    assert page.count(".range, .cell.best, .cell.near, .col-wins, .col-gap_closed, #sentences p") == 0
    assert not page.find("#diagram").is_displayed()
    assert "best of its pair" not in page.text("#heatmap-legend")
    page.chip("method", "crd")
    page.chip("method", "srrl")
    titles = {"crd": "CRD", "srrl": "Ours"}
    assert page.texts("#heatmap tbody tr[data-method] th") == [titles[row["method"]] for row in page.rows()]
    assert "2 of 7 methods, 3 of 7 pairs" in page.text("#view")
    page.click("[data-key='chip/method']")
    page.click("[data-key='chip/pair']")
    assert page.find("#diagram").is_displayed()
    assert page.count(".range")


def test_text_filters_by_names_and_titles_as_the_command_does(show, page_data):
    page_data["boards"][0]["methods"][4]["title"] = "My own"
    page = show(page_data)
    page.open_filters()
    for text, shown in {
        "AT, ours": {"at", "srrl"},
        "my own,kd": {"crd", "kd"},
        "DIST[temperature=1] kd": {"dist[temperature=1]", "kd"},
        "s*,?t": {"student", "srrl", "at"},
        "a": set(),
        " ": {"student", "kd", "at", "fsp", "crd", "srrl", "dist[temperature=1]"},
    }.items():
        page.find("#text").clear()
        page.find("#text").send_keys(text)
        assert {row["method"] for row in page.rows()} == shown
        pressed = page.find("[data-key='chip/method']").get_attribute("aria-pressed")
        assert pressed == ("false" if text.strip() else "true")


def test_a_view_can_be_linked(show, page_data):
    page = show(page_data)
    assert not page.find("#text").is_displayed()
    page.choose("metric", "loss")
    page.chip("pair", "vgg13:vgg8")
    page.chip("pair", "wrn-40-2:shufflenetv1")
    page.choose("show", "gain_kd")
    page.click("[data-key='sort/relative']")
    shown = page.rows(), page.texts("#heatmap td"), page.text("#view")
    linked = show(page_data, page.hash().removeprefix("#"))
    assert (linked.rows(), linked.texts("#heatmap td"), linked.text("#view")) == shown
    assert linked.find("#text").is_displayed()
    broken = show(page_data, "board=nothing&metric=nothing&pair=nothing&sort=nothing&cell=kd/nothing")
    check_rows(broken, page_data["boards"][0]["statistics"]["last"]["top1"]["methods"])


def test_the_papers_numbers_alone(show, page_data):
    page = show(page_data)
    page.chip("method", "kd")
    page.click("#source option[value='printed']")
    check_rows(page, page_data["boards"][1]["statistics"]["last"]["top1"]["methods"])
    assert page.cell("srrl", "resnet56:resnet20") == ["71.44"]
    assert page.cell("fsp", "wrn-40-2:wrn-40-1") == ["n/a"]
    assert page.texts("#heatmap .teacher td")[1] == "72.34"
    assert page.count(".cell.best") == 7
    assert page.count(".cell.near") == 0
    assert not page.find("#costs").is_displayed()
    assert not page.find("#beside-field").is_displayed()


@pytest.mark.parametrize("stand_in", [True, False])
def test_the_papers_value_stands_beside_ours(show, page_data, stand_in):
    page_data["boards"][0]["stand_in"] = stand_in
    page = show(page_data)
    cell = "srrl", "resnet56:resnet20"
    assert len(page.cell(*cell)) == 2
    page.click("#beside")
    ours, _, paper = page.cell(*cell)
    assert paper == ("71.44" if stand_in else f"71.44 (+{float(ours) - 71.44:.2f})")
    # On the pairs that ours are ranked on the paper has too few numbers for FSP, and none for DIST.
    assert page.count("#ranking-table tr.paper") == 5
    page.choose("show", "gain_student")
    assert page.cell(*cell)[2].startswith("+2.38")  # 71.44 less the printed student's 69.06
    page.choose("metric", "top5")
    assert not page.find("#beside").is_enabled()
    assert page.find("#beside-field").get_attribute("data-tip") == "The paper prints top-1 accuracy only."
    assert len(page.cell(*cell)) == 2


def test_a_page_without_printed_numbers_offers_none(show, page_data):
    del page_data["boards"][1]
    page_data["boards"][0]["beside"] = False
    page = show(page_data, "beside=1")
    assert not page.find("#beside-field").is_displayed()
    assert len(page.cell("srrl", "resnet56:resnet20")) == 2
    assert page.count("#ranking-table tr.paper") == 0


def test_cells_say_what_they_lack_and_which_are_best(show, page_data):
    page = show(page_data)
    assert page.cell("fsp", "wrn-40-2:wrn-40-1") == ["n/a"]
    assert page.cell("dist[temperature=1]", "resnet32x4:shufflenetv2") == ["–"]
    assert page.cell("crd", "wrn-40-2:wrn-40-1") == ["failed"]
    assert page.cell("at", "vgg13:vgg8")[1].endswith("2/3")
    tip = page.find("[data-cell='crd/wrn-40-2:wrn-40-1']").get_attribute("data-tip")
    assert tip == "the loss was not finite in epoch 2"
    assert "No step time where too few pairs" in page.text("#ranking-legend")  # FSP has two pairs
    given = page_data["boards"][0]["statistics"]["last"]["top1"]["cells"]
    for mark in ("best", "near"):
        expected = {f"{method}/{pair}" for method, row in given.items() for pair, cell in row.items() if cell[mark]}
        assert expected
        assert expected == set(
            page.value("[...document.querySelectorAll(arguments[0])].map((cell) => cell.dataset.cell)", f".cell.{mark}")
        )
