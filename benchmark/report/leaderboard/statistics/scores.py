"""Runs as one dense array, with their means, gains and ranks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.runs.names import STUDENT

Array: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Counts: TypeAlias = NDArray[np.intp]

KD = "kd"
BASELINES: Mapping[str, str] = MappingProxyType({"student": STUDENT, "kd": KD})
"""The methods that others are compared with, by the suffix of the columns."""

_NOISE = 9
"""Decimals to which means are compared; smaller differences are rounding errors."""


@dataclass(frozen=True)
class Moments:
    """Mean, sample standard deviation (NaN below two values) and number of values along the last axis of an array."""

    mean: Array
    sd: Array
    n: Counts


@dataclass(frozen=True, eq=False)
class Scores:
    """All runs of a leaderboard, sorted by method, pair and seed.

    Attributes:
        methods: names, first axis of ``values``.
        pairs: names, second axis.
        values: (M, P, S), the last axis by seed, signed so that more is better; NaN where there is no run.
        sign: 1, or -1 where lower values are better; the measured values are ``sign * values``.
    """

    methods: tuple[str, ...]
    pairs: tuple[str, ...]
    values: Array
    sign: int

    @classmethod
    def of(cls, scores: pd.DataFrame, *, higher: bool) -> Scores:
        """Arrange runs in an array.

        Args:
            scores: columns ``method, pair, seed, value``, one row a finished run; values that are not finite count as
                no run.
            higher: whether more is better.

        Raises:
            ValueError: two runs of one method, pair and seed.
        """
        found = scores[np.isfinite(scores["value"].to_numpy(dtype=float))]
        if found.duplicated(["method", "pair", "seed"]).any():
            raise ValueError("two runs of one method, pair and seed")
        axes, places = zip(*(_axis(found[name]) for name in ("method", "pair", "seed")), strict=True)
        sign = 1 if higher else -1
        values = np.full([len(axis) for axis in axes], np.nan)
        values[places] = sign * found["value"].to_numpy(dtype=float)
        return cls(tuple(axes[0]), tuple(axes[1]), values, sign)

    @cached_property
    def moments(self) -> Moments:
        """The moments of every cell, arrays (M, P)."""
        return moments(self.values)

    @property
    def there(self) -> Flags:
        """Which runs exist (M, P, S)."""
        return np.isfinite(self.values)

    @property
    def present(self) -> Flags:
        """Which methods have runs on which pairs (M, P)."""
        return self.moments.n > 0

    def part(self, methods: Flags, pairs: Flags) -> Scores:
        """Some of the methods (M,) on some of the pairs (P,)."""
        names = (tuple(compress(self.methods, methods)), tuple(compress(self.pairs, pairs)))
        return Scores(*names, self.values[np.ix_(methods, pairs)], self.sign)

    def on(self, seeds: Flags) -> Scores:
        """The same runs, restricted to some seeds of each pair (P, S)."""
        return replace(self, values=np.where(seeds, self.values, np.nan))

    def gains(self, baseline: str) -> Array:
        """Differences from a method on the seeds that both have (M, P, S), positive where better; otherwise NaN."""
        if baseline not in self.methods:
            return np.full_like(self.values, np.nan)
        gains: Array = self.values - self.values[self.methods.index(baseline)]
        return gains

    def shown(self, decimals: int) -> Array:
        """The means (M, P) rounded as tables print them, so that equal texts are equal numbers."""
        text = [float(f"{mean:.{decimals}f}") for mean in self.moments.mean.flat]
        return np.array(text, dtype=float).reshape(self.moments.mean.shape)

    def gaps(self, teachers: Mapping[str, float]) -> Array:
        """The teacher's lead over the student of each pair (P,); NaN where either is unknown or it does not lead."""
        if STUDENT not in self.methods:
            return np.full(len(self.pairs), np.nan)
        above = self.sign * np.array([teachers.get(pair, np.nan) for pair in self.pairs], dtype=float)
        gap = np.round(above - self.moments.mean[self.methods.index(STUDENT)], _NOISE)
        return np.where(gap > 0, gap, np.nan)


def moments(values: Array) -> Moments:
    """Mean, sample standard deviation and number along the last axis, ignoring NaN."""
    n = np.isfinite(values).sum(axis=-1)
    mean = np.where(n > 0, np.nansum(values, axis=-1) / np.maximum(n, 1), np.nan)
    squares = np.nansum((values - mean[..., None]) ** 2, axis=-1)
    return Moments(mean, np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan), n)


def ranks(means: Array) -> Array:
    """Ranks along the first axis: 1 for the greatest, ties averaged, NaN where there is no mean."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-np.round(means, _NOISE), axis=0, nan_policy="omit"), dtype=float)


def _axis(column: pd.Series[Any]) -> tuple[list[Any], Counts]:
    """The distinct entries in order, and the index of each row among them."""
    names = sorted(set(column))
    return names, np.array([names.index(name) for name in column], dtype=np.intp)
