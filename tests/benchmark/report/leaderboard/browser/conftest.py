"""A real browser, headless and offline, that shows the page."""

from __future__ import annotations

import copy
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmark.report.leaderboard import page
from benchmark.report.leaderboard.documents import Page as Document
from benchmark.runs.names import TEACHER
from benchmark.tables import leaderboard
from tests.benchmark.report.leaderboard.made_up import broken, done

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

    from benchmark.report.leaderboard.data import LeaderboardData
    from benchmark.runs.job import Job
    from benchmark.runs.record import Record
    from benchmark.tables.table import Cell

DIST = "dist[temperature=1]"
GAINS = {"student": 0.0, "kd": 1.0, "at": -0.6, "fsp": 0.3, "crd": 1.2, "srrl": 2.0, DIST: 1.7, TEACHER: 4.0}
SECONDS = {"kd": 2.2, "at": 2.5, "fsp": 2.6, "crd": 3.4, "srrl": 2.8, DIST: 2.1}
PAIRS = (
    "wrn-40-2:wrn-40-1",
    "resnet56:resnet20",
    "vgg13:vgg8",
    "vgg13:mobilenetv2-half",
    "resnet32x4:shufflenetv1",
    "resnet32x4:shufflenetv2",
    "wrn-40-2:shufflenetv1",
)
_ROWS = """
return [...document.querySelectorAll('#ranking-table tbody tr[data-method]')].map((row) => ({
  method: row.dataset.method,
  ...Object.fromEntries([...row.cells].filter((cell) => cell.matches('td')).map((cell) =>
    [cell.className.replace('col-', ''), (cell.querySelector('.gain') ?? cell).innerText.trim()])),
}));
"""


def _program(*names: str) -> str | None:
    return next((found for name in names if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    """One browser for each module, without network."""
    webdriver = pytest.importorskip(
        "selenium.webdriver", reason="no selenium to drive a browser: pip install -e '.[test]'"
    )
    browser, control = _program("chromium", "chromium-browser", "google-chrome"), _program("chromedriver")
    if not (browser and control):
        pytest.skip("no chromium and chromedriver to look at the page with: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for switch in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "host-resolver-rules=MAP * ~NOTFOUND"):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(control)) as started:
        yield started


def _record(cell: Cell, job: Job, **given: Any) -> Record | None:
    pair = cell.pair
    if (cell.method, pair) == ("crd", "wrn-40-2:wrn-40-1"):
        return broken(job, "failed", "the loss was not finite in epoch 2")
    lacks = (cell.method, pair) == (DIST, "resnet32x4:shufflenetv2")
    if lacks or not cell.applies or (cell.method, pair, job.seed) == ("at", "vgg13:vgg8", 2):
        return None
    noise = random.Random(f"{cell.method} {pair} {job.seed}").gauss(0, 0.4)
    top1 = 70 + PAIRS.index(pair) + GAINS[cell.method] + noise
    return done(job, top1, topk=80 + top1 / 8, seconds=SECONDS.get(cell.method, 2.0), **given)


@pytest.fixture(scope="session")
def _page_data_for(data_for: Callable[..., LeaderboardData]) -> Callable[..., dict[str, Any]]:
    def build(record: Callable[[Cell, Job], Record | None] = _record) -> dict[str, Any]:
        table = leaderboard.load().select([method for method in GAINS if method != TEACHER], PAIRS)
        return Document([data_for(table, record)], table).page_data()

    return build


@pytest.fixture(scope="session")
def _whole(_page_data_for: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return _page_data_for()


@pytest.fixture(scope="session")
def gpu_data(_page_data_for: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The same from records of a GPU, which do not hold everything."""
    empty = {"revision": None, "dirty": None, "teacher_weights": None, "device": "NVIDIA H200", "threads": 1}
    cost = {"step_seconds": None, "cohort_seconds": 100.0, "cohort_members": 7, "extra_parameters": 7}

    def record(cell: Cell, job: Job) -> Record | None:
        return _record(cell, job, cost=cost, provenance=empty)

    return _page_data_for(record)


@pytest.fixture
def page_data(_whole: dict[str, Any]) -> dict[str, Any]:
    """The data of the page, for seven methods and seven pairs; tests may change it.

    FSP applies to two pairs and is not ranked, AT lacks a seed on a pair, CRD failed on a pair, and DIST, which the
    paper does not have, is missing on a pair.
    """
    return copy.deepcopy(_whole)


class Page:
    """Actions of a reader, and what the page shows."""

    def __init__(self, driver: Chrome, path: Path):
        self.driver = driver
        self.path = path

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((node) => node.innerText.trim())"
        return self.driver.execute_script(script, selector)

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def click(self, selector: str) -> None:
        node = self.find(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", node)
        node.click()

    def choose(self, name: str, value: str) -> None:
        """Press the segment of the bar `name` that has the value."""
        self.click(f"#{name} input[value='{value}']")

    def open_filters(self) -> None:
        self.value("document.getElementById('filters').open = true")

    def chip(self, kind: str, name: str) -> None:
        self.open_filters()
        self.click(f"[data-key='chip/{kind}/{name}']")

    def cell(self, method: str, pair: str) -> list[str]:
        """The lines of a cell of the heat map, the number first."""
        return self.texts(f"[data-cell='{method}/{pair}'] > *")

    def press(self, key: str) -> None:
        from selenium.webdriver.common.keys import Keys

        self.driver.switch_to.active_element.send_keys(getattr(Keys, key))

    def count(self, selector: str) -> int:
        return len(self.driver.find_elements("css selector", selector))

    def leave(self) -> None:
        """Close the dialog of a cell by key; its event reaches the page a moment later."""
        self.press("ESCAPE")
        self.wait(lambda: "cell=" not in self.hash())

    def wait(self, condition: Callable[[], bool]) -> None:
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, 120, poll_frequency=0.01).until(lambda _: condition())

    def rows(self) -> list[dict[str, str]]:
        """The ranking as shown: the method and the texts of the columns."""
        return self.driver.execute_script(_ROWS)

    def hash(self) -> str:
        return self.driver.execute_script("return location.hash")

    def value(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(f"return {script}", *arguments)


@pytest.fixture
def show(driver: Chrome, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """``show(page_data, hash)`` opens the page from a file; in the end the browser must have logged nothing."""

    def opened(page_data: dict[str, Any], hash_: str = "", width: int = 1300, height: int = 900) -> Page:
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        path = tmp_path / "leaderboard.html"
        path.write_text(page.render(page_data), encoding="utf-8")
        driver.get("about:blank")
        driver.get(f"{path.as_uri()}#{hash_}")
        return Page(driver, path)

    driver.get_log("browser")
    yield opened
    assert driver.get_log("browser") == []
    assert driver.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []
