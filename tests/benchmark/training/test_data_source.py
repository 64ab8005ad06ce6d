import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from benchmark.data import FileDataset, load
from benchmark.data.augment import normalise
from benchmark.data.dataset import EncodedSplit
from benchmark.data.decoders import Decoders
from benchmark.errors import UserError
from benchmark.training import data_source

RESIZED = {"crop": "resized", "crop_padding": 0, "crop_size": 16, "crop_scale": (0.2, 1.0), "resize": 20}


@pytest.fixture
def recipe(make_job):
    """Factory of recipes: all 1,197 digits, with changes."""
    base = replace(make_job("kd").recipe, train_limit=None)
    return lambda **changes: replace(base, **changes)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A source to which ``photos`` is a data set of files: 7 training and 3 test images in two classes."""

    def split(count, name):
        buffer, spans = io.BytesIO(), []
        for number in range(count):
            start = buffer.tell()
            Image.new("RGB", (30, 25), (number, 0, 0)).save(buffer, "PNG")
            spans.append([start, buffer.tell() - start, number])
        (tmp_path / name).write_bytes(buffer.getvalue())
        files = np.array([name.encode()] * count)
        return EncodedSplit(np.arange(count) % 2, files, np.array(spans), tmp_path)

    dataset = FileDataset("photos", split(7, "train"), split(3, "test"), 2, "abc", official=None)
    monkeypatch.setattr(data_source, "load", lambda *_: dataset)
    return data_source.DataSource(torch.device("cpu"), None, tmp_path, decoders=0)


def shown(batches):
    """Images and labels of all batches."""
    return tuple(torch.cat(parts) for parts in list(zip(*batches, strict=True))[:2])


@pytest.mark.parametrize(("processes", "decoders"), [(1, 8), (3, 2), (16, 1)])
@pytest.mark.usefixtures("photos")
def test_decoders_share_the_processors_with_all_that_train(processes, decoders, recipe, tmp_path, monkeypatch):
    counts, in_process = [], Decoders(0, pin=False)
    monkeypatch.setattr(data_source, "cpus", lambda: 16)
    monkeypatch.setattr(data_source, "Decoders", lambda count, **_: (counts.append(count), in_process)[1])
    source = data_source.DataSource(torch.device("cpu"), None, tmp_path, processes=processes)
    source.stream(recipe(dataset="photos", **RESIZED), 0)
    assert counts == [decoders]


def test_each_data_set_is_loaded_once(tmp_path, make_job, monkeypatch):
    calls = []
    monkeypatch.setattr(data_source, "load", lambda name, *rest: (calls.append(name), load(name, *rest))[1])
    source = data_source.DataSource(torch.device("cpu"), None, tmp_path)
    recipe = make_job("student").recipe
    source.stream(recipe, 0)
    source.stream(recipe, 1)
    assert sum(len(targets) for _, targets in source.test_batches(recipe)) == 600
    assert source.facts(recipe)["official"]
    assert calls == ["digits"]


def test_batches_follow_from_recipe_and_seed(source, make_job):
    def first(job):
        return next(iter(source.stream(job.recipe, job.seed).epoch(1)))

    base = first(make_job("kd"))
    assert torch.equal(base.images, first(make_job("srrl", "wrn-16-2", epochs=9, lr=1.0)).images)
    assert not torch.equal(base.indices, first(make_job("kd", seed=1)).indices)
    assert base.images.shape == (32, 3, 8, 8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_limit": 1_198}, "train_limit"),
        ({"train_limit": 1_098, "holdout": 100}, "train_limit must be from 1 to 1097"),
        ({"holdout": 1_197}, "holdout must be below 1197"),
        ({"holdout": 5_000}, "holdout must be below 1197"),
        (RESIZED, "those of digits have one size: set crop=pad"),
    ],
)
def test_recipes_that_do_not_fit_stored_images_are_errors(source, recipe, changes, message):
    for use in (source.test_batches, lambda changed: source.stream(changed, 0)):
        if "train_limit" not in changes or use != source.test_batches:
            with pytest.raises(UserError, match=message):
                use(recipe(**changes))


def test_last_training_images_are_held_out_and_tested_on(source, recipe, tmp_path):
    changed, train = recipe(holdout=200, train_limit=300), load("digits", None, tmp_path).train
    images, labels = shown(source.test_batches(changed))
    assert torch.equal(images, normalise(torch.tensor(train.images[-200:]), changed.mean, changed.std))
    assert labels.tolist() == train.labels[-200:].tolist()
    stream = source.stream(changed, 0)
    assert stream.labels.tolist() == train.labels[:300].tolist()
    assert len(source.stream(replace(changed, train_limit=None), 0).labels) == 997


def test_stored_images_are_resized_before_anything_else(source, recipe, tmp_path):
    changed = recipe(dataset="digits-for-stl10", resize=8, crop_padding=0, flip=0.0)
    test = load("digits-for-stl10", None, tmp_path).test
    planes = torch.tensor(test.images).permute(0, 3, 1, 2).double()
    small = (functional.interpolate(planes, (8, 8), mode="bilinear", antialias=True) + 0.5 + 1e-6).floor().byte()
    images, _ = shown(source.test_batches(changed))
    assert torch.equal(images, normalise(small.permute(0, 2, 3, 1), changed.mean, changed.std))
    batch = next(source.stream(changed, 0).epoch(1))
    assert batch.images.shape[-2:] == (8, 8)
    assert next(source.stream(replace(changed, resize=None), 0).epoch(1)).images.shape[-1] == 16


def test_files_are_streamed(photos, recipe):
    changed = recipe(dataset="photos", batch_size=4, **RESIZED)
    stream = photos.stream(changed, 0)
    batch = next(stream.epoch(1))
    red = batch.images[:, 0, 0, 0] * changed.std[0] + changed.mean[0]  # of an image is its row's number
    assert (red * 255).round().int().tolist() == batch.indices.tolist()
    assert batch.images.shape == (4, 3, 16, 16)
    assert len(stream) == 2
    assert shown(photos.test_batches(changed))[1].tolist() == [0, 1, 0]
    assert photos.facts(changed) == {"name": "photos", "fingerprint": "abc", "official": None}


def test_files_are_held_out_too(photos, recipe):
    changed = recipe(dataset="photos", holdout=2, **RESIZED)
    images, labels = shown(photos.test_batches(changed))
    red = images[:, 0, 0, 0] * changed.std[0] + changed.mean[0]
    assert (red * 255).round().int().tolist() == [5, 6]
    assert labels.tolist() == [1, 0]
    assert photos.stream(changed, 0).num_samples == 5
    assert photos.stream(replace(changed, train_limit=3), 0).labels.tolist() == [0, 1, 0]
    with pytest.raises(UserError, match="train_limit must be from 1 to 5"):
        photos.stream(replace(changed, train_limit=6), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": "pad"}, "the images of photos have many sizes: set crop=resized and crop_padding=0"),
        ({"crop_padding": 4}, "crop_padding=0"),
        ({"crop_size": None}, "crop=resized needs crop_size, crop_scale and resize"),
        ({"crop_scale": None}, "crop=resized needs"),
        ({"resize": None}, "crop=resized needs"),
        ({"crop_size": 21}, "resize 20 is too small to cut 21 pixels out"),
    ],
)
def test_recipes_that_do_not_fit_files_are_errors(photos, recipe, change, message):
    changed = recipe(dataset="photos", **RESIZED | change)
    for use in (photos.test_batches, lambda changed: photos.stream(changed, 0)):
        with pytest.raises(UserError, match=message):
            use(changed)
