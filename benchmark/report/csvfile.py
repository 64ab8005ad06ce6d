"""Tables as CSV: every cell of the long form, hidden columns too, full precision within reason.

Spreadsheets run texts that they take for formulas. So a text that begins with ``=``, ``+``, ``-`` or ``@``, after
spaces too, gets an apostrophe in front. Control characters, such as a tab or carriage return, are spelled out. Numbers
are written as they are, negative ones too.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmark.text import visible_line

COLUMNS = ("table", "row", "column", "metric", "mean", "std", "n", "paper", "difference", "state")
_DECIMALS = 4
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How formulas begin; the full-width signs in East Asian settings."""


def render(frame: pd.DataFrame) -> str:
    """The table's cells in long form.

    Args:
        frame: the cells, from `aggregate`.
    """
    # Adding zero turns the -0.0 that rounding leaves into 0.0.
    numbers = frame[["mean", "std", "paper", "difference"]].round(_DECIMALS) + 0.0
    return written(frame.assign(**numbers)[list(COLUMNS)])


def written(frame: pd.DataFrame) -> str:
    """A frame as CSV whose texts no spreadsheet takes for formulas."""
    texts = (name for name in frame if not pd.api.types.is_numeric_dtype(frame[name]))
    plain = {str(name): pd.Series(map(_plain, frame[name]), frame.index, dtype=object) for name in texts}
    return str(frame.assign(**plain).to_csv(index=False, lineterminator="\n"))


def _plain(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = visible_line(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
