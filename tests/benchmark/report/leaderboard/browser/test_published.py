"""Published numbers beside ours, and what the page says of a method's training."""

import pytest

from tests.benchmark.report.leaderboard.browser.test_ranking import SAME

ROWS = """[...document.querySelectorAll('#published-table tr[data-method]')].map((row) => [
  row.dataset.method, row.dataset.pair, ...[...row.querySelectorAll('td')].map((cell) => cell.innerText.trim())])"""


def expected(page_data, **wanted):
    """The rows of the page's data as they must be shown, without the source."""
    given = page_data["published"]
    lines = [dict(zip(given["fields"], row, strict=True)) for row in given["rows"]]
    cells = page_data["boards"][0]["statistics"]["last"]["top1"]["cells"]
    marks = {"best": "best ⚠"}
    for line in lines:
        if all(line[key] in values for key, values in wanted.items()):
            ours = cells.get(line["method"], {}).get(line["pair"])
            beside = f"{ours['mean']:.2f} ± {ours['sd']:.2f}" if ours else "–"
            epoch = marks.get(line["selection"], line["selection"])
            yield [line["method"], line["pair"], f"{line['top1']:.2f}", epoch, beside]


def shown(page):
    return [row[:-1] for row in page.value(ROWS)]


@pytest.fixture
def with_best(page_data):
    """The page's data with a number of the best epoch, with its spread, in a second suite."""
    published = page_data["published"]
    published["suites"] = [{"id": "a", "title": "one"}, {"id": "b", "title": "another"}]
    published["rows"] = [
        ["kd", SAME[1], "a", "KD", 70.66, None, "last", "A README", 2020],
        ["crd", SAME[1], "a", "CRD", 71.16, None, "unknown", "A README", 2020],
        ["crd", SAME[0], "a", "CRD", 74.14, None, "unknown", "A README", 2020],
        ["kd", SAME[1], "b", "KD", 71.25, 0.31, "best", "A log", None],
    ]
    return page_data


def test_published_numbers_stand_beside_ours(show, page_data):
    page = show(page_data)
    rows = shown(page)
    assert rows == [*expected(page_data)]
    assert {row[0] for row in rows} >= {"kd", "crd"}
    # CRD failed on this pair, so that there is none of ours.
    assert {row[4] for row in rows if row[:2] == ["crd", SAME[0]]} == {"–"}
    assert "Ours (other data)" in page.texts("#published-table thead th")
    assert "of other data and so not comparable" in page.text("#published-legend")
    assert page_data["published"]["note"] in page.text("#published-note")
    assert "#published" in page.value(
        "[...document.querySelectorAll('#contents a')].map((a) => a.getAttribute('href'))"
    )


def test_ours_are_of_the_last_epoch_by_top_1_whatever_the_page_shows(show, page_data):
    page = show(page_data, "metric=loss&epoch=best")
    assert shown(page) == [*expected(page_data)]
    page_data["boards"][0]["stand_in"] = False
    real = show(page_data)
    assert "Ours" in real.texts("#published-table thead th")
    assert "other data" not in real.text("#published-legend")


def test_published_numbers_follow_the_filters_of_the_page(show, page_data):
    page = show(page_data)
    page.chip("method", "kd")
    page.chip("pair", "vgg13:vgg8")
    rows = shown(page)
    assert rows == [*expected(page_data, method=["kd"], pair=["vgg13:vgg8"])]
    assert rows
    page.click("[data-key='chip/method/kd']")
    page.chip("method", "student")
    assert not page.find("#published").is_displayed()


def test_suites_and_epochs_are_chosen_and_linked(show, with_best):
    page = show(with_best)
    assert page.texts("#published-table tr.suite") == ["a: one", "b: another"]
    assert [row[3] for row in shown(page)] == ["last", "unknown", "unknown", "best ⚠"]
    page.choose("printed", "best")
    assert [row[:4] for row in shown(page)] == [["kd", SAME[1], "71.25 ± 0.31", "best ⚠"]]
    assert page.hash() == "#printed=best"
    page.click("#suite option[value='b']")
    assert page.texts("#published-table td.source") == ["A log"]
    linked = show(with_best, page.hash().removeprefix("#"))
    assert (shown(linked), linked.value("document.getElementById('suite').value")) == (shown(page), "b")
    linked.choose("printed", "last")
    assert linked.text("#published-table") == "Nothing of this suite and epoch."
    broken = show(with_best, "suite=nothing&printed=nothing")
    assert len(shown(broken)) == 4


def test_the_paper_s_board_has_no_numbers_of_ours(show, with_best):
    page = show(with_best, "board=printed")
    assert page.texts("#published-table thead th") == ["Method, pair", "Published", "Epoch", "Source"]
    assert page.text("#published-legend") == ""


def test_a_phone_scrolls_the_table_and_not_the_page(show, page_data):
    page = show(page_data, width=390, height=800)
    assert page.value("document.documentElement.scrollWidth") <= 390
    assert page.value("document.getElementById('published-table').clientHeight") <= 500


def test_a_method_says_what_its_training_takes_and_how_others_trained(show, page_data):
    assert show(page_data).count("#ranking-table .col-views, #ranking-table button.badge") == 0
    board = page_data["boards"][0]
    board["differing"] = ["epochs", "views"]
    method = next(one for one in board["methods"] if one["id"] == "srrl")
    method |= {"epochs": "480", "views": 2, "passes": 2, "published_recipe": "batches of 128"}
    page = show(page_data, "sort=epochs")
    rows = {row["method"]: row for row in page.rows()}
    assert (rows["srrl"]["epochs"], rows["srrl"]["views"], rows["kd"]["views"]) == ("480", "2", "1")
    assert "passes" not in rows["srrl"]
    assert [row["method"] for row in page.rows() if row["epochs"] == "480"] == ["srrl"]
    assert page.rows()[-2]["method"] == "srrl"  # sorted by number, above FSP, which is not ranked
    badge = page.find("#ranking-table button.badge")
    assert badge.get_attribute("data-tip") == "Published with: batches of 128"
    page.click("#ranking-table button.badge")
    assert page.text("#tip") == "Published with: batches of 128"
    page.click("[data-cell='srrl/vgg13:vgg8']")
    assert "batches of 128" in page.texts("#detail .facts dd")
    page.leave()
