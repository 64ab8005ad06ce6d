import csv
import io
import time

import pytest

from tests.benchmark.report.leaderboard.browser.oracle import ranking, values

SAME = ("wrn-40-2:wrn-40-1", "resnet56:resnet20", "vgg13:vgg8")
GAINS = ("gain_student", "gain_kd")


def _number(text: str) -> float | None:
    shown = text.replace("−", "-").replace("%", "").replace("▲", "").strip()
    return None if shown == "–" else float(shown)


def _check_rows(page, board, found, metric="top1"):
    """All rows of the ranking against the oracle's or the payload's, but for a method's comparison with itself."""
    decimals = next(one["decimals"] for one in board["metrics"] if one["id"] == metric)
    rows = page.rows()
    assert {row["method"] for row in rows} == set(found["methods"])
    for row in rows:
        want = found["methods"][row["method"]]
        assert row["pairs"].split("/")[0] == str(want["pairs"])
        if not want["ranked"]:
            assert row["reason"].startswith("Not ranked. ")
            continue
        assert _number(row["average_rank"]) == pytest.approx(want["average_rank"], abs=0.0051)
        for name, reference in zip(GAINS, ("student", "kd"), strict=True):
            if row["method"] == reference:
                assert row[name] == "–"
            else:
                assert _number(row[name]) == pytest.approx(want[name], abs=0.51 * 10**-decimals)
        if row["method"] != "student":
            assert _number(row["gap_closed"]) == pytest.approx(100 * want["gap_closed"], abs=0.51)
        if row["method"] != "kd":
            assert row["wins"] == f"{want['wins']} – {want['ties']} – {want['losses']}"


def test_the_ranking_is_the_payloads_and_sorts_by_number(show, data):
    page = show(data)
    board = data["boards"][0]
    stats = board["statistics"]["last"]["top1"]
    _check_rows(page, board, stats)
    assert [row["position"] for row in page.rows()] == ["1", "2", "3", "4", "5", "–"]
    assert page.count("#ranking-table .range") == 8
    for clicks, direction in ((1, "descending"), (2, "ascending")):
        page.click("[data-key='sort/gain_student']")
        heads = page.value("[...document.querySelectorAll('#ranking-table th[aria-sort]')].map((th) => th.ariaSort)")
        assert (heads[3], set(heads[:3] + heads[4:])) == (direction, {"none"})
        rows = page.rows()
        shown = [_number(row["gain_student"]) for row in rows if row.get("gain_student", "–") != "–"]
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
    _check_rows(page, board, board["statistics"][epoch][metric], metric)
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
    _check_rows(page, board, found)
    assert "2 of 3 shown pairs" in page.text("#ranking-note")
    assert "filter" in page.text("#ranking-note")
    assert page.count("#ranking-table .range") == 0
    assert not page.find("#diagram").is_displayed()
    page.find("#text").send_keys("srrl, ours crd")
    page.chip("method", "crd")
    assert [row["method"] for row in page.rows()] == ["crd"]
    page.chip("method", "srrl")
    _check_rows(page, board, ranking(board, ["crd", "srrl"], SAME))
    assert page.texts("#heatmap tbody tr[data-method] th") == [
        {"crd": "CRD", "srrl": "Ours"}[row["method"]] for row in page.rows()
    ]
    assert "2 of 6 methods, 3 of 4 pairs" in page.text("#view")


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
    _check_rows(page, board, ranking(board, shown, pairs, "last", metric), metric)


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
    _check_rows(broken, data["boards"][0], data["boards"][0]["statistics"]["last"]["top1"])


def test_the_papers_numbers_alone(show, data):
    page = show(data)
    page.chip("method", "kd")
    page.click("#source option[value='printed']")
    board = data["boards"][1]
    _check_rows(page, board, board["statistics"]["last"]["top1"])
    assert page.cell("srrl", "resnet56:resnet20") == ["71.44"]
    assert page.cell("fsp", "wrn-40-2:wrn-40-1") == ["–"]
    assert page.texts("#heatmap .teacher td")[1] == "72.34"
    assert not page.find("#costs").is_displayed()
    assert not page.find("#beside-field").is_displayed()


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
    # On the pairs that ours are ranked on the paper has a number for FSP, too.
    assert page.count("#ranking-table tr.paper") == 6
    page.choose("show", "gain_student")
    # 71.44 less the printed student's 69.06.
    assert page.cell(*cell)[2].startswith("+2.38")


