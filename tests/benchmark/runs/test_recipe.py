from dataclasses import replace

import pytest

from benchmark.errors import UserError
from benchmark.runs.recipe import RECIPE_KEYS, check_value

# What the network is, and how long and by which rule it is trained, are each member's own.
NOT_OF_THE_STREAM = {"name", "epochs", "optimizer", "lr", "milestones", "lr_decay", "momentum", "beta2", "nesterov"}
NOT_OF_THE_STREAM |= {"weight_decay", "evaluate_every", "in_size", "width", "top_k"}
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
    ("key", "good", "wrong", "says"),
    [
        ("name", ["C100"], ["", 3], "a name"),
        ("epochs", [1, 240], [0, -1, 1.5, True, None, "3", (1,)], "a whole number above 0"),
        ("batch_size", [2, 512], [1, 2.0], "a whole number above 1"),
        ("optimizer", ["sgd", "adam"], ["SGD", "rmsprop", None], "one of sgd, adam"),
        ("lr", [0.1, 1], [0, -0.1, "fast", True, None], "a number above 0"),
        ("milestones", [(), (3,), (3, 5)], [(5, 3), (3, 3), (0,), (True,), (1.5,), [3], 3], "a rising list"),
        ("momentum", [0, 0.9, 1], [1.1, -0.1, None], "a number from 0 to 1"),
        ("beta2", [None, 0, 0.999], [1, -0.1, "x", True], "a number below 1, or null"),
        ("nesterov", [True, False], [1, "yes", None], "true or false"),
        ("weight_decay", [0, 5e-4], [-1e-4], "a number from 0"),
        ("crop", ["pad", "resized"], ["random"], "one of pad, resized"),
        ("crop_padding", [0, 4], [-1, 0.5], "a whole number from 0"),
        ("pad_mode", ["zero", "reflect"], ["none"], "one of zero, reflect"),
        ("crop_size", [None, 8, 224], [7, 224.0], "a side in pixels from 8, or null"),
        ("crop_scale", [None, (0.08, 1.0), (1, 1)], [(0, 1), (0.9, 0.5), (0.5, 1.1), (0.5,), 0.5], "two rising shares"),
        ("resize", [None, 256], [4, "big"], "a side in pixels from 8, or null"),
        ("flip", [0, 0.5, 1], [1.5], "a probability from 0 to 1"),
        ("mean", [(0, 0.5, 1)], [(0.5, 0.5), ("a", "b", "c"), 0.5], "three numbers"),
        ("std", [(0.1, 0.5, 1)], [(0.1, 0.5, 0), (1, 1)], "three numbers above 0"),
        ("train_limit", [None, 2], [1, True], "a whole number above 1, or null"),
        ("holdout", [0, 5000], [-1, None, 0.1], "a whole number from 0"),
        ("precision", ["bf16", "fp16", "tf32", "fp32"], ["fp8"], "one of bf16, fp16, tf32, fp32"),
        ("evaluate_every", [1], [0], "a whole number above 0"),
        ("in_size", [8, 224], [7, None], "a side in pixels from 8"),
        ("width", [0.125, 2], [0, "wide"], "a factor from 0.001"),
        ("top_k", [1, 5], [0, 2.5], "a whole number above 0"),
    ],
)
def test_values_make_sense(key, good, wrong, says, recipe):
    for value in good:
        assert getattr(replace(recipe, **{key: value}), key) == value
    for value in wrong:
        with pytest.raises(UserError) as caught:
            replace(recipe, **{key: value})
        assert f"recipe value {key}={value!r}: it must be {says}" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "good", "wrong", "says"),
    [
        ("objectives.kd.weight", [0, 0.9, 30000], [-1, "abc", None, True], "a number from 0"),
        ("objectives.ab.stage.epochs", [1, 30], [0, 1.5, None], "a whole number above 0"),
        ("objectives.ft.stage.lr", [None, 0.01], [0, "fast"], "a number above 0, or null"),
        ("tuning.holdout", [1, 5000], [0, 0.5, None], "a whole number above 0"),
    ],
)
def test_values_of_objectives_and_tuning_make_sense(key, good, wrong, says):
    for value in good:
        check_value(key, value)
    for value in wrong:
        with pytest.raises(UserError, match=says):
            check_value(key, value)
