"""One row for each method, on the pairs and seeds that all ranked methods have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from benchmark.report.leaderboard.statistics.bootstrap import intervals
from benchmark.report.leaderboard.statistics.scores import BASELINES, KD, Array, Counts, Flags, Scores, moments, ranks

_RESULTS: Mapping[str, int] = MappingProxyType({"wins": 1, "ties": 0, "losses": -1})
_SUFFIXES: Mapping[str, str] = MappingProxyType(
    {end: "" if method == KD else f"_{end}" for end, method in BASELINES.items()}
)
"""The suffix of the columns of `_RESULTS`, by baseline."""

_COUNTS = (
    *(f"{name}{end}" for end in _SUFFIXES.values() for name in _RESULTS),
    *(f"gain_{end}_n" for end in BASELINES),
)

_NOTHING_SHARED = "No pair has numbers of all methods that have more than half of the pairs, with a seed in common."


@dataclass(frozen=True, eq=False)
class Ranking:
    """Methods across pairs.

    Attributes:
        methods: one row for each method, see `across`.
        shared: the pairs on which all ranked methods have a seed in common.
        seeds: number of seeds that all of them have, by shared pair.
        had: number of seeds that any of them has, by shared pair.
        ranks: one row for each shared pair, one column for each ranked method; 1 is best.
        gains_kd: mean gains over KD in the same form; NaN where KD is not ranked.
    """

    methods: pd.DataFrame
    shared: tuple[str, ...]
    seeds: tuple[int, ...]
    had: tuple[int, ...]
    ranks: pd.DataFrame
    gains_kd: pd.DataFrame


def across(scores: pd.DataFrame, *, higher: bool, teachers: Mapping[str, float], decimals: int = 2) -> Ranking:
    """The statistics of each method across pairs.

    A method is ranked if it has more than half of the pairs that any method has. All numbers are of the shared pairs
    and, within a pair, of the seeds that all ranked methods have there, so that all are compared on the same runs. A
    pair without such a seed is not shared. Gains are known only over a baseline that is ranked.

    Args:
        scores: columns ``method, pair, seed, value``, one row a finished run of a student.
        higher: whether more is better.
        teachers: the teacher's value by pair; pairs may be missing.
        decimals: decimals of means as printed.

    Returns:
        ``methods`` has the columns ``method, pairs`` (their number), ``ranked, reason`` (a sentence if it is not),
        ``average_rank`` (among the ranked); ``gain_student, gain_student_low, gain_student_high, gain_student_n`` and
        the same for ``kd``: the mean over ``n`` pairs of the mean difference, positive where better, and a 95 %
        bootstrap interval (`intervals`); ``gap_closed``, the sum of gains over the student divided by the sum of the
        teachers' leads over it, on pairs where they lead; ``wins, ties, losses``, the numbers of pairs with a better,
        equal or worse mean as printed than KD, and ``wins_student, ties_student, losses_student``. Unknown values are
        NaN or NA.
    """
    runs = Scores.of(scores, higher=higher)
    reasons, common = _reasons(runs)
    ranked = np.array([not reason for reason in reasons], dtype=bool)
    shared: Flags = np.asarray(common.any(axis=1))
    had = runs.part(ranked, shared)
    judged = had.on(common[shared])
    places = ranks(judged.moments.mean)
    columns: dict[str, Array | Counts] = {"average_rank": moments(places).mean}
    for end, baseline in BASELINES.items():
        columns |= _gains(judged.gains(baseline), f"gain_{end}")
        columns |= _results(judged, end, baseline, decimals)
    columns["gap_closed"] = _gap_closed(judged, teachers)
    frame = pd.DataFrame(columns, index=pd.Index(judged.methods, name="method")).reindex(runs.methods)
    head = pd.DataFrame({"pairs": runs.present.sum(axis=1), "ranked": ranked, "reason": reasons}, index=frame.index)
    seeds, most = (tuple(map(int, runs.there.any(axis=0).sum(axis=1))) for runs in (judged, had))
    pairs, methods = list(judged.pairs), list(judged.methods)
    return Ranking(
        head.join(frame).astype(dict.fromkeys(_COUNTS, "Int64")).reset_index(names="method"),
        judged.pairs,
        seeds,
        most,
        pd.DataFrame(places.T, index=pairs, columns=methods),
        pd.DataFrame(moments(judged.gains(KD)).mean.T, index=pairs, columns=methods),
    )


def _reasons(scores: Scores) -> tuple[list[str], Flags]:
    """Why each method is not ranked (empty where it is), and the seeds that the ranked share on each pair (P, S)."""
    has, total = scores.present.sum(axis=1), len(scores.pairs)
    enough = 2 * has > total
    common = scores.there[enough].all(axis=0) & enough.any()
    none = "" if common.any() else _NOTHING_SHARED
    few = (f"It has {count} of {total} pairs; a rank needs more than half." for count in has)
    return [none if one else reason for one, reason in zip(enough, few, strict=True)], common


def _gains(gains: Array, name: str) -> dict[str, Array | Counts]:
    low, high = intervals(gains)
    mean = moments(moments(gains).mean)
    return {name: mean.mean, f"{name}_low": low, f"{name}_high": high, f"{name}_n": mean.n}


def _gap_closed(scores: Scores, teachers: Mapping[str, float]) -> Array:
    gains, gaps = moments(scores.gains(BASELINES["student"])).mean, scores.gaps(teachers)
    use = np.isfinite(gaps)
    closed: Array = gains[:, use].sum(axis=1) / (gaps[use].sum() if use.any() else np.nan)
    return closed


def _results(scores: Scores, end: str, baseline: str, decimals: int) -> dict[str, Array | Counts]:
    names = [f"{result}{_SUFFIXES[end]}" for result in _RESULTS]
    if baseline not in scores.methods:
        return dict.fromkeys(names, np.full(len(scores.methods), np.nan))
    shown = scores.shown(decimals)
    ahead = np.sign(shown - shown[scores.methods.index(baseline)])
    return {name: (ahead == sign).sum(axis=1) for name, sign in zip(names, _RESULTS.values(), strict=True)}
