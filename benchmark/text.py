"""Make text safe to print: control characters, and characters that reorder a line, are escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Control characters except newline; line and paragraph separators; bidirectional embeddings, overrides and isolates;
# surrogates, which UTF-8 cannot encode.
_HIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""The text with hidden characters escaped, like ``\x1b`` and ``\u202e``; newlines stay."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible_line(text: str) -> str:
    r"""As `visible`, with newlines escaped too (``\n``)."""
    return visible(text).replace("\n", r"\n")


def visible_in(value: Any) -> Any:
    """Apply `visible` to all texts in nested plain values, except keys."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {key: visible_in(item) for key, item in value.items()}
    return [visible_in(item) for item in value] if isinstance(value, list | tuple) else value
