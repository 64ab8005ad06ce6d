"""What the docstrings of a method's file say, and how options are typed."""

from itertools import chain

import pytest

from benchmark.ids import parse_value
from benchmark.registry import catalog
from benchmark.registry.method_text import options_text, read_text

FIRST = '''
"""First: one line.

More of the module.
"""

from methods import Method


class First(Method):
    """A sentence
    on two lines.

    A second paragraph.

    Options:
        power: first line
            and its rest. It has: a colon.
        other: "a" or
            "b".

    Raises:
        ValueError: no option.
    """

    title = "First"
    citation = "Nobody"

    def __init__(self, pair, *, power=1.0, other="a"): ...
'''
SECOND = '''
"""Second: derived."""

from typing import Any

from methods.first import First


class Second(First):
    """Another one.

    Options:
        power: in other words.
        third: of its own.
    """

    title = "Second"
'''


@pytest.fixture
def info_at():
    """``info_at(path)``: what is known of a method, in the place of another file's."""
    known = catalog.method("kd")
    return lambda path: type(known)(name=path.stem, title="T", citation="C", path=path)


def test_the_parts_of_a_docstring_are_told_apart(write, info_at):
    text = read_text(info_at(write("first.py", FIRST.lstrip())))
    assert text.idea == "First: one line."
    assert text.about == ("A sentence on two lines.", "A second paragraph.")
    assert text.options == {"power": "first line and its rest. It has: a colon.", "other": '"a" or "b".'}


def test_options_of_the_class_above_are_there_too(write, info_at):
    write("first.py", FIRST.lstrip())
    text = read_text(info_at(write("second.py", SECOND.lstrip())))
    assert text.about == ("Another one.",)
    assert text.options == {"power": "in other words.", "other": '"a" or "b".', "third": "of its own."}


def test_a_file_without_docstrings_says_nothing(write, info_at):
    assert read_text(info_at(write("mine.py"))) == ("", (), {})


def test_options_are_written_as_they_are_typed():
    assert options_text({"form": "kl", "temperature": 4.0, "cap": None, "last": [1, 2]}) == (
        "form=kl, temperature=4.0, cap=null, last=[1, 2]"
    )


@pytest.mark.parametrize("info", catalog.methods().values(), ids=lambda info: info.name)
def test_what_is_written_is_read_back(info):
    for options in chain([info.options], info.variants.values()):
        for key, value in options.items():
            assert parse_value(options_text({key: value}).partition("=")[2]) == value
