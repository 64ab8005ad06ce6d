"""What people write into YAML files."""

import pytest

from benchmark import yaml_schema
from benchmark.errors import UserError


@pytest.mark.parametrize(
    "content", [b"a: [1", b"\xff", b"a: 2024-13-45", b"a: {[1]: 2}", b"a: " + b"[" * 3000, b"a: !!timestamp x"]
)
def test_what_cannot_be_read_is_one_line(content, tmp_path):
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"file.yaml: cannot be read") as caught:
        yaml_schema.load(path, path.name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["a: 1\na: 2", "a: {b: 1, 'b': 2}", "- {a: 1, b: 2, a: 1}"])
def test_a_key_that_is_there_twice_is_named_with_its_line(content, tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=r"the key '[ab]' is there twice .* line \d"):
        yaml_schema.load(path, "file.yaml")


def test_keys_that_differ_in_kind_are_two(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("1: a\n'1': b\nx: &base {c: 1}\ny: {<<: *base, d: 2}")
    assert yaml_schema.load(path, "file.yaml") == {1: "a", "1": "b", "x": {"c": 1}, "y": {"c": 1, "d": 2}}


def test_what_is_not_there_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="here: cannot be read"):
        yaml_schema.load(tmp_path / "gone.yaml", "here")


def test_what_is_of_the_wanted_kind_is_given_back():
    assert yaml_schema.mapping({"a": 1}, "here") == {"a": 1}
    assert yaml_schema.text(" a\n  b ", "key", "here") == "a b"
    assert yaml_schema.texts(["a  b", "c"], "key", "here") == ("a b", "c")
    assert yaml_schema.texts([], "key", "here", empty=True) == ()
    assert yaml_schema.items([1, "a"], "key", "here") == [1, "a"]
    assert yaml_schema.flag(value=False, key="key", where="here") is False
    assert (yaml_schema.number(1, "key", "here"), yaml_schema.number(0.5, "key", "here")) == (1, 0.5)


@pytest.mark.parametrize(
    ("read", "value", "says"),
    [
        (yaml_schema.text, 5, "here: 'key' must be a text, not 5"),
        (yaml_schema.text, None, "here: 'key' must be a text, not None"),
        (yaml_schema.texts, "abc", "here: 'key' must be a list of texts, not 'abc'"),
        (yaml_schema.texts, ["a", 1], "here: 'key' must be a list of texts, not ['a', 1]"),
        (yaml_schema.texts, [], "here: 'key' must be a list of texts, not []"),
        (yaml_schema.items, {}, "here: 'key' must be a list with something in it, not {}"),
        (yaml_schema.flag, 1, "here: 'key' must be true or false, not 1"),
        (yaml_schema.number, True, "here: 'key' must be a number, not True"),
        (yaml_schema.number, float("nan"), "here: 'key' must be a number, not nan"),
        (yaml_schema.number, "1", "here: 'key' must be a number, not '1'"),
    ],
)
def test_what_is_of_another_kind_is_named(read, value, says):
    with pytest.raises(UserError) as caught:
        read(value, "key", "here")
    assert str(caught.value) == says


def test_long_values_are_cut():
    with pytest.raises(UserError) as caught:
        yaml_schema.mapping(["word"] * 1000, "here")
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"one": 1, "too": 2}, "unknown key of here 'too': did you mean 'two'"),
        ({"one": 1, 7: 2}, "unknown key of here '7'"),
        ({"two": 2}, "here: it lacks 'one'"),
    ],
)
def test_keys_are_known_and_there(raw, says):
    yaml_schema.check_keys({"one": 1}, "here", ["one"], ["two"])
    with pytest.raises(UserError, match=says):
        yaml_schema.check_keys(raw, "here", ["one"], ["two"])
