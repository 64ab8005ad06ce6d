import pickle

import pytest

from benchmark.errors import UserError, unknown


@pytest.mark.parametrize(
    ("name", "hint"),
    [("srll", "did you mean 'srrl'? "), ("KD", "did you mean 'kd'? "), ("c100", "did you mean 'C100'? "), ("zzz", "")],
)
def test_unknown_names_the_nearest_and_all_there_are(name, hint):
    error = unknown("method", name, ["srrl", "kd", "C100"])
    assert isinstance(error, UserError)
    assert str(error) == f"unknown method '{name}': {hint}known are C100, kd, srrl, or give its file with --plugin"


@pytest.mark.parametrize(
    ("what", "addable"),
    [
        ("method", True),
        ("data set", True),
        ("network", True),
        ("network in row 1 of table t.yaml", True),
        ("profile", False),
        ("method in claim 'one'", False),
        ("method on big:small in table06", False),
    ],
)
def test_what_a_file_could_add_may_be_in_a_file_that_was_not_given(what, addable):
    assert str(unknown(what, "x", ["y"])).endswith("known are y, or give its file with --plugin") is addable


def test_several_faults_are_a_line_each():
    error = pickle.loads(pickle.dumps(UserError("one", "two")))
    assert (error.args, str(error)) == (("one", "two"), "one\nerror: two")
    assert str(UserError("one")) == "one"


def test_numbers_are_listed_by_size():
    assert str(unknown("table", "0", ["10", "all", "2", "1"])).endswith("known are 1, 2, 10, all")


def test_where_none_is_known_that_is_said():
    assert str(unknown("recipe key", "x", [])) == "unknown recipe key 'x': there is none"
