"""A payload of the leaderboard's page, made of the committed records and the printed tables.

Seeds 1 and 2 are seed 0's numbers, moved a little: real in form, not in what they say. So are intervals and tests.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from tests.benchmark.report.leaderboard.browser.oracle import ranking

ROOT = Path(__file__).parents[5]
RECORDS = ROOT / "results/digits/records"
METRICS = [
    {"id": "top1", "title": "top-1 accuracy, %", "decimals": 2, "higher": True},
    {"id": "top5", "title": "top-5 accuracy, %", "decimals": 2, "higher": True},
    {"id": "loss", "title": "cross-entropy on test images", "decimals": 4, "higher": False},
]
SELECTIONS = [{"id": "last", "title": "last epoch"}, {"id": "best", "title": "best epoch, chosen on the test data"}]
_KEYS = {"top1": "top1", "top5": "topk", "loss": "loss"}
_GROUPS = {"table11": "same architectures", "table12": "different architectures"}


def payload(methods: Collection[str] = (), pairs: Collection[str] = (), seeds: int = 3) -> dict[str, Any]:
    """Two boards, measured and printed.

    Args:
        methods: those that are on them, all where empty.
        pairs: likewise.
        seeds: how many the measured board has.
    """
    tables = {stem: yaml.safe_load((ROOT / f"tables/{stem}.yaml").read_text(encoding="utf-8")) for stem in _GROUPS}
    board = {
        "name": "digits",
        "title": "profile digits",
        "notes": ["Profile digits trains narrowed networks on scikit-learn's 1,797 real 8x8 digits."],
        "printed": False,
        "stand_in": True,
        "seeds": list(range(seeds)),
        "metrics": METRICS,
        "selections": SELECTIONS,
        "pairs": _pairs(tables, pairs),
        "methods": _methods(tables, methods),
        "runs": {},
        "recipes": {},
    }
    board["cells"] = {
        method["id"]: {pair["id"]: _cell(board, tables, method["id"], pair["id"]) for pair in board["pairs"]}
        for method in board["methods"]
    }
    board["statistics"] = statistics(board)
    return {"title": "Knowledge distillation, ranked", "opens_with": "digits", "boards": [board, _printed(board)]}


def statistics(board: dict[str, Any]) -> dict[str, Any]:
    """What the integrator's statistics say of a whole board, with intervals and tests that are made up."""
    return {
        selection["id"]: {
            metric["id"]: _statistics(board, selection["id"], metric["id"]) for metric in board["metrics"]
        }
        for selection in board["selections"]
    }


def _pairs(tables: dict[str, Any], wanted: Collection[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": column["pair"],
            "label": column["label"].replace("->", "→"),
            "group": _GROUPS[stem],
            "teacher": {chosen: _numbers(_teacher(column["pair"]), chosen, 0) for chosen in ("last", "best")},
            "paper": table["rows"][0]["paper"][index],
        }
        for stem, table in tables.items()
        for index, column in enumerate(table["columns"])
        if not wanted or column["pair"] in wanted
    ]


def _methods(tables: dict[str, Any], wanted: Collection[str]) -> list[dict[str, Any]]:
    rows = (row for row in tables["table11"]["rows"] if "method" in row)
    return [
        {"id": row["method"], "title": row["label"], "citation": f"The authors of {row['label']}", "added": False}
        for row in rows
        if not wanted or row["method"] in wanted
    ]


def _record(pair: str, method: str) -> Path | None:
    teacher, student = pair.split(":")
    folder = f"none--{student}" if method == "student" else f"{teacher}--{student}"
    names = sorted((RECORDS / "CRD100" / folder).glob(f"{method}/*.json"))
    return (names or sorted((RECORDS / "CRD100" / folder).glob(f"{method}[[]*/*.json")) or [None])[0]


def _teacher(pair: str) -> dict[str, Any]:
    teacher = pair.split(":", maxsplit=1)[0]
    return json.loads(_record(f"{teacher}:{teacher}", "student").read_text(encoding="utf-8"))


def _numbers(record: dict[str, Any], selection: str, seed: int) -> dict[str, float | None]:
    found = record.get("metrics", {}).get(selection, {})
    return {name: _moved(found.get(key), name, seed, record["id"]) for name, key in _KEYS.items()}


def _moved(value: float | None, metric: str, seed: int, name: str) -> float | None:
    if value is None or not seed:
        return value
    step = (int(name[seed : seed + 3], 16) % 13 - 6) / 10
    return round(value - 0.02 * step if metric == "loss" else min(100.0, value + step), 6)


