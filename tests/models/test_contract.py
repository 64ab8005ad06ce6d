"""What every registered network must do; a new family is tested here without any change."""

import copy

import pytest
import torch
from torch import nn

import models

every = pytest.mark.parametrize("name", models.names())

# Half of each of its feats comes out of no batch-norm.
WITHOUT_NORMS = {"shufflenetv2"}

# Their blocks consume raw maps, of which they make no rectified ones.
RAW = set(models.names("*xnorpp*"))

# Rounding flips signs, each of which changes much.
SIGNS = set(models.names("*-binary*"))


def consumed(features, stage, name):
    """The map after a stage: a rectified, linear or raw feat itself, else what its pre-activation becomes."""
    if stage == len(features.feats) - 1:
        return features.map
    feat, preact = features.feats[stage], features.preacts[stage]
    return feat if name in RAW or feat is preact or bool((feat >= 0).all()) else preact.relu()


@every
@pytest.mark.parametrize("more", [0, 3])
def test_features_have_the_promised_form(build, images, name, more):
    network = build(name, models.made_for(name).smallest + more)
    features = network(images(network.in_size))
    shapes = network.shapes()
    assert features.logits.shape == (2, 5)
    assert features.embedding.shape == (2, shapes.embedding)
    assert tuple(tuple(feat.shape[1:]) for feat in features.feats) == shapes.feats
    assert [preact.shape for preact in features.preacts] == [feat.shape for feat in features.feats]
    for tensor in (features.logits, features.map, *features.feats, *features.preacts):
        assert tensor.isfinite().all()
    assert features.map.min() >= 0
    torch.testing.assert_close(features.embedding, features.map.mean((2, 3)))
    torch.testing.assert_close(features.logits, network.classifier(features.embedding))
    assert features.preacts[0] is features.feats[0]


@every
def test_a_training_step_reaches_every_parameter_and_batch_norm_once(build, images, name):
    network = build(name).train()
    network(images(network.in_size)).logits.square().sum().backward()
    unreached = [key for key, parameter in network.named_parameters() if parameter.grad is None]
    assert not unreached
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    counts = {int(m.num_batches_tracked) for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    assert counts == {1}


@every
def test_in_evaluation_an_image_does_not_depend_on_its_batch(trained, images, name):
    network = trained(name).double()
    batch = images(network.in_size, count=3).double()
    with torch.no_grad():
        together, alone = network(batch), network(batch[1:2])
    torch.testing.assert_close(together.logits[1:2], alone.logits)


@every
def test_resuming_gives_the_logits_of_the_whole_pass(trained, images, name):
    network = trained(name).double()
    with torch.no_grad():
        features = network(images(network.in_size).double())
        for stage in range(1, len(features.feats)):
            logits = network.resume(stage, consumed(features, stage, name))
            torch.testing.assert_close(logits, features.logits)
    for stage in (-1, 0, len(features.feats)):
        with pytest.raises(ValueError, match="stage"):
            network.resume(stage, features.map)


@pytest.mark.parametrize("name", sorted(set(models.names()) - WITHOUT_NORMS))
def test_the_norms_before_the_feats_are_those_of_the_trunk_s_maps(build, name):
    network = build(name)
    norms = network.preact_norms()
    assert [norm.num_features for norm in norms] == [channels for channels, _, _ in network.shapes().feats[1:]]
    assert len({id(norm) for norm in norms}) == len(norms)


@every
def test_the_trunk_is_what_the_last_feat_depends_on(build, images, name):
    network = build(name)
    network(images(network.in_size)).feats[-1].sum().backward()
    needed = {key for key, parameter in network.named_parameters() if parameter.grad is not None}
    trunk = {id(parameter) for module in network.trunk() for parameter in module.parameters()}
    assert {key for key, parameter in network.named_parameters() if id(parameter) in trunk} == needed


@every
def test_a_copy_stands_alone(build, name):
    network = build(name)
    twin = copy.deepcopy(network)
    own = {id(module) for module in twin.modules()}
    norms = () if name in WITHOUT_NORMS else twin.preact_norms()
    assert all(id(module) in own for module in (*norms, *twin.trunk(), twin.classifier))


@every
def test_channels_last_changes_nothing(trained, images, name):
    network = trained(name).double()
    batch = images(network.in_size).double()
    with torch.no_grad():
        expected = network(batch)
        actual = network.to(memory_format=torch.channels_last)(batch.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(actual.logits, expected.logits)
    torch.testing.assert_close(actual.map, expected.map)


@every
def test_runs_under_autocast(trained, images, name):
    network = trained(name)
    batch = images(network.in_size)
    with torch.no_grad():
        expected = network(batch)
        with torch.autocast("cpu", torch.bfloat16):
            features = network(batch)
    assert features.logits.dtype == torch.bfloat16
    assert features.map.isfinite().all()
    actual, wanted = (f.feats[0] if name in SIGNS else f.map for f in (features.full(), expected))
    assert (actual - wanted).norm() < 0.1 * wanted.norm()


@every
def test_weights_depend_on_the_seed_alone(build, name):
    first, again, other = build(name).state_dict(), build(name).state_dict(), build(name, seed=1).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


@every
def test_the_width_factor_scales_the_network(build, images, name):
    sizes = []
    for width in (0.01, 0.25, 0.4):
        network = build(name, width=width)
        sizes.append(sum(parameter.numel() for parameter in network.parameters()))
        assert network(images(network.in_size)).logits.isfinite().all()
    assert sizes == sorted(set(sizes))
