import pytest

from benchmark.registry import catalog, plugins

METHOD = """
from methods import Method

class Mine(Method):
    title = "Mine"
    citation = "unpublished"
    def __init__(self, pair, *, power: float = 2.0): ...
    def forward(self, student, teacher, batch): return {"plugged": POWER * student.logits.sum()}
"""


@pytest.fixture(autouse=True)
def forget(monkeypatch, tmp_path):
    """``forget()`` lets files be found again; no plug-in is named, and descriptions are cached in ``tmp_path``."""
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.delenv(plugins.VARIABLE)
    monkeypatch.setenv(plugins.CACHE_VARIABLE, str(tmp_path / "cache"))

    def clear():
        catalog.invalidate_caches()

    clear()
    yield clear
    clear()


@pytest.fixture
def write(tmp_path):
    """``write(name, text, folder)`` writes a file and returns its path."""

    def make(name, text=METHOD, folder="."):
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return make


@pytest.fixture
def project(monkeypatch, tmp_path):
    """The project lies in ``tmp_path``: its folders hold what a test writes there."""
    monkeypatch.setattr(plugins, "ROOT", tmp_path)
    catalog.invalidate_caches()
    return tmp_path
