"""The long form as CSV: every cell of the table, hidden columns too, full precision within reason."""

from __future__ import annotations

import pandas as pd

COLUMNS = ("table", "row", "column", "metric", "mean", "std", "n", "paper", "difference", "state")
_DECIMALS = 4


def render(frame: pd.DataFrame) -> str:
    """The table's cells in long form.

    Args:
        frame: the cells, from `aggregate`.
    """
    # Adding zero turns the -0.0 that rounding leaves into 0.0.
    numbers = frame[["mean", "std", "paper", "difference"]].round(_DECIMALS) + 0.0
    return frame.assign(**numbers).to_csv(columns=list(COLUMNS), index=False, lineterminator="\n")
