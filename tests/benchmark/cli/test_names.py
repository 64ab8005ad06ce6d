import re

import pytest

from benchmark.cli.names import begins_id, find_cells, split_seed
from benchmark.errors import UserError
from benchmark.tables import reader


@pytest.fixture(scope="module")
def some():
    return [reader.load("2"), reader.load("4"), reader.load("6")]


def names(found):
    return [cell.key for cell in found[1]]


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("table06/wrn-40-4:wrn-16-2/kd", ["table06/wrn-40-4:wrn-16-2/kd/top1"]),
        ("table06/wrn-40-4:wrn-16-2/student/params_M", ["table06/wrn-40-4:wrn-16-2/student/params_M"]),
        ("table06/wrn-40-4:wrn-16-2/teacher/top1", ["table06/wrn-40-4:wrn-16-2/teacher/top1"]),
        (
            "table02/wrn-40-4:wrn-16-4/kd",
            [
                f"table02/wrn-40-4:wrn-16-4/kd/{metric}"
                for metric in ("kl_div_with_teacher", "ce_with_label", "top1", "kl_div_with_student")
            ],
        ),
        (
            "table04/wrn-40-4:wrn-16-4/kd",
            [f"table04/wrn-40-4:wrn-16-4/kd/PROBE-{data}/top1" for data in ("STL10", "CIFAR100")],
        ),
        ("table04/wrn-40-4:wrn-16-4/kd/PROBE-STL10/top1", ["table04/wrn-40-4:wrn-16-4/kd/PROBE-STL10/top1"]),
    ],
)
def test_a_name_means_all_cells_that_agree(name, cells, some):
    found = names(find_cells(name, some))
    assert found == cells


def test_other_spellings_of_a_method(some):
    expected = ["table06/wrn-40-4:wrn-16-2/srrl[sr]/top1"]
    for spelling in ("srrl[sr]", "srrl[fm=0]"):
        assert names(find_cells(f"table06/wrn-40-4:wrn-16-2/{spelling}", some)) == expected


def test_a_method_that_the_table_lacks_is_added_to_it(some):
    table, cells = find_cells("table06/wrn-40-4:wrn-16-2/srrl+kd", some)
    assert [cell.key for cell in cells] == ["table06/wrn-40-4:wrn-16-2/kd+srrl/top1"]
    assert cells[0] in table.cells
    assert table.added == ("kd+srrl",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("table6/wrn-40-4:wrn-16-2/kd", "unknown table 'table6': did you mean 'table06'?"),
        ("table06/wrn-40-4:wrn-16-3/kd", "unknown pair of table06 'wrn-40-4:wrn-16-3': did you mean 'wrn-40-4:wrn-16-"),
        ("table06/wrn-40-4:wrn-16-2/kdd", "unknown method 'kdd': did you mean 'kd'?"),
        (
            "table06/wrn-40-4:wrn-16-2/kd/top5",
            "unknown metric of table06/wrn-40-4:wrn-16-2/kd 'top5': did you mean 'top1'?",
        ),
        (
            "table04/wrn-40-4:wrn-16-4/kd/PROBE-STL",
            "unknown metric of table04/wrn-40-4:wrn-16-4/kd 'PROBE-STL': did you mean 'PROBE-STL10'?",
        ),
        ("table06/wrn-40-4:wrn-16-2", "is no cell yet: write TABLE/TEACHER:STUDENT/METHOD, like table06/"),
    ],
)
def test_wrong_parts_are_answered_with_their_neighbours(name, message, some):
    with pytest.raises(UserError, match=re.escape(message)):
        find_cells(name, some)


def test_what_begins_an_id():
    assert [begins_id(name) for name in ("abc1", "0" * 64, "table06/a:b/kd")] == [True, True, False]
    for name, message in [
        ("table06", "'table06' is neither a cell, like table06/wrn-40-4:wrn-16-2/kd, nor the beginning of a run's id"),
        ("ABC123", "neither"),
        ("0" * 65, "neither"),
    ]:
        with pytest.raises(UserError, match=message):
            begins_id(name)


def test_seeds_are_split_off():
    assert split_seed("table06/a:b/kd/seed12") == ("table06/a:b/kd", 12)
    assert split_seed("table06/a:b/kd") == ("table06/a:b/kd", None)
    assert split_seed("table06/a:b/kd/seeds") == ("table06/a:b/kd/seeds", None)


@pytest.mark.parametrize(
    "pair", ["wrn-40-4>wrn-16-4[kd]:wrn-16-2", " wrn-40-4 > wrn-16-4[kd[temperature=4]] : wrn-16-2"]
)
def test_a_chain_that_the_table_lacks_is_added_to_it(pair, some):
    table, [cell] = find_cells(f"table06/{pair}/kd", some)
    assert cell.key == f"table06/{''.join(pair.split())}/kd/top1"
    assert cell in table.cells
    assert table.chains == (cell.pair,)


def test_a_misspelled_chain_is_answered_with_its_neighbours(some):
    for pair, says in [
        ("wrn-40-4>wrn16-4[kd]:wrn-16-2", "unknown network 'wrn16-4': did you mean 'wrn-16-4'?"),
        ("wrn-40-4>wrn-16-2:wrn-16-2", "say which method trains wrn-16-2, as in wrn-16-2[kd]"),
        ("wrn-40-4>wrn-16-2[kd]:vgg8", "cannot join table 6, whose students are wrn-16-2, "),
    ]:
        with pytest.raises(UserError, match=re.escape(says)):
            find_cells(f"table06/{pair}/kd", some)
