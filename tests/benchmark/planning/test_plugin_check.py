from dataclasses import replace

import pytest

from benchmark.config.teachers import TeacherChoice
from benchmark.errors import UserError
from benchmark.planning import check_process, plugin_check
from benchmark.planning.check_process import Report
from benchmark.planning.cohorts import Cohort
from benchmark.planning.plan import CACHED, MISSING, Plan
from benchmark.registry import catalog, plugins
from benchmark.runs.names import parse_method

METHOD = """
from methods import Method

class Mine(Method):
    title = "Mine"
    citation = "unpublished"
    def __init__(self, pair, *, power: float = {power}): ...
"""


@pytest.fixture
def runs(monkeypatch, tmp_path, resolver):
    """``runs("plugged", "kd", power=3)`` are runs with those methods on two pairs."""

    def make(*names, power=2.0):
        path = tmp_path / "plugged.py"
        path.write_text(METHOD.format(power=power), encoding="utf-8")
        monkeypatch.setenv(plugins.VARIABLE, str(path))
        catalog.invalidate_caches()
        return [
            resolver().run("C100", "wrn-16-2", parse_method(name), TeacherChoice("C100", teacher), 0)
            for name in names
            for teacher in ("wrn-40-4", "wrn-16-10")
        ]

    yield make
    catalog.invalidate_caches()


@pytest.fixture
def plan():
    def make(due, done=()):
        jobs = (*due, *done)
        states = {job.id: CACHED if job in done else MISSING for job in jobs}
        return Plan((), jobs, {}, {}, states, (Cohort(tuple(due)),), (), ())

    return make


@pytest.fixture
def asked(monkeypatch):
    """The titles of every process's questions; it gives ``asked.fault`` as the fault of each."""

    class Asked(list):
        fault = ""

    calls = Asked()

    def ask(_, questions):
        calls.append([question.title for question in questions.values()])
        faults = {key: calls.fault and f"{question.title}: {calls.fault}" for key, question in questions.items()}
        return {key: Report(fault, ("a remark",)) for key, fault in faults.items()}

    monkeypatch.setattr(check_process, "ask", ask)
    return calls


@pytest.fixture
def check(plan, tmp_path):
    def make(*jobs, done=()):
        said = []
        plugin_check.check(plan(jobs, done), tmp_path / "checkpoints", said.append)
        return said

    return make


def test_only_what_is_ones_own_is_checked(runs, check, asked):
    assert check(*runs("kd", "srrl")) == []
    assert check(*runs("plugged", "kd+plugged")) == ["checking method 'plugged', once", "a remark"]
    assert asked == [["method 'plugged'"]]


def test_what_passed_is_not_checked_again_until_its_code_changes(runs, check, asked):
    for power, count in ((2.0, 1), ("(2.0)", 1), (3.0, 2), (2.0, 2)):
        check(*runs("plugged", power=power))
        assert len(asked) == count


def test_every_set_of_options_is_checked(runs, check, asked):
    check(*runs("plugged", "plugged[power=1]"))
    check(*runs("plugged[power=1]", "plugged[power=4]"))
    assert asked == [["method 'plugged'", "method 'plugged[power=1]'"], ["method 'plugged[power=4]'"]]


def test_what_there_are_results_of_has_passed(runs, check, asked):
    first, second = runs("plugged")
    check(first, done=(second,))
    assert asked == []
    check(first, *runs("plugged[power=1]"), done=(second,))
    assert asked == [["method 'plugged[power=1]'"]]


def test_all_planned_pairs_are_offered_once(runs):
    jobs = runs("plugged")
    (found,) = plugin_check.subjects([*jobs, *(replace(job, seed=1) for job in jobs)])
    assert [job.pair for job in found.jobs] == ["wrn-40-4:wrn-16-2", "wrn-16-10:wrn-16-2"]


def test_every_fault_is_a_line(runs, check, asked):
    asked.fault = "no"
    with pytest.raises(UserError, match=r"^method 'plugged': no\nerror: method 'plugged\[power=1\]': no$"):
        check(*runs("plugged", "plugged[power=1]"))


def test_networks_of_the_plan_are_checked_at_their_sizes(runs, monkeypatch, tmp_path):
    job = runs("kd")[0]
    own = replace(catalog.networks()["wrn-16-2"], code="ab", path=tmp_path / "net.py")
    known = {**catalog.networks(), "wrn-16-2": own}
    monkeypatch.setattr(catalog, "networks", lambda: known)
    other = replace(job, recipe=replace(job.recipe, in_size=16))
    found = plugin_check.subjects([job, replace(job, seed=1), other])
    assert [(subject.title, subject.term) for subject in found] == [("network 'wrn-16-2'", None)] * 2
    assert found[0].key != found[1].key
