"""Tables as CSV: one line for each cell, including hidden columns, with four decimals.

Spreadsheets run texts that look like formulas. Therefore an apostrophe precedes texts that begin with ``=``, ``+``,
``-`` or ``@``, also after spaces. Control characters, such as tabs, are spelled out. Numbers are written as they are.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmark.text import visible_line

COLUMNS = ("table", "row", "column", "metric", "mean", "std", "n", "paper", "difference", "state")
_DECIMALS = 4
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The beginnings of formulas; full-width signs count in East Asian settings."""


def render(frame: pd.DataFrame) -> str:
    """The cells of a table in long form.

    Args:
        frame: see `aggregate`.
    """
    # Adding zero turns -0.0, which rounding can give, into 0.0.
    numbers = frame[["mean", "std", "paper", "difference"]].round(_DECIMALS) + 0.0
    return written(frame.assign(**numbers)[list(COLUMNS)])


def written(frame: pd.DataFrame) -> str:
    """A frame as CSV, with texts that no spreadsheet runs as formulas."""
    texts = (name for name in frame if not pd.api.types.is_numeric_dtype(frame[name]))
    plain = {str(name): pd.Series(map(_plain, frame[name]), frame.index, dtype=object) for name in texts}
    return str(frame.assign(**plain).to_csv(index=False, lineterminator="\n"))


def _plain(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = visible_line(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
