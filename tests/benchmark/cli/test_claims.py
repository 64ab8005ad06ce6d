import pytest

from benchmark.claims import reader
from benchmark.execution.local import LocalExecutor
from benchmark.runs.metrics import metric
from tests.benchmark.made_up import parts


@pytest.fixture
def page(tmp_path):
    return tmp_path / "results" / "digits" / "claims.md"


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


def test_prints_and_writes_a_page_and_trains_nothing(command, session_of, page, monkeypatch):
    monkeypatch.setattr(LocalExecutor, "run", lambda *_: pytest.fail("it trains"))
    finish(session_of(), "9", (0, 1, 2))
    shown = command("claims")
    assert shown.status == 0
    assert shown.out.startswith("profile digits")
    assert shown.out.endswith(f"written: {page}\n")
    assert "By our runs (profile digits): 4 reproduced, 31 not enough runs." in shown.words
    [row] = [line for line in page.read_text(encoding="utf-8").splitlines() if "L2 is the best of the three" in line]
    assert "| **reproduced** | yes | 6 hold; least: " in row


def test_machines_that_differ_are_told(command, session_of, page):
    told = "runs that are compared were made on different machines"
    for elsewhere, count in (((), 0), (("srrl",), 1)):
        finish(session_of(), "9", (0, 1, 2), elsewhere)
        assert command("claims").words.count(told) == count
        assert page.read_text(encoding="utf-8").count(told) == count


def test_the_page_does_not_depend_on_the_seeds_that_are_asked_for(command, session_of, page):
    finish(session_of(), "9", (0, 1, 2))
    command("claims")
    whole = page.read_bytes()
    command("claims", "--seeds", "1")
    assert page.read_bytes() == whole
    assert command("claims", "--seeds", "5", "--check").status == 0


def test_check_tells_a_page_that_does_not_follow(command, session_of):
    shown = command("claims", "--check")
    assert (shown.status, "claims.md: missing" in shown.out) == (1, True)
    command("claims")
    shown = command("claims", "--check")
    assert (shown.status, shown.out.splitlines()[1:]) == (0, ["what the records say: claims.md"])
    finish(session_of(), "9", (0, 1, 2))
    assert command("claims", "--check").status == 1
