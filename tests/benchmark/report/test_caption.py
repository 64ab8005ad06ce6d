from dataclasses import replace

import pytest

from benchmark.report import build


@pytest.fixture
def legend(small_table, named, context):
    return lambda by_method, **changes: build(small_table(), named(by_method), replace(context, **changes)).grid.legend(
        "Bold"
    )


def test_says_what_the_numbers_are(legend, record):
    complete = {method: [record()] * 3 for method in ("student", "kd", "at")} | {"teacher": [record()]}
    assert legend(complete) == (
        "Mean ± sample standard deviation over 3 seeds (0, 1, 2), last epoch; teachers are one run. "
        "Bold: best student of a pair. "
        "Paper: the printed value, measured on the real data and so not to be compared with ours. "
        "Stand-in data. Changed: epochs=1, lr=0.1."
    )


def test_says_first_on_which_data_of_the_users_the_runs_are(small_table, named, record, context):
    changed = replace(context, dataset="leaves", note="Data: leaves, 5 images", stand_in=True)
    grid = build(small_table().on("leaves"), named({"kd": [record()]}), changed).grid
    assert grid.title == "Accuracy, on leaves (profile digits)"
    text = grid.legend("Bold")
    assert text.startswith("Data: leaves, 5 images. Mean ±")
    assert text.count("leaves") == 1
    assert "aper" not in text


def test_says_which_epoch_and_how_many_seeds(legend, record):
    text = legend({"kd": [record()]}, seeds=(4,), selection="best", stand_in=False, note="", changes=())
    assert text.startswith("One run, seed 4, best epoch, chosen on the test data. Paper: the printed value, and ours")
    assert "Changed" not in text
    assert "Bold" not in text


def test_explains_only_the_states_that_occur(legend, record):
    assert "(n/m)" in legend({"kd": [record(), None]})
    assert "Complete so far: 0 of 4 cells." in legend({"kd": [record(), None]})
    everything = {method: [record(None, "failed")] for method in ("student", "kd", "at", "teacher")}
    assert "failed:" in legend(everything)
    assert "(n/m)" not in legend(everything)
    assert "n/a" not in legend(everything)


def test_failures_are_named_a_few_at_most(small_table, named, record, context):
    methods = ("student", "kd", "at", "ofd", "rkd", "crd", "srrl")
    failed = record(None, "failed", "diverged")
    table = small_table(columns=methods, notes=("About the paper.",))
    notes = build(table, named(dict.fromkeys(methods, [failed] * 3) | {"kd": [record(), failed]}), context).grid.notes
    assert notes[:3] == (
        "About the paper.",
        "Failed (3 of 3 seeds): STUDENT, Big -> Small: diverged.",
        "Failed (1 of 2 seeds): KD, Big -> Small: diverged.",
    )
    assert notes[-1] == "Failed: 2 more cells."
    assert len(notes) == 7


def test_says_why_a_method_does_not_apply(small_table, named, record, context):
    refused = record(None, "not_applicable", "unequal channels")
    notes = build(small_table(), named({"kd": [refused]}), context).grid.notes
    assert notes == ("Not applicable: KD, Big -> Small: unequal channels.",)
