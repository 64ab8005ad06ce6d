"""What a reader does with the page besides switching its numbers."""

import csv
import io
import time

import pytest

from benchmark.report.leaderboard.data import TIMING
from benchmark.report.leaderboard.documents import Page as Document
from tests.benchmark.report.leaderboard.browser.test_ranking import SAME, check_rows, number


def test_runs_of_a_gpu_are_shown_without_times(show, gpu_data):
    page = show(gpu_data)
    check_rows(page, gpu_data["boards"][0]["statistics"]["last"]["top1"]["methods"])
    assert {row["relative"] for row in page.rows()} == {"–"}
    assert "No step time" in page.text("#ranking-legend")
    assert not page.find("#costs").is_displayed()
    assert TIMING[None] in page.text("#notes")
    page.click("[data-cell='srrl/vgg13:vgg8']")
    assert "Step time" not in page.text("#detail")
    assert "Extra parameters" in page.text("#detail")
    page.click("#detail details.run summary")
    told = " ".join(page.text("#detail details.run").split())
    assert "Processor – Device NVIDIA H200 Threads 1 PyTorch – Finished – Training –" in told
    assert "Code revision – Processor" in told
    page.leave()


def test_a_cell_opens_its_curves_and_its_records(show, page_data):
    page = show(page_data)
    board = page_data["boards"][0]
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


def test_a_mark_is_told_in_words_too(show, page_data):
    page = show(page_data)
    given = page_data["boards"][0]["statistics"]["last"]["top1"]["cells"]
    near = next(f"{m}/{p}" for m, row in given.items() for p, one in row.items() if one["near"] and not one["best"])
    best = next(f"{m}/{p}" for m, row in given.items() for p, one in row.items() if one["best"])
    for name, mark in ((near, "not significantly worse than the best"), (best, "best")):
        assert page.find(f"[data-cell='{name}']").get_attribute("aria-label").endswith(f", {mark}")
        page.click(f"[data-cell='{name}']")
        assert mark in page.texts("#detail .facts dd")
        page.leave()


def test_runs_of_other_machines_are_marked(show, page_data):
    board, reason = (
        page_data["boards"][0],
        "made on another machine than Student, KD, AT, 3 more (processor: P, there Q)",
    )
    for pair in SAME[:2]:
        board["cells"]["srrl"][pair]["elsewhere"] = {"seeds": 2, "reason": reason}
    page = show(page_data)
    name = f"srrl/{SAME[0]}"
    assert "On 2 of 7 shown pairs, runs that are compared were made on different machines" in page.text(
        "#ranking-legend"
    )
    assert "† made on another machine than the runs it is compared with" in page.text("#heatmap-legend")
    assert page.cell("srrl", SAME[0])[0].endswith("†")
    assert not page.cell("kd", SAME[0])[0].endswith("†")
    button = page.find(f"[data-cell='{name}']")
    assert button.get_attribute("data-tip") == reason
    assert button.get_attribute("aria-label").endswith(", made on another machine than the runs it is compared with")
    page.click(f"[data-cell='{name}']")
    assert reason in page.texts("#detail .facts dd")
    page.leave()
    page.chip("pair", SAME[2])
    assert "†" not in page.text("#heatmap-legend") + page.text("#ranking-legend")


def test_keys_reach_everything(show, page_data):
    page = show(page_data)
    first = page.find("#heatmap button[tabindex='0']")
    page.value("arguments[0].focus()", first)
    methods = [row["method"] for row in page.rows()]
    page.press("ARROW_DOWN")
    page.press("ARROW_RIGHT")
    assert page.value("document.activeElement.dataset.cell") == f"{methods[1]}/resnet56:resnet20"
    page.press("ENTER")
    assert page.find("#detail").is_displayed()
    page.leave()
    page.value("document.querySelector(\"[data-key='sort/method']\").focus()")
    page.press("ENTER")
    # The header is rebuilt and keeps the focus, so a second press reverses the order.
    page.press("ENTER")
    assert [row["method"] for row in page.rows()][:2] == ["student", "srrl"]


def test_the_front_joins_the_methods_that_no_other_beats(show, page_data):
    methods = {method["id"]: method for method in page_data["boards"][0]["methods"]}
    methods["srrl"]["relative"] = methods["kd"]["relative"]  # as fast, so only the better one is on the front
    page = show(page_data)
    rows = {row["method"]: row for row in page.rows() if "reason" not in row}
    points = {m: (number(row["relative"]), number(row["gain_student"]) or 0.0) for m, row in rows.items()}
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
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        # The browser makes the file before it fills it.
        if found := [path for path in folder.iterdir() if path.suffix != ".crdownload" and path.stat().st_size]:
            return found[0].name, found[0].read_text(encoding="utf-8")
        time.sleep(0.02)
    raise AssertionError(f"{name} was not saved")


