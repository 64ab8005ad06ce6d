"""The page's rules of ranking, stated once more, plainly and in Python."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import pytest

LeaderboardData = dict[str, Any]
SAME = ("wrn-40-2:wrn-40-1", "resnet56:resnet20", "vgg13:vgg8")
GAINS = ("gain_student", "gain_kd")


def values(
    board: LeaderboardData, method: str, pair: str, selection: str = "last", metric: str = "top1"
) -> dict[int, float]:
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
    board: LeaderboardData, methods: Sequence[str], pairs: Sequence[str], selection: str = "last", metric: str = "top1"
) -> dict[str, Any]:
    """Shared pairs, and what the page shows of each method."""
    kind = next(known for known in board["metrics"] if known["id"] == metric)
    sign = 1 if kind["higher"] else -1
    everyone = [method["id"] for method in board["methods"]]
    has = {(m, p): values(board, m, p, selection, metric) for m in everyone for p in pairs}
    filled = [pair for pair in pairs if any(has[m, pair] for m in methods)]
    counts = {m: sum(bool(has[m, pair]) for pair in filled) for m in everyone}
    enough = {m for m in everyone if 2 * counts[m] > len(filled)}
    ranked = [m for m in methods if m in enough]
    judged = _on_common_seeds(has, ranked, filled)
    shared = [pair for pair in filled if any(p == pair for _, p in judged)]
    # With a reference that is not shown the seeds have to be its own, too.
    against = {
        reference: _on_common_seeds(has, {*ranked, reference}, filled) if ranked and reference in enough else {}
        for reference in ("student", "kd")
    }
    rows = {}
    for method in methods:
        row: dict[str, Any] = {"ranked": method in ranked and bool(shared), "pairs": counts[method]}
        if row["ranked"]:
            means = {key: round(sign * fmean(found.values()), 9) for key, found in judged.items()}
            row["average_rank"] = fmean(
                1
                + sum(means[m, p] > means[method, p] for m in ranked)
                + (sum(means[m, p] == means[method, p] for m in ranked) - 1) / 2
                for p in shared
            )
            for reference, cells in against.items():
                gains = [gain(cells[method, p], cells[reference, p], sign) for p in shared if (method, p) in cells]
                row[f"gain_{reference}"] = fmean(gains) if gains else None
            row |= _closed(board, against["student"], method, shared, sign, selection, metric)
            row |= _wins(against["kd"], method, shared, sign, kind["decimals"])
        rows[method] = row
    # As displayed, and signed so that the greatest is the best.
    means = {key: round(sign * fmean(found.values()), kind["decimals"]) for key, found in has.items() if found}
    return {"shared_pairs": shared, "methods": rows, "means": means}


def _on_common_seeds(has, methods, pairs):
    """The cells of the pairs on which all methods have a seed in common, with such seeds alone."""
    cells = {}
    for pair in pairs:
        common = set.intersection(*(set(has[method, pair]) for method in methods)) if methods else set()
        if common:
            cells |= {(method, pair): {seed: has[method, pair][seed] for seed in common} for method in methods}
    return cells


def _closed(board, has, method, shared, sign, selection, metric):
    known = {pair["id"]: pair for pair in board["pairs"]}
    gains = gaps = 0.0
    for pair in shared:
        teacher = known[pair]["paper"] if board["printed"] else known[pair]["teacher"].get(selection, {}).get(metric)
        student = has.get(("student", pair))
        if teacher is not None and student:
            gap = sign * (teacher - fmean(student.values()))
            if gap > 0:
                gains, gaps = gains + gain(has[method, pair], student, sign), gaps + gap
    return {"gap_closed": gains / gaps if gaps else None}


def _wins(has, method, shared, sign, decimals):
    signs: list[int] = []
    for pair in shared:
        if has.get(("kd", pair)):
            ours, theirs = (round(fmean(has[m, pair].values()), decimals) for m in (method, "kd"))
            signs.append((sign * ours > sign * theirs) - (sign * ours < sign * theirs))
    return {"wins": signs.count(1), "ties": signs.count(0), "losses": signs.count(-1)}


def number(text: str) -> float | None:
    """What the page shows, None for nothing."""
    shown = text.replace("−", "-").replace("%", "").replace("×", "").strip()
    return None if shown == "–" else float(shown)


def check_rows(page: Any, board: LeaderboardData, found: dict[str, Any], metric: str = "top1") -> None:
    """All rows of the ranking against the oracle's or the payload's, but for a method's comparison with itself."""
    decimals = next(one["decimals"] for one in board["metrics"] if one["id"] == metric)
    rows = page.rows()
    assert {row["method"] for row in rows} == set(found["methods"])
    for row in rows:
        want = found["methods"][row["method"]]
        assert row["pairs"].split("/")[0] == str(want["pairs"])
        if not want["ranked"]:
            assert row["reason"].startswith("Not ranked. ")
            continue
        assert number(row["average_rank"]) == pytest.approx(want["average_rank"], abs=0.0051)
        for name, reference in zip(GAINS, ("student", "kd"), strict=True):
            if row["method"] == reference:
                assert row[name] == "–"
            else:
                assert number(row[name]) == pytest.approx(want[name], abs=0.51 * 10**-decimals)
        if row["method"] != "student":
            assert number(row["gap_closed"]) == pytest.approx(100 * want["gap_closed"], abs=0.51)
        if row["method"] != "kd":
            assert row["wins"] == f"{want['wins']}/{want['ties']}/{want['losses']}"
