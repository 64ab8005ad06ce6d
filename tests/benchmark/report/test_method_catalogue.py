"""The page of methods."""

import re
from dataclasses import replace

import pytest

from benchmark.cli.arguments import DEFAULT_SEEDS
from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.planning.planner import make_plan
from benchmark.registry.method_text import read_text
from benchmark.report import Context
from benchmark.report.leaderboard.data import LeaderboardData
from benchmark.report.method_catalogue import cost_text, render, settled_methods
from benchmark.runs.store import Store
from benchmark.tables import leaderboard
from benchmark.tables.published import by_method, load
from tests.benchmark.report.leaderboard.made_up import done


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """``digits(pairs)``: KD, CRLD and NST over so many pairs; NST has no record."""
    store = Store(tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("checkpoints"))

    def build(pairs):
        table = leaderboard.load().select(["kd", "crld", "nst"], leaderboard.load().pairs[:pairs])
        plan = make_plan([table], ConfigResolver(load_profile("digits"), {}), DEFAULT_SEEDS, store)
        jobs = [(cell, job) for cell in table.cells if cell.method != "nst" for job in plan.cells[cell.key]]
        records = {job.id: done(job, 70.0, cost=cost(cell.method)) for cell, job in jobs}
        return LeaderboardData(table, replace(plan, records=records), Context("digits", "", (), DEFAULT_SEEDS))

    return build


def cost(method):
    seconds = {"kd": 3.0, "crld": 5.0}.get(method, 2.0)
    return {"step_seconds": seconds, "extra_parameters": 1234, "passes": 1 + (method == "crld")}


@pytest.fixture(scope="module")
def entries(digits):
    """The entries of the page, by the method's name."""
    parts = re.split(r"^## ", render(digits(5)), flags=re.MULTILINE)[1:]
    return {re.search(r"`(\w+)`\)", part.partition("\n")[0])[1]: part for part in parts[:-1]} | {"sums": parts[-1]}


@pytest.mark.parametrize("info", settled_methods(), ids=lambda info: info.name)
def test_every_method_has_an_entry_with_all_that_it_states(info, entries):
    text = read_text(info)
    assert text.idea.endswith(".")
    assert text.options.keys() >= info.options.keys(), "an option has no text in the class's docstring"
    entry = entries[info.name]
    for part in ("loss", "needs", "cost", "source"):
        assert f"* **{part}**: " in entry
    assert info.formula in entry
    assert entry.count("\n| `") == len(info.options)
    for name in info.variants:
        assert f"`{info.name}[{name}]` is `" in entry
    assert ("* **published with**" in entry) == bool(info.published_recipe)


def test_needs_are_in_words(entries):
    def needs(name):
        return re.search(r"\*\*needs\*\*: (.*)", entries[name])[1]

    assert needs("kd") == "a trained teacher"
    assert needs("crld") == "a trained teacher; a second, strongly augmented view of each image"
    assert needs("label_smoothing") == "no teacher"
    assert needs("tfkd") == "a plain run of the student's network as its teacher"
    assert needs("fsp").endswith("maps of both networks; a first stage that pretrains the student's trunk")
    assert "`epochs=480" in entries["mlkd"]


def test_costs_are_measured_on_digits_or_said_to_be_missing(digits):
    five = digits(5)
    assert cost_text(five, "kd") == (
        "1.50 × the plain student's step time, 1,234 extra parameters, 1 forward pass of the student "
        "(profile digits, 5 pairs)"
    )
    assert "2.50 × " in cost_text(five, "crld")
    assert "2 forward passes" in cost_text(five, "crld")
    assert cost_text(five, "nst") == "not measured on profile digits"
    assert cost_text(digits(1), "kd").startswith("1,234 extra parameters")
    assert cost_text(digits(1), "kd").endswith("(profile digits, 1 pair)")


def test_every_published_number_of_a_known_method_is_there_once(entries):
    listed = "".join(entries.values())
    known = [number for group in by_method(load()).values() for number in group]
    cells = [line for line in listed.splitlines() if re.match(r"\| (cifar|imagenet|tiny)", line)]
    assert sum(len(re.findall(r"\d\d\.\d\d(?: ± \d\.\d\d)? (?:last|best|unknown)", cell)) for cell in cells) == len(
        known
    )
    assert "74.50 last, 74.69 best ⚠ (LSKD log kd,vgg13,vgg8,3,9, 2024)" in entries["kd"]
    assert "<code>crd+wttm</code>" in entries["sums"]
    assert "<code>student</code>" in entries["student"]


def test_a_table_s_lines_have_as_many_cells_as_its_head(entries):
    for line in "".join(entries.values()).splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) == 4, line
