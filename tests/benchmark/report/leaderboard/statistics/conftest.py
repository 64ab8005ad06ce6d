from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import pytest

Values = Mapping[str, Mapping[str, Sequence[float | None]]]


@pytest.fixture
def runs() -> Callable[[Values], pd.DataFrame]:
    """Scores from values by method, pair and seed; None where there is no run."""

    def make(values: Values) -> pd.DataFrame:
        rows = [
            (method, pair, seed, value)
            for method, pairs in values.items()
            for pair, found in pairs.items()
            for seed, value in enumerate(found)
            if value is not None
        ]
        return pd.DataFrame(rows, columns=["method", "pair", "seed", "value"])

    return make


@pytest.fixture
def suite_like(runs: Callable[[Values], pd.DataFrame]) -> Callable[..., pd.DataFrame]:
    """A made-up suite: the plain student, KD and others a little better, method by method."""

    def make(methods: int = 5, pairs: int = 7, seeds: int = 3, sd: float = 0.3, step: float = 0.2) -> pd.DataFrame:
        draw = np.random.default_rng(0)
        names = ["student", "kd", *(f"method{i}" for i in range(2, methods))]
        return runs(
            {
                name: {f"pair{j}": 70 + j + step * i + draw.normal(0, sd, seeds) for j in range(pairs)}
                for i, name in enumerate(names)
            }
        )

    return make
