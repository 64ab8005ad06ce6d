"""The page's rules of ranking, stated once more, plainly and in Python."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

Board = dict[str, Any]


def values(board: Board, method: str, pair: str, selection: str = "last", metric: str = "top1") -> dict[int, float]:
    """The numbers of a cell by seed; a printed one counts as one seed."""
    cell = board["cells"].get(method, {}).get(pair, {})
    if board["printed"]:
        return {} if cell.get("paper") is None else {0: cell["paper"]}
    found = cell.get("values", {}).get(selection, {}).get(metric, [])
    return {seed: value for seed, value in zip(board["seeds"], found, strict=False) if value is not None}


def gain(left: dict[int, float], right: dict[int, float], sign: int) -> float | None:
    """The mean difference on the seeds that both have."""
    both = sorted(left.keys() & right.keys())
    return sign * fmean(left[seed] - right[seed] for seed in both) if both else None


def ranking(
    board: Board, methods: Sequence[str], pairs: Sequence[str], selection: str = "last", metric: str = "top1"
) -> dict[str, Any]:
    """Shared pairs, and what the page shows of each method."""
    kind = next(known for known in board["metrics"] if known["id"] == metric)
    sign = 1 if kind["higher"] else -1
    everyone = [method["id"] for method in board["methods"]]
    has = {(m, p): values(board, m, p, selection, metric) for m in everyone for p in pairs}
    filled = [pair for pair in pairs if any(has[m, pair] for m in methods)]
    counts = {m: sum(bool(has[m, pair]) for pair in filled) for m in methods}
    ranked = [m for m in methods if 2 * counts[m] > len(filled)]
    shared = [pair for pair in filled if ranked and all(has[m, pair] for m in ranked)]
    compared = {
        reference: [p for p in shared if all(has[m, p].keys() & has.get((reference, p), {}).keys() for m in ranked)]
        for reference in ("student", "kd")
        if 2 * sum(bool(has.get((reference, p))) for p in filled) > len(filled)
    }
    compared = {"student": [], "kd": []} | compared
    rows = {}
    for method in methods:
        row: dict[str, Any] = {"ranked": method in ranked, "pairs": counts[method]}
        if method in ranked and shared:
            means = {(m, p): round(sign * fmean(has[m, p].values()), 9) for m in ranked for p in shared}
            row["average_rank"] = fmean(
                1
                + sum(means[m, p] > means[method, p] for m in ranked)
                + (sum(means[m, p] == means[method, p] for m in ranked) - 1) / 2
                for p in shared
            )
            for reference in ("student", "kd"):
                gains = [gain(has[method, p], has[reference, p], sign) for p in compared[reference]]
                row[f"gain_{reference}"] = fmean(gains) if gains else None
            row |= _closed(board, has, method, compared["student"], sign, selection, metric)
            row |= _wins(has, method, shared, sign, kind["decimals"])
        rows[method] = row
    # As displayed, and signed so that the greatest is the best.
    means = {key: round(sign * fmean(found.values()), kind["decimals"]) for key, found in has.items() if found}
    return {"shared_pairs": shared, "methods": rows, "means": means}


def _closed(board, has, method, shared, sign, selection, metric):
    known = {pair["id"]: pair for pair in board["pairs"]}
    gains = gaps = 0.0
    for pair in shared:
        teacher = known[pair]["paper"] if board["printed"] else known[pair]["teacher"].get(selection, {}).get(metric)
        student = has.get(("student", pair))
        won = gain(has[method, pair], student or {}, sign)
        if teacher is not None and won is not None:
            gap = sign * (teacher - fmean(student.values()))
            if gap > 0:
                gains, gaps = gains + won, gaps + gap
    return {"gap_closed": gains / gaps if gaps else None}


def _wins(has, method, shared, sign, decimals):
    signs = []
    for pair in shared:
        if has.get(("kd", pair)):
            ours, theirs = (round(fmean(has[m, pair].values()), decimals) for m in (method, "kd"))
            signs.append((sign * ours > sign * theirs) - (sign * ours < sign * theirs))
    return {"wins": signs.count(1), "ties": signs.count(0), "losses": signs.count(-1)}
