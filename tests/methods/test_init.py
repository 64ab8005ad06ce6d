"""Methods are found by their files' names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import methods
from models import plugins

METHOD = """
from methods import Method

class Mine(Method):
    title = "Mine"
    citation = "unpublished"
"""


def test_every_name_loads_one_method_and_helpers_are_none():
    losses = {"kd", "at", "ofd", "rkd", "crd", "srrl", "fitnet", "sp", "cc", "vid", "pkt", "nst", "ab", "ft", "fsp"}
    assert losses <= set(methods.names())
    assert not {"base", "alignment", "connector", "regressor"} & set(methods.names())
    for name in methods.names():
        found = methods.load(name)
        assert issubclass(found, methods.Method)
        assert found.__module__ == f"methods.{name}"


@pytest.mark.parametrize("name", ["nothing", "alignment", "base", "kd.KD"])
def test_unknown_names_are_errors_that_list_the_known(name):
    with pytest.raises(ValueError, match=r"known are ab, at, .*kd"):
        methods.load(name)


def test_a_method_of_a_file_outside_is_found(monkeypatch, tmp_path):
    (tmp_path / "outside.py").write_text(METHOD, encoding="utf-8")
    (tmp_path / "helper.py").write_text("x = 1\n", encoding="utf-8")
    monkeypatch.setenv(plugins.VARIABLE, f"{tmp_path / 'outside.py'}:{tmp_path / 'helper.py'}")
    assert "outside" in methods.names()
    assert "helper" not in methods.names()
    assert methods.load("outside").title == "Mine"
    monkeypatch.delenv(plugins.VARIABLE)
    with pytest.raises(ValueError, match="unknown method 'outside'"):
        methods.load("outside")


@pytest.mark.parametrize("value", ["outside_pack.losses:Mine", "outside_pack.losses"])
def test_a_method_of_a_package_is_found_and_a_broken_one_offers_none(monkeypatch, tmp_path, value):
    package, about = tmp_path / "outside_pack", tmp_path / "outside_pack-1.dist-info"
    package.mkdir()
    about.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "losses.py").write_text("from .base import Base\n" + METHOD, encoding="utf-8")
    (package / "base.py").write_text("class Base: pass\n", encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-pack\nVersion: 1\n", encoding="utf-8")
    broken = "outside_pack.nothing:Mine"
    points = f"[{methods.GROUP}]\npacked = {value}\nkd = {value}\nbroken = {broken}\nmine = {broken}\n"
    (about / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert "packed" in methods.names()
    assert "broken" not in methods.names()
    assert methods.load("packed").__module__ == "outside_pack.losses"
    with pytest.raises(ModuleNotFoundError, match=r"outside_pack\.nothing"):
        methods.load("broken")
    assert methods.names().count("kd") == 1
    assert methods.load("kd").__module__ == "methods.kd"
    (tmp_path / "plugged.py").write_text(METHOD, encoding="utf-8")
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "plugged.py"))
    assert methods.load("plugged").title == "Mine"  # whatever the package's is


def test_the_contract_tests_take_up_a_method_of_a_file(tmp_path):
    """``SRRL_BENCH_PLUGINS=plugged.py python -m pytest tests/methods/test_contract.py``, as the README says."""
    (tmp_path / "outside.py").write_text(METHOD, encoding="utf-8")
    root = Path(__file__).parents[2]
    options = ["--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", "outside"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/methods/test_contract.py", *options],
        env={**os.environ, plugins.VARIABLE: str(tmp_path / "outside.py")},
        capture_output=True,
        text=True,
        cwd=root,
        check=True,
    )
    assert "test_small_last_batch[1-outside]" in done.stdout
    assert "kd" not in done.stdout
