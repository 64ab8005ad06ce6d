"""The published data pipeline: what its batches hold."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.bench import pipeline
from benchmark.bench.columns import column
from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.data.dataset import Split


@pytest.fixture
def recipe():
    resolver = ConfigResolver(load_profile("paper"), {"batch_size": 8})
    return column("11/wrn-40-2:wrn-16-2", ["kd"], resolver, 0).runs[0].recipe


@pytest.fixture
def split():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    return Split(pixels, np.arange(32, dtype=np.int64) % 4)


def test_batches_go_on_after_an_epoch_and_hold_every_image_once_in_each(recipe, split):
    batches = pipeline.batches(recipe, split, 0, torch.device("cpu"))
    epochs = [[next(batches) for _ in range(4)] for _ in range(2)]
    for epoch in epochs:
        seen = torch.cat([indices for _, _, indices in epoch])
        assert sorted(seen.tolist()) == list(range(32))
    assert epochs[0][0][0].shape == (8, 3, 32, 32)
    assert not torch.equal(epochs[0][0][2], epochs[1][0][2])


def test_an_image_that_is_neither_moved_nor_mirrored_is_normalised(recipe, split):
    still = replace(recipe, crop_padding=0, flip=0.0)
    images, targets, indices = next(pipeline.batches(still, split, 0, torch.device("cpu")))
    pixels = torch.from_numpy(split.images[int(indices[0])]).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (recipe.mean, recipe.std))
    torch.testing.assert_close(images[0], (pixels - mean) / std)
    assert targets.tolist() == [int(split.labels[index]) for index in indices]


@pytest.mark.parametrize(("count", "distinct"), [(20, True), (60, False)])
def test_negatives_are_of_other_classes_and_distinct_where_there_are_enough(split, count, distinct):
    images = pipeline.Images(split, lambda image: image, count)
    _, target, index, contrasted = images[5]
    assert (target, index, contrasted[0]) == (1, 5, 5)
    assert len(contrasted) == count + 1
    assert (split.labels[contrasted[1:]] != target).all()
    assert (len(set(contrasted[1:].tolist())) == count) is distinct


def test_the_recipes_limit_holds(recipe):
    assert len(pipeline.training_split(replace(recipe, train_limit=70))) == 70
    assert len(pipeline.training_split(recipe)) == 50_000
