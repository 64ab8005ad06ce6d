from dataclasses import replace

import pytest

from benchmark.errors import UserError
from benchmark.runs.recipe import RECIPE_KEYS, check_value

# What the network is, and how long and by which rule it is trained, are each member's own.
NOT_OF_THE_STREAM = {"name", "epochs", "optimizer", "lr", "milestones", "lr_decay", "momentum", "beta2", "nesterov"}
NOT_OF_THE_STREAM |= {"delta", "weight_decay", "evaluate_every", "in_size", "width", "top_k"}
OF_A_LOOK = {"dataset", "crop", "crop_size", "resize", "mean", "std", "holdout", "precision"}
OF_A_LOOK |= {"in_size", "width", "top_k"}


@pytest.fixture
def recipe(job):
    return job(profile="paper").recipe


@pytest.mark.parametrize("key", RECIPE_KEYS)
def test_who_shares_a_stream_agrees_in_all_that_makes_it(key, recipe, other):
    changed = other(recipe, key)
    assert changed != recipe
    assert (changed.stream == recipe.stream) == (key in NOT_OF_THE_STREAM)
    assert len({changed.stream, recipe.stream}) == 1 + (key not in NOT_OF_THE_STREAM)


@pytest.mark.parametrize("key", RECIPE_KEYS)
def test_who_only_looks_agrees_in_test_images_and_network(key, recipe, other):
    assert (other(recipe, key).view == recipe.view) == (key not in OF_A_LOOK)
    assert recipe.view == {name: getattr(recipe, name) for name in OF_A_LOOK}


@pytest.mark.parametrize(
    ("key", "good", "wrong"),
    [
        ("name", ["C100"], ["", 3]),
        ("epochs", [1, 240], [0, -1, 1.5, True, None, "3", (1,)]),
        ("batch_size", [2, 512], [1, 2.0]),
        ("optimizer", ["sgd", "adam"], ["SGD", "rmsprop", None]),
        ("lr", [0.1, 1], [0, -0.1, "fast", True, None]),
        ("milestones", [(), (3,), (3, 5)], [(5, 3), (0,), (True,), (1.5,), 3]),
        ("momentum", [0, 0.9, 1], [1.1, -0.1, None]),
        ("beta2", [None, 0, 0.999], [1, -0.1, "x", True]),
        ("nesterov", [True, False], [1, "yes", None]),
        ("weight_decay", [0, 5e-4], [-1e-4]),
        ("crop", ["pad", "resized"], ["random"]),
        ("crop_padding", [0, 4], [-1, 0.5]),
        ("pad_mode", ["zero", "reflect"], ["none"]),
        ("crop_size", [None, 8, 224], [7, 224.0]),
        ("crop_scale", [None, (0.08, 1.0), (1, 1)], [(0, 1), (0.9, 0.5), (0.5, 1.1), (0.5,), 0.5]),
        ("resize", [None, 256], [4, "big"]),
        ("flip", [0, 0.5, 1], [1.5]),
        ("mean", [(0, 0.5, 1)], [(0.5, 0.5), ("a", "b", "c"), 0.5]),
        ("std", [(0.1, 0.5, 1)], [(0.1, 0.5, 0), (1, 1)]),
        ("train_limit", [None, 2], [1, True]),
        ("holdout", [0, 5000], [-1, None, 0.1]),
        ("precision", ["bf16", "fp16", "tf32", "fp32"], ["fp8"]),
        ("in_size", [8, 224], [7, None]),
        ("width", [0.125, 2], [0, 1e300, "wide"]),
        ("top_k", [1, 5], [0, 2.5]),
        ("objectives.kd.weight", [0, 0.9, 30000], [-1, "abc", None, True]),
        ("objectives.ab.stage.epochs", [1, 30], [0, 1.5, None]),
        ("objectives.ft.stage.lr", [None, 0.01], [0, "fast"]),
        ("tuning.holdout", [1, 5000], [0, 0.5, None]),
    ],
)
def test_values_make_sense(key, good, wrong):
    for value in good:
        check_value(key, value)
    for value in wrong:
        with pytest.raises(UserError) as caught:
            check_value(key, value)
        assert str(caught.value).startswith(f"recipe value {key}={value!r}: expected ")
        assert "\n" not in str(caught.value)


def test_a_recipe_checks_its_values(recipe):
    with pytest.raises(UserError, match=r"recipe value lr=0: expected a number > 0.0"):
        replace(recipe, lr=0)
