"""Networks that are made of any module: their features against the module's own numbers, by every kind of output."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer
from torchvision.models.swin_transformer import SwinTransformer

import models
from methods import NotApplicableError
from models import MissingPartError, wrap
from models.published_weights import load_published

SIZE = 16


class Small(nn.Module):
    """A stem, two stages with batch-norm, an average and a classifier."""

    def __init__(self, *, inplace=False):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=inplace))
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU(inplace=inplace)
        self.stage = nn.Sequential(
            nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.BatchNorm2d(12), nn.ReLU(inplace=inplace)
        )
        self.fc = nn.Linear(12, 5)

    def forward(self, images):
        return self.fc(self.stage(self.act(self.norm(self.stem(images)))).mean((2, 3)))


class Tail(Small):
    """Does something after its classifier."""

    def __init__(self, tail):
        super().__init__()
        self.tail = tail

    def forward(self, images):
        return self.tail(super().forward(images))


class Made(nn.Module):
    """Gives images another shape, beside an output that is plainly channels-last."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape
        self.made, self.also = nn.Identity(), nn.Identity()
        self.fc = nn.Linear(3, 5)

    def forward(self, images):
        self.made(images.flatten(start_dim=1)[:, : torch.Size(self.shape).numel()].unflatten(1, self.shape))
        self.also(images.new_zeros(len(images), 7, 7, 2))
        return self.fc(images.mean((2, 3)))


def small(**options):
    torch.manual_seed(0)
    return wrap(Small(), ["stem", "act", "stage"], **({"in_size": SIZE} | options))


@pytest.fixture
def batch(images):
    return images(SIZE)


def vision_transformer():
    torch.manual_seed(0)
    module = VisionTransformer(32, 8, num_layers=4, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5)
    nn.init.normal_(module.heads.head.weight)
    places = [f"encoder.layers.encoder_layer_{layer}" for layer in (1, 3)]
    return module, wrap(copy.deepcopy(module), ["encoder.dropout", *places], "heads.head", map=None, in_size=32)


def test_features_are_the_outputs_of_the_named_modules_and_the_logits_those_of_the_module(batch):
    module = small().wrapped  # the weights of seed 0, without the classifier
    network = small()
    features = network(batch)
    assert [tuple(feat.shape[1:]) for feat in features.feats] == [(8, 16, 16), (8, 16, 16), (12, 8, 8)]
    torch.testing.assert_close(features.feats[0], module.stem(batch))
    assert features.map is features.feats[-1]
    assert all(preact is feat for preact, feat in zip(features.preacts, features.feats, strict=True))
    torch.testing.assert_close(features.embedding, features.map.mean((2, 3)))
    torch.manual_seed(0)
    torch.testing.assert_close(features.logits, Small()(batch))


def test_a_network_knows_its_name_size_and_classes():
    network = small(name="mine")
    shapes = network.shapes()
    assert (network.name, network.num_classes, network.in_size) == ("mine", 5, SIZE)
    assert (shapes.name, shapes.family, shapes.map, shapes.num_classes) == ("mine", "mine", (12, 8, 8), 5)
    assert small().name == "small"


def test_activations_in_place_overwrite_no_preact(batch):
    torch.manual_seed(0)
    network = wrap(Small(inplace=True), ["stem", "act", "stage"], preacts=["stem.0", "norm", "stage.1"])
    features = network(batch)
    assert all(preact.min() < 0 for preact in features.preacts)
    for preact, feat in zip(features.preacts, features.feats, strict=True):
        torch.testing.assert_close(preact.relu(), feat)


def test_an_output_that_is_overwritten_by_an_operation_in_place_is_refused(batch):
    class Adds(Small):
        def forward(self, images):
            return self.fc(self.stage(self.stem(images).add_(1)).mean((2, 3)))

    with pytest.raises(ValueError, match="adds: 'stem' returns a tensor that is overwritten in place"):
        wrap(Adds(), ["stem"])(batch)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (nn.Softmax(1), "small: its forward does not return the output of 'fc' as it is"),
        (lambda logits: {"logits": logits}, "small: its forward does not return the output of 'fc' as it is"),
    ],
)
def test_a_module_that_goes_on_after_its_classifier_is_refused(batch, tail, message):
    with pytest.raises(ValueError, match=message):
        wrap(Tail(tail), name="small")(batch)


