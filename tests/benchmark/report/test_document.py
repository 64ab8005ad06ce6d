import subprocess
import sys
from dataclasses import replace

import pytest

from benchmark.errors import UserError
from benchmark.registry.catalog import ROOT
from benchmark.report import build
from benchmark.report.document import REFRESH
from benchmark.tables.reader import load


def test_writes_the_texts_that_follow_from_the_records(table6, full_records, context, tmp_path):
    report = build(table6, full_records, context)
    paths = report.write(tmp_path / "new" / "tables")
    assert [path.name for path in paths] == ["table06.md", "table06.tex", "table06.csv"]
    assert sorted(paths) == sorted((tmp_path / "new" / "tables").iterdir())
    contents = [path.read_bytes() for path in paths]
    assert contents == [text.encode() for text in report.forms().values()]
    assert all(content.endswith(b"\n") and b"\r" not in content for content in contents)
    assert build(table6, dict(reversed(full_records.items())), context).stale(paths[0].parent) == []
    assert len(build(table6, {}, context).stale(paths[0].parent)) == 3


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


def test_each_stale_or_missing_file_is_named(table6, full_records, context, tmp_path):
    report = build(table6, full_records, context)
    report.write(tmp_path)
    (tmp_path / "table06.md").unlink()
    tex = tmp_path / "table06.tex"
    tex.write_bytes(tex.read_bytes().replace(b"\n", b"\r\n"))
    assert report.stale(tmp_path) == [
        f"{tmp_path / 'table06.md'}: missing; {REFRESH}",
        f"{tex}: stale, it does not follow from the records; {REFRESH}",
    ]
    tex.unlink()
    tex.mkdir()
    assert f"{tex}: cannot be read (Is a directory); {REFRESH}" in report.stale(tmp_path)


def test_drawings_of_a_figure_only_have_to_be_there(context, tmp_path):
    figure = build(load("2", "figure"), {}, context)
    figure.write(tmp_path)
    (tmp_path / "figure02.png").write_bytes(b"drawn by another version")
    assert figure.stale(tmp_path) == []
    (tmp_path / "figure02.pdf").unlink()
    (tmp_path / "figure02.md").write_text("old")
    assert figure.stale(tmp_path) == [
        f"{tmp_path / 'figure02.md'}: stale, it does not follow from the records; {REFRESH}",
        f"{tmp_path / 'figure02.pdf'}: missing; {REFRESH}",
    ]
