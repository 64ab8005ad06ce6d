"""The command, in real processes, on few images and thin networks."""

import csv
from dataclasses import replace

import pytest

from benchmark.bench import columns
from benchmark.bench.__main__ import main

SMALL = (
    *("--columns", "11/wrn-40-2:wrn-16-2", "--methods", "crd", "--rounds", "1", "--seconds", "0"),
    *("--set", "width=0.25", "--set", "batch_size=8", "--set", "train_limit=64"),
    *("--set", "objectives.crd.options.negatives=32", "--device", "cpu"),
)


@pytest.mark.slow
def test_a_column_is_measured_from_end_to_end(tmp_path, capsys, monkeypatch):
    # Each process costs seconds, and a CPU may have to emulate bf16: one process a variant, all of them in float32.
    few = [replace(variant, precision="fp32") for variant in columns.variants("cpu", 1)]
    monkeypatch.setattr(columns, "variants", lambda *_: few)
    assert main([*SMALL, "--output", str(tmp_path)]) == 0
    with (tmp_path / "speed.csv").open(encoding="utf-8") as file:
        found = {(row["variant"], row["method"], row["quantity"]): float(row["value"]) for row in csv.DictReader(file)}
    assert ("cohort", "crd", "loss cost") in found
    assert found["separate", "crd", "step seconds"] > 0
    assert found["separate", "crd", "memory"] > 2**26
    for quantity in ("ratio", "bare ratio", "share of floor", "memory"):
        assert found["cohort", "", quantity] > 0
    assert found["cohort-fp32", "", "gain of cohort"] > 0
    written = [(tmp_path / name).read_text(encoding="utf-8") for name in ("speed.md", "speed-details.md")]
    assert capsys.readouterr().out == "".join(f"{text}\n" for text in written)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--columns", "11/a:b"], "no pair of this table matches 'a:b'"),
        (["--methods", "kdd"], "unknown method 'kdd'"),
        (["--set", "batch=8"], "batch"),
    ],
)
def test_errors_are_one_line_and_come_before_anything_is_measured(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
