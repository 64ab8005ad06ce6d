import sys

import pytest

from benchmark.text import visible, visible_in, visible_line
from tests.benchmark.hostile import ESCAPES, hidden

EVERY = "".join(map(chr, range(sys.maxunicode + 1)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\tb\r\x00", r"a\tb\r\x00"),
        ("\x7f\x85\x9b1A", r"\x7f\x85\x9b1A"),
        ("\u202egnp.exe\u2069", r"\u202egnp.exe\u2069"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("\ud800\udcff", r"\ud800\udcff"),
        ("two\nlines", "two\nlines"),
        ("Größe ± 0.5 → 漢字 שלום \\x1b", "Größe ± 0.5 → 漢字 שלום \\x1b"),
    ],
)
def test_what_acts_is_spelled_out_and_all_else_stays(text, shown):
    assert visible(text) == shown
    assert visible_line(text) == shown.replace("\n", r"\n")


def test_of_all_characters_none_that_acts_is_left_and_none_that_is_seen_is_lost():
    shown = visible(EVERY)
    shown.encode()
    assert {*EVERY} - {*shown} == {*hidden(EVERY)}


def test_nested_values_keep_their_form():
    value = {"a": [ESCAPES, 1, None, True], "b": {"c": (1.5, "x\x1b")}, "d": "plain"}
    found = visible_in(value)
    assert hidden(str(found)) == []
    assert found == {"a": [visible(ESCAPES), 1, None, True], "b": {"c": [1.5, r"x\x1b"]}, "d": "plain"}
