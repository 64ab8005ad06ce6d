import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.claims import reader
from benchmark.cli import claims
from benchmark.cli.arguments import parser
from benchmark.cli.session import Session
from benchmark.execution.local import LocalExecutor
from benchmark.runs.metrics import metric
from tests.benchmark.made_up import parts

ROOT = Path(__file__).parents[3]


@pytest.fixture
def request_for(tmp_path):
    def make(*words):
        where = ["--results", str(tmp_path / "results"), "--checkpoints", str(tmp_path / "checkpoints")]
        return Session(parser().parse_args([*words, "--profile", "digits", *where]))

    return make


@pytest.fixture
def said(request_for):
    """Runs the command; gives the status and the lines that it says."""

    def run(*words):
        lines = []
        return claims.run(request_for(*words), lines.append), lines

    return run


def finish(session, number, seeds, elsewhere=()):
    """Records as if Table 9 had been trained, every number as printed, a little more with every seed.

    Those of some methods are from another machine.
    """
    [table] = [table for table in reader.load().tables if table.number == number]
    plan = session.plan([table], seeds)
    metrics = {}
    for cell in table.cells:
        for job in plan.cells[cell.key]:
            last = metrics.setdefault(job, {"last": {}})["last"]
            last[metric(cell.metric).key] = cell.paper + job.seed / 1000 + len(cell.method) / 10_000 * job.seed
    for job, found in metrics.items():
        facts = {"device": "cpu", "processor": "Q" if job.title in elsewhere else "P"}
        session.store.write(job, "done", facts, **parts(job.kind, metrics=found))


def test_prints_and_writes_a_page_and_trains_nothing(said, request_for, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(LocalExecutor, "run", lambda *_: pytest.fail("it trains"))
    finish(request_for(), "9", (0, 1, 2))
    status, lines = said()
    page = tmp_path / "results" / "digits" / "claims.md"
    assert status == 0
    assert lines[0].startswith("profile digits")
    assert lines[-1] == f"written: {page}"
    assert "By our runs (profile digits): 4 reproduced, 31 not enough runs." in " ".join(
        capsys.readouterr().out.split()
    )
    [row] = [line for line in page.read_text(encoding="utf-8").splitlines() if "L2 is the best of the three" in line]
    assert "| **reproduced** | yes | 6 hold; least: " in row


def test_machines_that_differ_are_told(said, request_for, tmp_path, capsys):
    page, told = tmp_path / "results" / "digits" / "claims.md", "runs that are compared were made on different machines"
    for elsewhere, count in (((), 0), (("srrl",), 1)):
        finish(request_for(), "9", (0, 1, 2), elsewhere)
        said()
        assert page.read_text(encoding="utf-8").count(told) == count
        assert " ".join(capsys.readouterr().out.split()).count(told) == count


def test_the_page_does_not_depend_on_the_seeds_that_are_asked_for(said, request_for, tmp_path, capsys):
    finish(request_for(), "9", (0, 1, 2))
    page = tmp_path / "results" / "digits" / "claims.md"
    said()
    whole = page.read_bytes()
    said("--seeds", "1")
    assert page.read_bytes() == whole
    assert said("--seeds", "5", "--check")[0] == 0
    capsys.readouterr()


def test_check_tells_a_page_that_does_not_follow(said, request_for, capsys):
    status, lines = said("--check")
    assert (status, len(lines)) == (1, 2)
    assert "claims.md: missing" in lines[1]
    said()
    status, lines = said("--check")
    assert (status, lines[1:]) == (0, ["what the records say: claims.md"])
    finish(request_for(), "9", (0, 1, 2))
    assert said("--check")[0] == 1
    assert not capsys.readouterr().err


def test_torch_stays_out(tmp_path):
    code = (
        "import sys; from benchmark.cli.arguments import parser; from benchmark.cli.session import Session;"
        "from benchmark.cli import claims;"
        f"claims.run(Session(parser().parse_args(['--profile', 'digits', '--results', {str(tmp_path)!r}])), print);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
