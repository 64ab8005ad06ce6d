import pytest

from benchmark.ids import canonical_json, digest, parse_value


def test_canonical_json_is_one_text_for_one_value():
    assert canonical_json({"b": 1.0, "a": (1, {"y": 2, "x": None})}) == '{"a":[1,{"x":null,"y":2}],"b":1}'
    assert digest({"a": 1, "b": 2.0}) == digest({"b": 2, "a": 1.0})
    assert len({digest(value) for value in [True, 1, "1", 1.5, None, [1]]}) == 6
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 0.001),
        ("[1,2]", [1, 2]),
        ("null", None),
        ("true", True),
        ("kl", "kl"),
        ("NaN", "NaN"),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), 2.0**63),
        ("1e30", 1e30),
        ("[" * 5000, "[" * 5000),
        ("", ""),
    ],
)
def test_values_are_json_where_they_can_be(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)