def test_cells_say_what_they_lack_and_which_are_best(show, data):
    page = show(data)
    assert page.cell("fsp", "wrn-40-2:wrn-40-1") == ["n/a"]
    assert page.cell("fsp", "wrn-40-2:shufflenetv1") == ["–"]
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


def test_a_cell_opens_its_curves_and_its_records(show, data):
    page = show(data)
    board = data["boards"][0]
    page.click("[data-cell='at/vgg13:vgg8']")
    assert page.text("#detail-title") == "AT"
    assert page.count("#detail path.curve:not(.plain)") == 2
    assert page.count("#detail path.curve.plain") == 3
    seeds = page.texts("#detail .seeds tbody tr")
    assert [row.split()[0] for row in seeds] == ["0", "1", "2"]
    assert seeds[2].split()[1:] == ["–", "–", "–"]
    page.click("#detail details.run summary")
    run = board["runs"][board["cells"]["at"]["vgg13:vgg8"]["runs"][0]]
    shown = page.text("#detail details.run")
    recipe = board["recipes"][run["recipe"]]
    for expected in (
        run["record"],
        run["revision"],
        run["fingerprint"],
        "terms.at.weight",
        recipe["optimizer"],
        "batch_size",
    ):
        assert expected in shown
    page.leave()
    assert not page.find("#detail").is_displayed()
    assert page.value("document.activeElement.dataset.cell") == "at/vgg13:vgg8"
    assert page.hash() == ""


def test_keys_reach_everything(show, data):
    page = show(data)
    first = page.find("#heatmap button[tabindex='0']")
    page.value("arguments[0].focus()", first)
    row = [method["method"] for method in page.rows()]
    page.press("ARROW_DOWN")
    page.press("ARROW_RIGHT")
    assert page.value("document.activeElement.dataset.cell") == f"{row[1]}/resnet56:resnet20"
    page.press("ENTER")
    assert page.find("#detail").is_displayed()
    page.leave()
    page.value("document.querySelector(\"[data-key='sort/method']\").focus()")
    page.press("ENTER")
    # The header was made anew; the focus is on it nevertheless, and a second press reverses.
    page.press("ENTER")
    assert [row["method"] for row in page.rows()][:2] == ["student", "srrl"]


def test_the_front_joins_what_no_other_beats(show, data):
    cells = data["boards"][0]["cells"]
    for pair, cell in cells["srrl"].items():
        cell["cost"] = cells["kd"][pair]["cost"]  # as fast, so only one of them can be on the front
    page = show(data)
    rows = {row["method"]: row for row in page.rows() if "reason" not in row}
    points = {m: (_number(row["relative"]), _number(row["gain_student"]) or 0.0) for m, row in rows.items()}
    front = {
        m
        for m, (x, y) in points.items()
        if not any((a <= x and b >= y) and (a, b) != (x, y) for a, b in points.values())
    }
    shown = page.value(
        "[...document.querySelectorAll('#costs .dot')].map((dot) => [dot.dataset.method, dot.matches('.on-front')])"
    )
    assert {method for method, on_front in shown if on_front} == front
    assert {method for method, _ in shown} == set(points)


def _saved(page, name, folder):
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    page.click(f"#download-{name}")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if found := [path for path in folder.iterdir() if path.suffix != ".crdownload"]:
            return found[0].name, found[0].read_text(encoding="utf-8")
        time.sleep(0.02)
    raise AssertionError(f"{name} was not saved")


