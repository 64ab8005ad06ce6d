"""Texts that would act on a terminal, in Markdown, LaTeX or HTML or in a spreadsheet, through every command."""

import csv
import io
import json
import re

import pytest

from benchmark.registry import catalog, plugins
from benchmark.tables import leaderboard, reader
from tests.benchmark.hostile import ESCAPES, MARKUP, hidden
from tests.benchmark.made_up import raw_record

PAIR = "vgg13:vgg8"
NASTY = f"=1+1 {ESCAPES} {MARKUP}"
METHOD = f"""
from methods import Method

pytestmark = pytest.mark.usefixtures("small_board")

class Mine(Method):
    title = {NASTY!r}
    citation = {NASTY!r}
    def __init__(self, pair, *, power: float = 2.0): ...
    def forward(self, student, teacher, batch): ...
"""
TABLE = f"""
title: {json.dumps("# " + NASTY)}
recipe: CRD100
metric: top1
heads: [{json.dumps(NASTY)}]
notes: [{json.dumps(NASTY)}, "# one", "1. two", "> three"]
columns: [{{label: {json.dumps(NASTY)}, pair: "{PAIR}"}}]
rows:
  - {{label: "@teacher", role: teacher}}
  - {{label: "-student", method: student}}
  - {{label: "+kd", method: kd}}
"""
NAME = "=50%_{x}#&~^|*"
FORMULA = ("=", "+", "-", "@")


@pytest.fixture(autouse=True)
def _plugins(monkeypatch, tmp_path):
    """None but those of a test, and nothing remembered of those of others."""
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setenv(plugins.CACHE_VARIABLE, str(tmp_path))
    catalog.invalidate_caches()
    yield
    catalog.invalidate_caches()


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A table and a method, each in a file of its own, that are nothing but nasty; the table's path."""
    (tmp_path / "mine.py").write_text(METHOD)
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "mine.py"))
    path = tmp_path / f"{NAME}.yaml"
    path.write_text(TABLE)
    return str(path)


@pytest.fixture
def records(own, session_of):
    """Records of the table and of a pair of the leaderboard: students done, KD failed, one's own not applicable."""
    facts = {"device": NASTY, "processor": NASTY, "threads": 1, "data": {"name": NASTY}, "revision": NASTY}
    status = {"kd": "failed", "mine": "not_applicable"}
    session = session_of()
    methods = ["kd", "mine"]
    chosen = [reader.load(own).extended(methods), leaderboard.load().select(methods, [PAIR])]
    plan = session.plan(chosen, (0, 1, 2))
    for job in plan.jobs:
        state = status.get(job.title, "done")
        broken = {} if state == "done" else {"failure": {"reason": NASTY}}
        made = raw_record(job, state, provenance=facts | {"device": f"{NASTY} {job.seed}"}, **broken)
        path = session.store.record_path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(made))


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def files(tmp_path):
    """What has been written, by suffix."""

    def found(suffix):
        return [path.read_bytes().decode() for path in (tmp_path / "results").rglob(f"*{suffix}")]

    return found


OWN_TABLE = ("--table", f"{NAME}.yaml", "--methods", "kd,mine")


@pytest.mark.parametrize(
    "words",
    [
        ("list", "methods"),
        (*OWN_TABLE, "--render"),
        ("status", *OWN_TABLE),
        (*OWN_TABLE, "--plan", "--verbose"),
        ("why", f"{NAME}/{PAIR}/kd", "--table", f"{NAME}.yaml"),
        ("why", f"{NAME}/{PAIR}/mine", "--table", f"{NAME}.yaml"),
        ("leaderboard", "--methods", "kd,mine", "--pairs", PAIR, "--render"),
    ],
)
@pytest.mark.usefixtures("records")
def test_nothing_acts_on_the_terminal(words, command):
    done = command(*words)
    assert (done.status, done.err) == (0, "")
    assert hidden(done.out) == []
    if "status" not in words and "--plan" not in words:
        assert r"\x1b[31m" in re.sub(r"\n *", "", done.out)


