import hashlib
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from benchmark.errors import UserError
from benchmark.registry import catalog, plugins
from benchmark.training import weights
from benchmark.training.weights import load_weights, new_network, save_state, save_weights

CPU = torch.device("cpu")


@pytest.fixture
def job(make_job):
    return make_job("student")


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def test_parameters_are_saved_in_half_precision_and_saving_again_changes_nothing(job, tmp_path):
    network, other = new_network(job, CPU), new_network(job, CPU)
    save_weights(network, tmp_path / "a", job)
    sha = load_weights(other, tmp_path / "a", job)
    assert sha == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()
    parameters, loaded = dict(network.named_parameters()), other.state_dict()
    for name, tensor in network.state_dict().items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor.half().float() if name in parameters else tensor)
    save_weights(other, tmp_path / "b", job)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_statistics_keep_their_digits(job, tmp_path):
    network, other = new_network(job, CPU), new_network(job, CPU)
    for number, module in enumerate(norms(network)):
        module.running_var.fill_(1e-9 * (1 + number / 7))
        module.running_mean.fill_(1 / 3 + number)
        module.num_batches_tracked.fill_(123_456)
    save_weights(network, tmp_path / "w", job)
    load_weights(other, tmp_path / "w", job)
    for mine, theirs in zip(norms(network), norms(other), strict=True):
        for name, buffer in mine.named_buffers():
            assert torch.equal(buffer, getattr(theirs, name))
    saved = load_file(tmp_path / "w")
    assert {saved[name].dtype for name, _ in network.named_parameters()} == {torch.float16}
    assert {tensor.dtype for name, tensor in saved.items() if "running" in name} == {torch.float32}


def test_files_with_statistics_in_half_precision_still_load(job, tmp_path):
    network, other = new_network(job, CPU), new_network(job, CPU)
    halves = {key: value.half() if value.is_floating_point() else value for key, value in network.state_dict().items()}
    save_state(halves, tmp_path / "w", job)
    load_weights(other, tmp_path / "w", job)
    assert {tensor.dtype for tensor in other.state_dict().values() if tensor.is_floating_point()} == {torch.float32}


def test_tensor_too_large_for_half_is_kept_in_single(job, tmp_path):
    network, other = new_network(job, CPU), new_network(job, CPU)
    with torch.no_grad():
        network.classifier.weight[0, 0] = 1e5
        network.classifier.weight[0, 1] = 1 / 3
    save_weights(network, tmp_path / "w", job)
    load_weights(other, tmp_path / "w", job)
    assert torch.equal(other.classifier.weight, network.classifier.weight)
    assert torch.equal(other.classifier.bias, network.classifier.bias.half().float())


def test_initial_weights_follow_from_network_and_seed(make_job):
    def first(job):
        return next(new_network(job, CPU).parameters())

    base = first(make_job("student"))
    same = [make_job("kd"), make_job("srrl", epochs=7, lr=0.5, batch_size=16), make_job("student", width=0.25)]
    assert all(torch.equal(first(job), base) for job in same)
    others = [make_job("student", seed=1), make_job("student", "wrn-16-2"), make_job("student", in_size=16)]
    assert not any(torch.equal(first(job), base) for job in others)
    assert not torch.equal(first(make_job("student", dataset="cifar100")), base)
    whole, decimal = make_job("student", width=1), make_job("student", width=1.0)
    assert whole.id == decimal.id
    assert torch.equal(first(whole), first(decimal))
    assert first(whole).is_contiguous(memory_format=torch.channels_last)


def test_weights_of_another_run_or_none_are_refused(make_job, tmp_path):
    job, other = make_job("student"), make_job("student", seed=1)
    network, path = new_network(job, CPU), tmp_path / "w"
    save_weights(network, path, other)
    with pytest.raises(UserError, match="those of another run"):
        load_weights(network, path, job)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be read"):
        load_weights(network, path, job)


@pytest.fixture
def planned(job, monkeypatch, tmp_path):
    """A job whose network is taken for that of a plug-in."""
    path = tmp_path / "net.py"
    path.write_text("x = 1", encoding="utf-8")
    info = replace(catalog.networks()["wrn-16-2"], name=job.network, path=path, code=plugins.own_code(path))
    monkeypatch.setattr(catalog, "networks", lambda: {job.network: info})
    planned = replace(job)
    assert planned.spec["code"] == {"network": info.code}
    return planned


def test_a_network_whose_code_is_the_planned_one_is_built(planned, tmp_path):
    new_network(planned, CPU)
    (tmp_path / "net.py").write_text("x = 2", encoding="utf-8")  # which does not run in this process any more
    new_network(planned, CPU)


def test_a_network_whose_code_is_no_longer_the_planned_one_is_not_built(planned, tmp_path):
    (tmp_path / "net.py").write_text("x = 2", encoding="utf-8")
    with pytest.raises(UserError, match=f"the file of network {planned.network} changed after the plan was made"):
        new_network(planned, CPU)


@pytest.mark.parametrize(("part", "what"), [("code_of", "the file of data set"), ("content_of", "the images of")])
def test_a_data_set_that_is_no_longer_the_planned_one_is_not_used(part, what, job, monkeypatch):
    assert job.spec
    monkeypatch.setattr(weights, part, lambda _: "0" * 64)
    with pytest.raises(UserError, match=f"{what} {job.recipe.dataset} changed after the plan was made"):
        new_network(job, CPU)