def test_downloads_hold_what_is_shown(show, data, tmp_path):
    page = show(data, "pair=same+architectures&show=gain_kd&sort=gain_kd")
    board = data["boards"][0]
    saved = {}
    for name in ("ranking-csv", "pairs-csv", "ranking-tex", "pairs-tex"):
        (folder := tmp_path / name).mkdir()
        saved[name] = _saved(page, name, folder)
    assert saved["pairs-csv"][0] == "leaderboard-digits-top1-last-pairs.csv"
    order = [row["method"] for row in page.rows()]
    table = list(csv.DictReader(io.StringIO(saved["ranking-csv"][1])))
    assert [row["method"] for row in table] == order
    found = ranking(board, order, SAME)["methods"]
    assert [float(row["gain_kd"]) for row in table] == pytest.approx([found[m]["gain_kd"] for m in order], abs=1e-6)
    cells = {(row["method"], row["pair"]): row for row in csv.DictReader(io.StringIO(saved["pairs-csv"][1]))}
    assert len(cells) == 18
    numbers = values(board, "at", "vgg13:vgg8")
    cell = cells["at", "vgg13:vgg8"]
    assert (float(cell["mean"]), cell["n"], cell["state"]) == (
        pytest.approx(sum(numbers.values()) / 2, abs=1e-6),
        "2",
        "partial",
    )
    assert cell["runs"].split() == board["cells"]["at"]["vgg13:vgg8"]["runs"][:2]
    for name in ("ranking-tex", "pairs-tex"):
        text = saved[name][1]
        assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
        lines = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert len({line.count(" & ") for line in lines}) == 1
        body = [line for line in lines if text.index(line) > text.index(r"\midrule")]
        title = 1 if name == "ranking-tex" else 0
        assert [line.split(" & ")[title] for line in body] == page.texts("#heatmap tbody th")
    assert board["cells"]["kd"]["vgg13:vgg8"]["runs"][0] in saved["pairs-tex"][1]
    assert r"\textbf{" in saved["pairs-tex"][1]


def _brightness(page):
    """Of the page's ground, 0 to 1: an oklch or rgb colour, drawn on a canvas to be read."""
    return page.value("""(() => {
      const pen = document.createElement('canvas').getContext('2d');
      pen.fillStyle = getComputedStyle(document.body).backgroundColor;
      pen.fillRect(0, 0, 1, 1);
      return pen.getImageData(0, 0, 1, 1).data[1] / 255;
    })()""")


def test_dark_and_light_follow_the_system_until_the_reader_chooses(show, data):
    page = show(data)
    for scheme, chosen, dark in (
        ("light", "auto", False),
        ("dark", "auto", True),
        ("dark", "light", False),
        ("light", "dark", True),
    ):
        page.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        page.choose("theme", chosen)
        assert (_brightness(page) < 0.5) == dark
    page.choose("theme", "auto")


@pytest.mark.parametrize("board", ["digits", "printed"])
def test_at_360_pixels_tables_scroll_and_the_page_does_not(show, data, board):
    page = show(data, f"board={board}&beside=1&cell=kd/vgg13:vgg8", width=360, height=740)
    assert page.value("document.documentElement.scrollWidth") == 360
    assert page.value("document.getElementById('detail').scrollWidth <= document.getElementById('detail').clientWidth")
    page.leave()
    for table in ("ranking-table", "heatmap"):
        assert page.value("document.getElementById(arguments[0]).scrollWidth", table) > 360
        page.value("document.getElementById(arguments[0]).scrollTo(200, 0)", table)
        box = page.value(
            "document.querySelector(`#${arguments[0]} tbody tr[data-method] th`).getBoundingClientRect().toJSON()",
            table,
        )
        left = page.value("document.getElementById(arguments[0]).getBoundingClientRect().left", table)
        assert box["left"] == pytest.approx(left, abs=1)


def test_a_hostile_title_stays_text(show, data):
    title = "</script><img src=x onerror=\"document.title='owned'\">"
    board = data["boards"][0]
    board["methods"][5]["title"] = board["title"] = title
    page = show(data | {"title": title}, "cell=srrl/vgg13:vgg8")
    assert page.text("#detail-title") == title
    assert title in page.texts("#ranking-table th button")
    assert page.value("document.images.length") == 0
    assert page.value("document.title") == title


def test_a_board_that_nothing_was_trained_for_says_so(show, data):
    board = data["boards"][0]
    board |= {"cells": {}, "statistics": {}, "runs": {}}
    page = show(data)
    assert "Nothing to rank" in page.text("#ranking-note")
    assert set(page.texts("#heatmap tbody tr[data-method] button")) == {"–"}