def test_downloads_hold_what_is_shown(show, page_data, tmp_path):
    board = page_data["boards"][0]
    board["cells"]["at"]["vgg13:vgg8"]["elsewhere"] = {"seeds": 1, "reason": "made on another machine"}
    page = show(page_data, "show=gain_kd&sort=gain_kd")
    saved = {}
    for name in ("ranking-csv", "pairs-csv", "ranking-tex", "pairs-tex"):
        (folder := tmp_path / name).mkdir()
        saved[name] = _saved(page, name, folder)
    assert saved["pairs-csv"][0] == "leaderboard-digits-top1-last-pairs.csv"
    statistics = board["statistics"]["last"]["top1"]
    table = list(csv.DictReader(io.StringIO(saved["ranking-csv"][1])))
    assert [row["method"] for row in table] == [row["method"] for row in page.rows()]
    for row in table[:-1]:
        assert float(row["gain_kd"]) == pytest.approx(statistics["methods"][row["method"]]["gain_kd"], abs=1e-6)
    cells = {(row["method"], row["pair"]): row for row in csv.DictReader(io.StringIO(saved["pairs-csv"][1]))}
    assert len(cells) == 49
    cell = cells["at", "vgg13:vgg8"]
    assert float(cell["mean"]) == statistics["cells"]["at"]["vgg13:vgg8"]["mean"]
    assert (cell["n"], cell["state"], cell["elsewhere"]) == ("2", "partial", "1")
    assert cell["runs"].split() == board["cells"]["at"]["vgg13:vgg8"]["runs"][:2]
    for name in ("ranking-tex", "pairs-tex"):
        text = saved[name][1]
        assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
        lines = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert len({line.count(" & ") for line in lines}) == 1
        body = [line for line in lines if text.index(line) > text.index(r"\midrule")]
        title = 1 if name == "ranking-tex" else 0
        # TeX would read a bracket after the end of a line as its option.
        assert [line.split(" & ")[title].replace("{[}", "[") for line in body] == page.texts("#heatmap tbody th")
    text = saved["pairs-tex"][1]
    assert board["cells"]["kd"]["vgg13:vgg8"]["runs"][0] in text
    assert (text.count(r"$^\dagger$"), r"\textbf{" in text, r"\underline{" in text) == (1, True, True)


def test_no_text_of_a_download_is_a_formula_and_numbers_are_numbers(show, page_data, tmp_path):
    board = page_data["boards"][0]
    titles = ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "  =1", "\uff1d1"]
    for method, title in zip(board["methods"], titles, strict=True):
        method["title"] = title
    for pair in board["pairs"]:
        pair["group"] = "=cmd|' /C calc'!A0"
    page = show(page_data, "pair=vgg13:vgg8&pair=resnet56:resnet20")
    for name in ("ranking-csv", "pairs-csv"):
        (folder := tmp_path / name).mkdir()
        rows = list(csv.DictReader(io.StringIO(_saved(page, name, folder)[1])))
        assert {row["title"] for row in rows} == {f"'{title}" for title in titles}
        assert {row.get("group", "'")[0] for row in rows} == {"'"}
        assert any(float(row["gain_kd"]) < 0 for row in rows if row["gain_kd"])


def _brightness(page):
    """Brightness of the background, 0 to 1, read from a canvas because the colour may be given as oklch."""
    return page.value("""(() => {
      const pen = document.createElement('canvas').getContext('2d');
      pen.fillStyle = getComputedStyle(document.body).backgroundColor;
      pen.fillRect(0, 0, 1, 1);
      return pen.getImageData(0, 0, 1, 1).data[1] / 255;
    })()""")


def test_dark_and_light_follow_the_system_until_the_reader_chooses(show, page_data):
    page = show(page_data)
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


def test_at_360_pixels_tables_scroll_and_the_page_does_not(show, page_data):
    page = show(page_data, "beside=1&cell=kd/vgg13:vgg8", width=360, height=740)
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


def test_a_hostile_title_stays_text(show, page_data):
    title = "</script><img src=x onerror=\"document.title='owned'\">"
    board = page_data["boards"][0]
    board["methods"][5]["title"] = board["title"] = title
    page = show(page_data | {"title": title}, "cell=srrl/vgg13:vgg8")
    assert page.text("#detail-title") == title
    assert title in page.texts("#ranking-table th button")
    assert page.value("document.images.length") == 0
    assert page.value("document.title") == title


def test_a_board_without_runs_says_so(show, table, data_for):
    empty = Document([data_for(table, lambda _cell, _job: None)], table).page_data()
    page = show(empty)
    assert page.text("#ranking-note").startswith("There are no numbers to rank yet.")
    assert "Press a cell" not in page.text("#heatmap-note")
    assert set(page.texts("#heatmap tbody tr[data-method] button")) == {"–", "n/a"}
    page.chip("pair", "vgg13:vgg8")
    assert "Nothing to rank" in page.text("#ranking-note")
