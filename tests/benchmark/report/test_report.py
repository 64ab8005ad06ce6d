import subprocess
import sys
from dataclasses import replace

import pytest

from benchmark.errors import UserError
from benchmark.registry.catalog import ROOT
from benchmark.report import build


def test_writes_all_forms_and_nothing_else(table6, full_records, context, tmp_path):
    paths = build(table6, full_records, context).write(tmp_path / "new" / "tables")
    assert [path.name for path in paths] == ["table06.md", "table06.tex", "table06.csv"]
    assert sorted(paths) == sorted((tmp_path / "new" / "tables").iterdir())
    assert all(path.read_bytes().endswith(b"\n") and b"\r" not in path.read_bytes() for path in paths)


def test_same_records_give_the_same_bytes(table6, full_records, context, tmp_path):
    backwards = dict(reversed(full_records.items()))
    first = build(table6, full_records, context).write(tmp_path / "first")
    second = build(table6, backwards, context).write(tmp_path / "second")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_best_epochs_do_not_replace_last_epochs(table6, full_records, context, tmp_path):
    paths = build(table6, full_records, context).write(tmp_path)
    kept = [path.read_bytes() for path in paths]
    best = build(table6, full_records, replace(context, selection="best")).write(tmp_path)
    assert best[0].name == "table06-best.md"
    assert [path.read_bytes() for path in paths] == kept


def test_a_failed_write_leaves_the_old_file(table6, full_records, context, tmp_path, monkeypatch):
    report = build(table6, full_records, context)
    (path, *_) = report.write(tmp_path)
    before = path.read_bytes()

    def refuse(*_):
        raise OSError("refused")

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(UserError, match="cannot write to"):
        build(table6, {}, context).write(tmp_path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_rendering_does_not_import_torch():
    code = """
import io, sys
from rich.console import Console
from benchmark import report
from benchmark.tables import reader
context = report.Context(profile="digits", note="", changes=(), seeds=(0,))
report.build(reader.load("6"), {}, context).print(Console(file=io.StringIO()))
sys.exit("torch" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
