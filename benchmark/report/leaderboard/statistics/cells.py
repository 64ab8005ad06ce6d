"""One row a method and pair: mean over seeds, gains on paired seeds, and what can be told from the pair's best."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from benchmark.report.leaderboard.statistics.marks import worse_than_best
from benchmark.report.leaderboard.statistics.suite import BASELINES, Array, Counts, Flags, Suite, moments, ranks


def by_pair(scores: pd.DataFrame, *, higher: bool, teachers: Mapping[str, float], decimals: int = 2) -> pd.DataFrame:
    """What the runs say of each pair by itself.

    Args:
        scores: columns ``method, pair, seed, value``, one row a finished run of a student.
        higher: whether more is better.
        teachers: a teacher's value by pair; may lack some.
        decimals: of means as printed.

    Returns:
        One row a method and pair that has runs, ordered by both: ``method, pair``, ``mean, sd`` (sample, NaN for one
        run), ``n``; ``gain_student, gain_student_sd, gain_student_n`` and the same for ``kd``, over the differences on
        the seeds that both have, positive where better, NaN where there are none; ``gap_closed``, the gain by the
        teacher's lead over the student, NaN where it has none; ``rank`` among all methods that have the pair (1 is
        best, ties averaged); ``best``, all that share the best mean as printed, where there are several methods;
        ``near``, all others that cannot be told from the best.
    """
    suite = Suite.of(scores, higher=higher)
    gains = {end: moments(suite.gains(baseline)) for end, baseline in BASELINES.items()}
    columns: dict[str, Array | Counts | Flags] = {
        "mean": suite.sign * suite.moments.mean,
        "sd": suite.moments.sd,
        "n": suite.moments.n,
    }
    for end, gain in gains.items():
        columns |= {f"gain_{end}": gain.mean, f"gain_{end}_sd": gain.sd, f"gain_{end}_n": gain.n}
    best = _best(suite, decimals)
    columns["gap_closed"] = gains["student"].mean / suite.gaps(teachers)
    columns["rank"] = ranks(suite.moments.mean)
    columns["best"] = best
    columns["near"] = best.any(axis=0) & ~best & ~worse_than_best(suite.moments)
    index = pd.MultiIndex.from_product([suite.methods, suite.pairs], names=["method", "pair"])
    frame = pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=index)
    return frame[suite.present.ravel()].reset_index()


def _best(suite: Suite, decimals: int) -> Flags:
    shown = np.where(suite.present, suite.shown(decimals), -np.inf)
    best: Flags = suite.present & (shown == shown.max(axis=0, initial=-np.inf))
    best &= suite.present.sum(axis=0) > 1
    return best
