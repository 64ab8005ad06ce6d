import math

import pytest
import yaml

from benchmark.claims import reader
from benchmark.errors import UserError

CHECK = {"form": "best", "tables": [6], "pairs": ["wrn-40-4:wrn-16-2"], "methods": ["srrl"]}
CLAIM = {"name": "one", "says": "So it is", "quote": "so  it\nis", "where": "Section 1", "checks": [CHECK]}


@pytest.fixture
def read(tmp_path):
    """Reads claims made of these, with changes of the first one and of its only check."""

    def make(*, check=None, without=(), **changes):
        checks = [{key: value for key, value in (CHECK | (check or {})).items() if key not in without}]
        claim = {key: value for key, value in (CLAIM | {"checks": checks} | changes).items() if key not in without}
        path = tmp_path / "claims.yaml"
        path.write_text(yaml.safe_dump({"claims": [claim]}))
        return reader.load(path)

    return make


@pytest.fixture
def compared(read):
    """What a check comes to: who over whom, and where."""
    return lambda **check: [comparison.text for comparison in read(check=check).claims[0].comparisons]


def test_the_papers_claims():
    every = reader.load()
    assert len(every.claims) >= 25
    assert {table.name for table in every.tables} == {f"table{number:02d}" for number in range(1, 13)}
    assert all(claim.quote and claim.where and claim.comparisons for claim in every.claims)
    cells = {name for claim in every.claims for comparison in claim.comparisons for name in comparison.cells}
    assert cells <= every.printed.keys()


def test_best_is_above_all_other_students_everywhere(compared):
    others = ("student", "kd", "at", "ofd", "rkd", "crd")
    assert compared() == [f"srrl over {other}, table06/wrn-40-4:wrn-16-2/top1" for other in others]
    assert len(compared(pairs=["*"])) == 9 * 6
    assert len(compared(methods=["srrl", "crd"])) == 2 * 5
    assert len(compared(tables=[5, 6], pairs=["*"], than=["kd"])) == 6 + 9


def test_second_is_behind_one_and_above_the_others(read):
    [claim] = read(check={"form": "second", "method": "crd", "behind": "srrl"}, without=["methods"]).claims
    sides = [comparison.text.split(",")[0] for comparison in claim.comparisons]
    assert sides == ["srrl over crd", *(f"crd over {other}" for other in ("student", "kd", "at", "ofd", "rkd"))]
    # The sentence speaks of the second alone, so all of this is one cell.
    assert len({comparison.subject for comparison in claim.comparisons}) == 1


def test_above_is_a_mean_over_pairs_of_each_metric(read):
    check = {"form": "above", "tables": [7], "pairs": ["*"], "metrics": ["top1", "top5"], "than": ["kd", "at"]}
    [claim] = read(check=check).claims
    assert [len(comparison.cells) for comparison in claim.comparisons] == [4] * 4
    assert {comparison.bounds for comparison in claim.comparisons} == {(0.0, math.inf)}
    [claim] = read(check=check | {"about": 1, "within": 0.25}).claims
    assert claim.comparisons[0].bounds == (0.75, 1.25)


def test_larger_compares_leads(read):
    check = {"form": "larger", "pairs": ["*"], "than": ["student"], "compared": {"tables": [5]}}
    [comparison] = read(check=check).claims[0].comparisons
    assert len(comparison.cells) == 2 * 9 + 2 * 6


def test_the_same_comparison_twice_is_one(read):
    assert len(read(checks=[CHECK, CHECK]).claims[0].comparisons) == 6


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"without": ["form"]}, r"claims\[0\].checks\[0\]: it lacks 'form'"),
        ({"check": {"behind": "kd"}}, "unknown key 'behind': known are methods, metrics, pairs, probes, tables, than"),
        ({"check": {"methods": ["srll"]}}, r"checks\[0\]: unknown method in table06/.* 'srll': did you mean 'srrl'"),
        ({"check": {"than": ["fitnet"]}}, "unknown method in table06/.* 'fitnet'"),
        ({"check": {"tables": [13]}}, "unknown table '13'"),
        ({"check": {"methods": ["student", "kd", "at", "ofd", "rkd", "crd", "srrl"]}}, "no other method is left"),
        ({"check": {"tables": [3], "pairs": ["*"], "metrics": ["nmi_predicted"]}}, "the paper does not print table03/"),
        ({"check": {"pairs": ["wrn:wrn"]}}, "no pair matches 'wrn:wrn': there are wrn-40-4:wrn-16-2"),
        ({"check": {"metrics": ["top5"]}}, "no metric matches 'top5': there are top1"),
        ({"check": {"probes": ["PROBE-STL10"]}}, "no probe matches 'PROBE-STL10'"),
        ({"check": {"form": "above", "about": 1}}, r"checks\[0\]: 'about' and 'within' go together"),
        ({"check": {"form": "above", "about": 1, "within": 1}}, "'within' must be less than 'about'"),
        ({"check": {"form": "larger", "than": ["fsp"], "compared": {"tables": [11]}}}, "unknown method in .*'fsp'"),
    ],
)
def test_a_mistake_is_named(changes, says, read):
    with pytest.raises(UserError, match=says) as caught:
        read(**changes)
    assert "\n" not in str(caught.value)


def test_names_are_used_once(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"claims": [CLAIM, CLAIM]}))
    with pytest.raises(UserError, match=r"claims\[1\]: two claims are called 'one'"):
        reader.load(path)