@pytest.mark.parametrize(
    ("feats", "options", "message"),
    [
        (["stem", "layer9"], {}, "small has no submodule 'layer9': at the top it has stem, norm, act, stage, fc"),
        (["stem"], {"classifier": "head"}, "small has no submodule 'head'"),
        (["stem"], {"classifier": "stage"}, "'stage' is a Sequential, not its final Linear layer"),
        (["stem"], {"map": "nothing"}, "small has no submodule 'nothing'"),
        (["stem", "stage"], {"preacts": ["norm"]}, "there are 1 preacts of 2 feats"),
    ],
)
def test_places_that_do_not_exist_are_refused_in_one_line(feats, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        wrap(Small(), feats, **options)
    assert "\n" not in str(caught.value)


def test_a_module_that_is_not_called_or_returns_no_tensor_is_refused_by_name(batch):
    class Unused(Small):
        def __init__(self):
            super().__init__()
            self.spare, self.both = nn.Identity(), nn.GRU(16, 4, batch_first=True)

        def forward(self, images):
            self.both(images[:, 0])
            return super().forward(images)

    with pytest.raises(ValueError, match="unused: 'spare' is not called"):
        wrap(Unused(), ["spare"])(batch)
    with pytest.raises(ValueError, match="unused: 'both' returns a tuple, not a tensor"):
        wrap(Unused(), ["both"])(batch)


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (None, {}, "a torch module can be wrapped, not None"),
        (nn.Sequential(nn.Linear(3, 2)), {"feats": "stem"}, "feats and preacts are lists of names"),
        (nn.Sequential(nn.Linear(3, 2)), {"classifier": "0", "prefix_tokens": -3}, "prefix_tokens must be at least 0"),
    ],
)
def test_arguments_of_another_kind_are_refused(module, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        wrap(module, **options)


def test_nothing_is_kept_between_passes(batch):
    network = small().eval()
    before = copy.deepcopy(network.state_dict())
    first, other, again = network(batch), network(2 * batch), network(batch)
    assert all(torch.equal(one, two) for one, two in zip(first.feats, again.feats, strict=True))
    assert not torch.equal(first.feats[0], other.feats[0])
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())


def test_a_pass_that_fails_leaves_no_hooks(batch):
    network = small()
    with pytest.raises(RuntimeError):
        network(batch[:, :2])
    assert not any(module._forward_hooks for module in network.modules())


def test_mode_and_copies_are_those_of_the_module(batch):
    network = small()
    twin = copy.deepcopy(network).eval()
    assert network.wrapped.norm.training
    assert not twin.wrapped.norm.training
    with torch.no_grad():
        twin.wrapped.stem[0].weight.zero_()
    assert network(batch).feats[0].std() > 0
    assert twin(batch).feats[0].std(dim=(0, 2, 3)).max() == 0


def test_keys_are_those_of_the_module_after_a_prefix_and_the_classifier_s():
    keys = small().state_dict().keys()
    assert keys == {
        *(f"wrapped.{key}" for key in Small().state_dict() if not key.startswith("fc.")),
        "classifier.weight",
        "classifier.bias",
    }


@pytest.mark.parametrize("with_prefix", [False, True])
def test_published_weights_are_loaded_by_the_module_s_names_and_by_those_of_the_network(with_prefix):
    torch.manual_seed(1)
    other = Small()
    state = wrap(copy.deepcopy(other)).state_dict() if with_prefix else other.state_dict()
    network = small()
    load_published(network, state)
    assert torch.equal(network.classifier.weight, other.fc.weight)
    assert torch.equal(network.wrapped.stage[0].weight, other.stage[0].weight)


def test_published_weights_of_a_classifier_inside_of_classifier_are_loaded():
    class Deep(nn.Sequential):
        def __init__(self):
            layers = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 3))
            super().__init__()
            self.classifier = layers

        def forward(self, images):
            return self.classifier(images)

    other, network = Deep(), wrap(Deep(), classifier="classifier.2", in_size=2)
    load_published(network, other.state_dict())
    images = torch.ones(1, 3, 2, 2)
    assert torch.equal(network(images).logits, other(images))


def test_another_classifier_can_take_its_place(batch):
    network = small()
    network.classifier = nn.Linear(12, 7)
    assert network(batch).logits.shape == (2, 7)


def test_tokens_become_a_map_without_the_class_token(images):
    module, network = vision_transformer()
    features, seen = network(images(32)), {}
    module.encoder.layers[3].register_forward_hook(lambda _, __, output: seen.update(tokens=output))
    torch.testing.assert_close(features.logits, module(images(32)))
    assert [tuple(feat.shape[1:]) for feat in features.feats] == [(16, 4, 4)] * 3
    torch.testing.assert_close(features.feats[-1].flatten(start_dim=2), seen["tokens"][:, 1:].mT)
    assert features.map.shape == (2, 16, 1, 1)
    torch.testing.assert_close(features.map.flatten(start_dim=1), features.embedding)