def _cell(board: dict[str, Any], tables: dict[str, Any], method: str, pair: str) -> dict[str, Any]:
    path = _record(pair, method)
    paper = _paper(tables, method, pair)
    if path is None:
        return {"state": "missing", "reason": "", "values": {}, "paper": paper, "cost": None, "runs": []}
    record = json.loads(path.read_text(encoding="utf-8"))
    if record["status"] != "done":
        reason = record["failure"]["reason"]
        return {"state": record["status"], "reason": reason, "values": {}, "paper": paper, "cost": None, "runs": []}
    values = {
        chosen: {name: [_numbers(record, chosen, seed)[name] for seed in board["seeds"]] for name in _KEYS}
        for chosen in ("last", "best")
    }
    plain = json.loads(_record(pair, "student").read_text(encoding="utf-8"))["cost"]["step_seconds"]
    cost = {
        "relative": record["cost"]["step_seconds"] / plain,
        "extra_parameters": record["cost"]["extra_parameters"],
    }
    runs = [_run(board, record, path, seed) for seed in board["seeds"]]
    return {"state": "done", "reason": "", "values": values, "paper": paper, "cost": cost, "runs": runs}


def _run(board: dict[str, Any], record: dict[str, Any], path: Path, seed: int) -> str:
    name = record["id"][seed : seed + 12]
    recipe = record["spec"]["recipe"]
    key = next((known for known, one in board["recipes"].items() if one == recipe), f"r{len(board['recipes']) + 1}")
    board["recipes"][key] = recipe
    provenance, test = record["provenance"], record["curves"]["test"]
    board["runs"][name] = {
        "seed": seed,
        "record": str(path.relative_to(RECORDS.parent)).replace("seed0", f"seed{seed}"),
        "recipe": key,
        "objective": record["spec"]["objective"],
        "revision": provenance["revision"],
        "dirty": provenance["dirty"],
        "device": provenance["device"],
        "finished": provenance["finished"],
        "seconds": record["cost"]["step_seconds"],
        "fingerprint": provenance["data"]["fingerprint"],
        "teacher": (record["spec"].get("teacher") or {}).get("id", "")[:12],
        "curve": {"epoch": test["epoch"]}
        | {metric: [_moved(one, metric, seed, record["id"]) for one in test[key]] for metric, key in _KEYS.items()},
    }
    return name


def _paper(tables: dict[str, Any], method: str, pair: str) -> float | None:
    for table in tables.values():
        for index, column in enumerate(table["columns"]):
            row = next((row for row in table["rows"] if row.get("method") == method), None)
            if column["pair"] == pair and row:
                # The paper prints 0.00 where a method does not apply.
                return row["paper"][index] or None
    return None


def _printed(board: dict[str, Any]) -> dict[str, Any]:
    cells = {
        method: {pair: {"paper": cell["paper"]} for pair, cell in row.items()} for method, row in board["cells"].items()
    }
    printed = board | {
        "name": "printed",
        "title": "The paper's printed numbers",
        "notes": ["Only Ours is the paper's own; all others repeat CRD's."],
        "printed": True,
        "stand_in": False,
        "seeds": [],
        "metrics": METRICS[:1],
        "selections": SELECTIONS[:1],
        "cells": cells,
        "runs": {},
        "recipes": {},
    }
    return printed | {"statistics": statistics(printed)}


def _is_best(means: dict[tuple[str, str], float], method: str, pair: str) -> bool:
    return means.get((method, pair)) == max((mean for (_, where), mean in means.items() if where == pair), default=None)


def _statistics(board: dict[str, Any], selection: str, metric: str) -> dict[str, Any]:
    methods = [method["id"] for method in board["methods"]]
    pairs = [pair["id"] for pair in board["pairs"]]
    found = ranking(board, methods, pairs, selection, metric)
    means = found.pop("means")
    several = len(board["seeds"]) > 1
    for row in found["methods"].values():
        row["reason"] = (
            "" if row["ranked"] else f"It has {row['pairs']} of {len(pairs)} pairs; a rank needs more than half."
        )
        for name in ("gain_student", "gain_kd"):
            known = row.get(name)
            row[f"{name}_low"], row[f"{name}_high"] = (None, None) if known is None else (known - 0.6, known + 0.7)
    order = sorted(
        (m for m in methods if found["methods"][m]["ranked"]), key=lambda m: found["methods"][m]["average_rank"]
    )
    return found | {
        "sentences": ["With three seeds a gap of about 0.9 points can be told apart."] if several else [],
        "cells": {
            m: {p: {"best": _is_best(means, m, p), "near": several and m == order[1], "rank": 1} for p in pairs}
            for m in methods
        },
        "friedman": {"statistic": 41.2, "p": 0.00031},
        "critical_difference": 6.4,
        "groups": [order[: len(order) // 2 + 1], order[len(order) // 3 :]],
    }
