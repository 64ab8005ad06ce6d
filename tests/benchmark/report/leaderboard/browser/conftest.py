"""A real browser, headless and offline, with the page in it."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmark.report.leaderboard import page
from tests.benchmark.report.leaderboard.browser.payload import payload, statistics

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

METHODS = ("student", "kd", "at", "fsp", "crd", "srrl")
PAIRS = ("wrn-40-2:wrn-40-1", "resnet56:resnet20", "vgg13:vgg8", "wrn-40-2:shufflenetv1")
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
    """One browser a module, that reaches no network."""
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


@pytest.fixture(scope="session")
def _whole() -> dict[str, Any]:
    made = payload(METHODS, PAIRS)
    cell = made["boards"][0]["cells"]["at"]["vgg13:vgg8"]
    cell["state"], cell["runs"][2] = "partial", None
    for metrics in cell["values"].values():
        for values in metrics.values():
            values[2] = None
    crd = {"state": "failed", "reason": "the loss was not finite in epoch 2", "values": {}, "cost": None, "runs": []}
    made["boards"][0]["cells"]["crd"]["wrn-40-2:wrn-40-1"] |= crd
    made["boards"][0]["statistics"] = statistics(made["boards"][0])
    return made


@pytest.fixture
def data(_whole: dict[str, Any]) -> dict[str, Any]:
    """A payload of six methods and four pairs: FSP is not ranked, AT lacks a seed, CRD a pair. Free to be changed."""
    return copy.deepcopy(_whole)


class Page:
    """What a reader does with the page, and what they see."""

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
        """Press a segment of a bar, as `name` and the option's id."""
        self.click(f"#{name} input[value='{value}']")

    def chip(self, kind: str, name: str) -> None:
        self.click(f"[data-key='chip/{kind}/{name}']")

    def cell(self, method: str, pair: str) -> list[str]:
        """The lines of a cell of the heat map: the number first."""
        return self.texts(f"[data-cell='{method}/{pair}'] > *")

    def press(self, key: str) -> None:
        from selenium.webdriver.common.keys import Keys

        self.driver.switch_to.active_element.send_keys(getattr(Keys, key))

    def count(self, selector: str) -> int:
        return len(self.driver.find_elements("css selector", selector))

    def leave(self) -> None:
        """Close the detail of a cell by key; the page learns of that a moment later."""
        self.press("ESCAPE")
        self.wait(lambda: "cell=" not in self.hash())

    def wait(self, condition: Callable[[], bool]) -> None:
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, 5, poll_frequency=0.01).until(lambda _: condition())

    def rows(self) -> list[dict[str, str]]:
        """The ranking as shown: method and the texts of its columns."""
        return self.driver.execute_script(_ROWS)

    def hash(self) -> str:
        return self.driver.execute_script("return location.hash")

    def value(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(f"return {script}", *arguments)


@pytest.fixture
def show(driver: Chrome, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens a payload from a file; in the end the browser must have had nothing to complain about."""

    def opened(data: dict[str, Any], hash_: str = "", width: int = 1300, height: int = 900) -> Page:
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        path = tmp_path / "leaderboard.html"
        path.write_text(page.render(data), encoding="utf-8")
        driver.get("about:blank")
        driver.get(f"{path.as_uri()}#{hash_}")
        return Page(driver, path)

    driver.get_log("browser")
    yield opened
    assert driver.get_log("browser") == []
    assert driver.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []
