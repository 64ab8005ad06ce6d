import pytest

from benchmark.arguments import parser, split


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", (0, 1, 2)), ("0,2", (0, 2)), ("1", (0,)), ("2,2,5", (2, 5)), ("2,", (2,))]
)
def test_seeds(text, seeds):
    assert parser().parse_args(["--seeds", text]).seeds == seeds


def test_commas_inside_brackets_do_not_split():
    assert split("kd, srrl[fm=0,sr=1] ,at") == ["kd", "srrl[fm=0,sr=1]", "at"]
    assert split(None) is None


def test_what_may_be_given_several_times_is_kept_in_order():
    options = parser().parse_args(["--teacher", "a=1", "--set", "x=1", "--teacher", "b=2", "--set", "y=2"])
    assert (options.teacher, options.set) == (["a=1", "b=2"], ["x=1", "y=2"])
    assert (parser().parse_args([]).teacher, parser().parse_args([]).set) == ([], [])
