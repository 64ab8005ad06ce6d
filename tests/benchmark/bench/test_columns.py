"""Columns and variants."""

import pytest

from benchmark.bench.columns import COHORT, COLUMNS, column, variants
from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.errors import UserError


@pytest.fixture
def resolver():
    return ConfigResolver(load_profile("paper"), {})


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_has_all_methods_of_its_table_and_one_teacher(name, resolver):
    found = column(name, None, resolver, seed=1)
    assert len(found.runs) == (14 if name.startswith("11/") else 6)
    assert len({run.teacher for run in found.runs}) == 1
    assert {run.seed for run in (*found.runs, found.reference)} == {1}
    assert found.reference.objective.terms == ()
    assert found.reference.recipe == found.runs[0].recipe
    assert name.endswith(f"{found.runs[0].teacher.network}:{found.reference.network}")


def test_methods_can_be_chosen(resolver):
    assert [run.title for run in column(COLUMNS[0], ["crd", "kd"], resolver, 0).runs] == ["kd", "crd"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrn", "write TABLE/TEACHER:STUDENT"),
        ("11/a:b", "no pair of this table"),
        ("11/*:resnet20", "name one of them"),
    ],
)
def test_what_is_no_column_is_said(name, message, resolver):
    with pytest.raises(UserError, match=message):
        column(name, None, resolver, 0)


def test_a_method_that_cannot_be_applied_is_left_out(resolver):
    assert "fsp" not in {run.title for run in column("11/wrn-40-2:wrn-40-1", None, resolver, 0).runs}


@pytest.mark.parametrize("cores", [1, 2, 6, 64])
def test_cohorts_never_use_more_cores_than_there_are(cores):
    found = variants("cpu", cores)
    assert found[0].name == COHORT
    assert all(variant.processes * variant.threads <= cores for variant in found)
    assert len({(v.precision, v.processes, v.threads) for v in found}) == len(found)


def test_on_a_gpu_one_process_trains_whatever_the_precision():
    found = variants("cuda", 16)
    assert {variant.processes for variant in found} == {1}
    assert {variant.precision for variant in found} == {"bf16", "tf32", "fp32"}
    assert [variant.name for variant in found if not variant.cuda_graphs] == ["cohort-launched"]