@pytest.mark.parametrize(
    ("shape", "prefix", "expected"),
    [
        ((16, 3), None, (3, 4, 4)),
        ((18, 3), None, (3, 4, 4)),
        ((21, 3), None, (3, 4, 4)),
        ((9, 3), 5, (3, 2, 2)),
        ((16, 3), 1, (3, 4, 4)),
        ((6, 4, 4), None, (6, 4, 4)),
        ((4, 4, 6), None, (6, 4, 4)),
        ((4, 4, 4), None, (4, 4, 4)),
        ((5,), None, (5, 1, 1)),
    ],
)
def test_outputs_become_maps_by_their_shape(batch, shape, prefix, expected):
    network = wrap(Made(*shape), ["made"], prefix_tokens=prefix)
    feat = network(batch).feats[0]
    assert feat.shape[1:] == expected
    made = batch.flatten(start_dim=1)[:, : torch.Size(shape).numel()].unflatten(1, shape)
    last = {1: made, 2: made[:, made.shape[1] - expected[1] ** 2 :].mT, 3: made}[len(shape)]
    last = last.movedim(-1, 1) if shape == (4, 4, 6) else last
    torch.testing.assert_close(feat.flatten(start_dim=1), last.flatten(start_dim=1))


def test_where_all_sides_are_equal_another_output_says_whether_channels_come_last(batch):
    alone, together = (wrap(Made(4, 4, 4), places)(batch).feats[0] for places in (["made"], ["made", "also"]))
    torch.testing.assert_close(together, alone.movedim(3, 1))


def test_tokens_that_are_no_square_after_the_prefix_are_refused(batch):
    with pytest.raises(ValueError, match="made: of the 7 tokens of 'made', no square follows 1"):
        wrap(Made(7, 3), ["made"], prefix_tokens=1)(batch)


def test_channels_of_swin_come_first(images):
    torch.manual_seed(0)
    module = SwinTransformer([4, 4], 8, [1, 1], [1, 2], [2, 2], stochastic_depth_prob=0.0, num_classes=5).eval()
    network = wrap(copy.deepcopy(module), ["features.0", "features.1", "features.3"], "head", map="permute", in_size=32)
    features = network.eval()(images(32))
    assert network.shapes().feats == ((8, 8, 8), (8, 8, 8), (16, 4, 4))
    torch.testing.assert_close(features.feats[0], module.features[0](images(32)).movedim(3, 1))
    torch.testing.assert_close(features.logits, module(images(32)))
    torch.testing.assert_close(features.map.mean((2, 3)), features.embedding)


def test_a_map_of_other_channels_gives_way_to_the_embedding(batch):
    features = small(map="stem")(batch)
    assert torch.equal(features.map, features.embedding[:, :, None, None])


def test_runs_under_autocast_and_in_channels_last_memory(batch):
    network = small().eval()
    with torch.no_grad():
        expected = network(batch)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(batch)
        moved = network.to(memory_format=torch.channels_last)(batch.to(memory_format=torch.channels_last))
    assert half.logits.dtype == torch.bfloat16
    torch.testing.assert_close(half.full().logits, expected.logits, atol=0.05, rtol=0.05)
    torch.testing.assert_close(moved.map, expected.map)


def test_inference_mode_gives_the_same(batch):
    network = small().eval()
    with torch.inference_mode():
        found = network(batch).map
    torch.testing.assert_close(found.clone(), network(batch).map.detach())


def test_a_gradient_reaches_every_parameter(batch):
    network = small()
    network(batch).logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(("part", "arguments"), [("resume", (1, None)), ("preact_norms", ()), ("trunk", ())])
def test_parts_that_hooks_do_not_give_are_missing(part, arguments):
    with pytest.raises(MissingPartError):
        getattr(small(), part)(*arguments)


def test_without_feats_there_are_logits_and_an_embedding_and_maps_of_stages_are_missing(batch):
    network = wrap(Small(), in_size=SIZE, name="plain")
    features, shapes = network(batch), network.shapes()
    assert features.logits.shape == (2, 5)
    assert (shapes.map, shapes.embedding, len(shapes.feats)) == ((12, 1, 1), 12, 0)
    assert [*features.feats, *features.preacts] == []
    for missing in (features.feats, features.preacts, features.full().feats, shapes.feats):
        for index in (-1, slice(1, None)):
            with pytest.raises(MissingPartError, match="plain has no maps of stages: it was wrapped without feats"):
                missing[index]
    assert copy.deepcopy(shapes.feats).network == "plain"


def test_a_method_of_stages_does_not_apply_to_a_network_without_feats(batch):
    from benchmark.training.loss import not_applicable_without_parts
    from methods.sp import SP

    network = wrap(Small(), in_size=SIZE, name="plain")
    with (
        pytest.raises(NotApplicableError, match="SP needs maps of stages, which plain lacks"),
        not_applicable_without_parts(SP),
    ):
        network(batch).full().feats[-1]


def test_one_line_registers_a_wrapped_network(monkeypatch):
    models.names()  # registers the families, before what is registered is replaced
    monkeypatch.setattr(models.registry, "registered", dict(models.registry.registered))
    models.register("one-line")(lambda _: wrap(Small(), ["stem", "act", "stage"]))
    network = models.create("one-line", num_classes=5, in_size=12)
    assert (network.name, network.in_size, network.shapes().map) == ("one-line", 12, (12, 6, 6))
