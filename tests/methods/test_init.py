"""Methods are found by their files' names."""

import pytest

import methods


def test_every_name_loads_one_method_and_helpers_are_none():
    losses = {"kd", "at", "ofd", "rkd", "crd", "srrl", "fitnet", "sp", "cc", "vid", "pkt", "nst", "ab", "ft", "fsp"}
    assert losses <= set(methods.names())
    assert not {"base", "alignment", "connector", "regressor"} & set(methods.names())
    for name in methods.names():
        found = methods.load(name)
        assert issubclass(found, methods.Method)
        assert found.__module__ == f"methods.{name}"


@pytest.mark.parametrize("name", ["nothing", "alignment", "base", "kd.KD"])
def test_unknown_names_are_errors_that_list_the_known(name):
    with pytest.raises(ValueError, match=r"known are ab, at, .*kd"):
        methods.load(name)
