import pytest
import torch

from benchmark.errors import UserError
from benchmark.training import data


def test_each_data_set_is_loaded_once(tmp_path, make_job, monkeypatch):
    calls, load = [], data.load
    monkeypatch.setattr(data, "load", lambda name, *rest: (calls.append(name), load(name, *rest))[1])
    source = data.Source(torch.device("cpu"), None, tmp_path)
    recipe = make_job("student").recipe
    source.stream(recipe, 0)
    source.stream(recipe, 1)
    assert sum(len(targets) for _, targets in source.test_batches(recipe)) == 600
    assert source.num_classes(recipe) == 10
    assert source.facts(recipe)["official"]
    assert calls == ["digits"]


def test_batches_follow_from_recipe_and_seed(source, make_job):
    def first(job):
        return next(iter(source.stream(job.recipe, job.seed).epoch(1)))

    base = first(make_job("kd"))
    assert torch.equal(base.images, first(make_job("srrl", "wrn-16-2", epochs=9, lr=1.0)).images)
    assert not torch.equal(base.indices, first(make_job("kd", seed=1)).indices)
    assert base.images.shape == (32, 3, 8, 8)


def test_more_images_than_there_are(source, make_job):
    with pytest.raises(UserError, match="train_limit"):
        source.stream(make_job("kd", train_limit=1198).recipe, 0)
