"""Regenerates the tables of a knowledge-distillation paper from runs that it trains itself.

For a notebook, ``benchmark.records("digits")`` is all that has been measured, as one DataFrame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def records(profile: str, results: Path | str | None = None) -> pd.DataFrame:
    """All records of a profile, one row each, as `benchmark.lineage.dataframe.read` describes it.

    Args:
        profile: name of the profile, or of the folder that ``--set`` made beside it, such as ``digits+1c4e79d2``.
        results: the folder of all results; None for the project's own.

    Raises:
        UserError: there is no such folder.
    """
    # Pandas takes a while to import, and who plans a table needs none of it.
    from benchmark.lineage.dataframe import read

    return read(profile, results)
