"""One row for each method and pair: mean over seeds, gains on paired seeds, and marks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from benchmark.report.leaderboard.statistics.marks import worse_than_best
from benchmark.report.leaderboard.statistics.scores import BASELINES, Array, Counts, Flags, Scores, moments, ranks


def by_pair(scores: pd.DataFrame, *, higher: bool, teachers: Mapping[str, float], decimals: int = 2) -> pd.DataFrame:
    """The statistics of each pair by itself.

    Args:
        scores: columns ``method, pair, seed, value``, one row a finished run of a student.
        higher: whether more is better.
        teachers: the teacher's value by pair; pairs may be missing.
        decimals: decimals of means as printed.

    Returns:
        One row for each method and pair with runs, ordered by both: ``method, pair``, ``mean, sd`` (sample, NaN for one
        run), ``n``; ``gain_student, gain_student_sd, gain_student_n`` and the same for ``kd``: the differences on the
        seeds that both have, positive where better, NaN without such seeds; ``gap_closed``, the gain divided by the
        teacher's lead over the student, NaN where it does not lead; ``rank`` among all methods with the pair (1 is
        best, ties averaged); ``best``, all methods with the best mean as printed, where there are several methods;
        ``near``, the others that are not significantly worse than the best.
    """
    runs = Scores.of(scores, higher=higher)
    gains = {end: moments(runs.gains(baseline)) for end, baseline in BASELINES.items()}
    columns: dict[str, Array | Counts | Flags] = {
        "mean": runs.sign * runs.moments.mean,
        "sd": runs.moments.sd,
        "n": runs.moments.n,
    }
    for end, gain in gains.items():
        columns |= {f"gain_{end}": gain.mean, f"gain_{end}_sd": gain.sd, f"gain_{end}_n": gain.n}
    best = _best(runs, decimals)
    columns["gap_closed"] = gains["student"].mean / runs.gaps(teachers)
    columns["rank"] = ranks(runs.moments.mean)
    columns["best"] = best
    columns["near"] = best.any(axis=0) & ~best & ~worse_than_best(runs.moments)
    index = pd.MultiIndex.from_product([runs.methods, runs.pairs], names=["method", "pair"])
    frame = pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=index)
    return frame[runs.present.ravel()].reset_index()


def _best(scores: Scores, decimals: int) -> Flags:
    shown = np.where(scores.present, scores.shown(decimals), -np.inf)
    best: Flags = scores.present & (shown == shown.max(axis=0, initial=-np.inf))
    best &= scores.present.sum(axis=0) > 1
    return best
