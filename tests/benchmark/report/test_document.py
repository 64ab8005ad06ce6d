from benchmark.report import build
from benchmark.report.document import REFRESH
from benchmark.tables.reader import load


def test_what_was_written_is_not_stale(table6, full_records, context, tmp_path):
    report = build(table6, full_records, context)
    paths = report.write(tmp_path)
    assert report.stale(tmp_path) == []
    assert {tmp_path / name: text.encode() for name, text in report.forms().items()} == {
        path: path.read_bytes() for path in paths
    }


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


def test_other_records_make_stale_files(table6, full_records, context, tmp_path):
    build(table6, full_records, context).write(tmp_path)
    assert len(build(table6, {}, context).stale(tmp_path)) == 3


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