@pytest.mark.parametrize("words", [OWN_TABLE, ("leaderboard", "--methods", "kd,mine", "--pairs", PAIR)])
@pytest.mark.usefixtures("records")
def test_nothing_acts_in_files(words, command, files):
    assert command(*words, "--render").status == 0
    written = {suffix: files(suffix) for suffix in (".md", ".tex", ".csv", ".html")}
    for text in [text for texts in written.values() for text in texts]:
        assert hidden(text) == []
    for text in written[".csv"]:
        rows = list(csv.reader(io.StringIO(text)))
        assert len({len(row) for row in rows}) == 1
        texts = [cell for row in rows for cell in row if not _is_number(cell)]
        assert [cell for cell in texts if cell.startswith(FORMULA)] == []
    for text in written[".tex"]:
        assert set(re.findall(r"\\label\{(.*)\}", text)) == {"tab:-50-_-x-"}
        assert not re.search(r"(?<!\\)[#_^~|<>`\"]", text.replace("\\label{tab:-50-_-x-}", "").split("\n", 1)[1])
    for text in written[".html"]:
        data = re.findall(r"<script[^>]*>(.*?)</script>", text, flags=re.DOTALL)
        assert len(data) == 2
        assert hidden(json.dumps(json.loads(data[0]), ensure_ascii=False)) == []
    assert written[".html"] or written[".tex"]


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "words",
    [
        ("--table", NASTY),
        ("--table", "6", "--methods", NASTY),
        ("--table", "6", "--pairs", NASTY),
        ("--table", "6", "--preset", NASTY),
        ("--table", "6", "--set", f"dataset={NASTY}"),
        ("--table", "6", "--teacher", f"vgg13={NASTY}"),
        ("--table", "6", "--plugin", f"{NASTY}.py"),
        ("--table", "6", "--seeds", NASTY),
        ("--table", "6", NASTY),
        (NASTY,),
        ("why", NASTY),
        ("export", f"table06/{PAIR}/{NASTY}"),
        ("new-method", NASTY),
    ],
)
def test_an_error_is_one_line_on_which_nothing_acts(words, command):
    done = command(*words)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert done.err.startswith("error: ")
    assert hidden(done.out + done.err) == []


def test_warnings_are_lines_on_which_nothing_acts(own, command, session_of):
    [job] = [job for job in session_of().plan([reader.load(own)], (0,)).jobs if job.title == "kd"]
    path = session_of().store.record_path(job)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(raw_record(job) | {"status": NASTY}))
    done = command("--table", f"{NAME}.yaml", "--render")
    assert done.err.startswith("warning: record ")
    assert (done.err.count("\n"), hidden(done.err)) == (1, [])


@pytest.mark.parametrize("name", ["a\x1bb", "a\nb", "a\u202eb", "a\udcffb"])
def test_a_table_that_cannot_be_called_by_its_name_is_refused(name, command, tmp_path):
    (tmp_path / f"{name}.yaml").write_text(TABLE)
    done = command("--table", f"{name}.yaml", "--render")
    assert done.status == 2
    assert "rename the file, whose name has characters that cannot be shown" in done.err
    assert (done.err.count("\n"), hidden(done.err)) == (1, [])


def test_a_variant_writes_nothing_outside_the_results(command, tmp_path):
    name = "'../../../../escaped'"
    variants = f"    variants = {{{name}: {{'power': 3.0}}}}\n    def __init__"
    (tmp_path / "mine.py").write_text(METHOD.replace("    def __init__", variants, 1))
    done = command("--table", "6", "--plugin", str(tmp_path / "mine.py"), "--render")
    assert done.status == 2
    assert f"mine.py: variant {name}: a variant's name is made of letters, digits" in done.err
    assert (done.err.count("\n"), hidden(done.err)) == (1, [])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
