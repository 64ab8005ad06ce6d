import pytest

from benchmark.errors import UserError, unknown


@pytest.mark.parametrize(
    ("name", "hint"),
    [("srll", "did you mean 'srrl'? "), ("KD", "did you mean 'kd'? "), ("c100", "did you mean 'C100'? "), ("zzz", "")],
)
def test_unknown_names_the_nearest_and_all_there_are(name, hint):
    error = unknown("method", name, ["srrl", "kd", "C100"])
    assert isinstance(error, UserError)
    assert str(error) == f"unknown method '{name}': {hint}known are C100, kd, srrl"
