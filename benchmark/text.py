"""Text for people: control characters, and those that reorder a line, are spelled out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Control characters but the end of a line; separators of lines and paragraphs; embeddings, overrides and isolates of
# the direction of writing; surrogates, which UTF-8 cannot hold.
_HIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""The text with such characters as Python spells them, like ``\x1b`` and ``\u202e``; ends of lines stay."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible_line(text: str) -> str:
    r"""The same on one line: ends of lines are spelled out, too (``\n``)."""
    return visible(text).replace("\n", r"\n")


def visible_in(value: Any) -> Any:
    """Nested plain values, every text among them visible; keys are names, and stay."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {key: visible_in(item) for key, item in value.items()}
    return [visible_in(item) for item in value] if isinstance(value, list | tuple) else value
