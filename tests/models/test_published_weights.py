"""Files of published weights: what is read, loaded, fetched and refused."""

import hashlib
import os
import pickle
import re
from argparse import Namespace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

import models
from models import Network
from models.published_weights import (
    LoadedPart,
    PublishedError,
    decrement,
    download,
    load_published,
    read_published,
    sha256,
)


def saved(folder, content, name="teacher.pth", **options):
    torch.save(content, folder / name, **options)
    return folder / name


@pytest.fixture
def theirs(build):
    """A network's state dict under published names."""

    def _theirs(name, width=0.25):
        state = build(name, width=width, seed=1).state_dict()
        return {key.replace("classifier", "fc"): tensor for key, tensor in state.items()}

    return _theirs


@pytest.mark.parametrize("name", models.names())
def test_own_names_stay(build, name):
    network, state = build(name), build(name, seed=1).state_dict()
    load_published(network, state)
    assert all(torch.equal(tensor, state[key]) for key, tensor in network.state_dict().items())


def test_numbers_are_counted_from_zero():
    assert re.sub(r"^a(\d+)\.b(\d+)", decrement("c{}.d{}"), "a10.b1.e") == "c9.d0.e"


@pytest.mark.parametrize("form", ["bare", "state_dict", "safetensors"])
def test_the_state_dict_is_found_and_its_parallel_prefix_goes(tmp_path, theirs, form):
    state = theirs("resnet8x4")
    parallel = {f"module.{key}": tensor for key, tensor in state.items()}
    if form == "safetensors":
        save_file(parallel, tmp_path / "teacher.pth")
    else:
        saved(tmp_path, parallel if form == "bare" else {"state_dict": parallel})
    read = read_published(tmp_path / "teacher.pth")
    assert read.keys() == state.keys()
    assert all(torch.equal(read[key], state[key]) for key in state)


@pytest.mark.parametrize("scalar", [np.float64(73.2), np.float32(73.2), np.int64(73), np.bool_(1)])
@pytest.mark.parametrize("module", [b"numpy._core.multiarray", b"numpy.core.multiarray"])
def test_accuracies_may_be_numpy_s(tmp_path, scalar, module):
    content = {"model": {"weight": torch.arange(3.0)}, "best_acc": scalar}
    # The older of torch's two formats, where a name can be exchanged for another one.
    path = saved(tmp_path, content, _use_new_zipfile_serialization=False)
    raw = path.read_bytes()
    written = re.search(rb"numpy\.(_core|core)\.multiarray", raw)[0]
    path.write_bytes(raw.replace(written, module))
    assert read_published(path)["weight"].tolist() == [0, 1, 2]
    assert read_published(saved(tmp_path, content))["weight"].tolist() == [0, 1, 2]


def test_nothing_more_is_trusted_afterwards(tmp_path):
    path = saved(tmp_path, {"model": {"weight": torch.zeros(1)}, "best_acc": np.float64(1)})
    read_published(path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("write", ["torch", "old torch", "pickle"])
def test_a_file_that_runs_code_is_refused_and_does_not(tmp_path, write):
    content = {"model": {"weight": torch.zeros(1)}, "opt": Trap(tmp_path / "sprung")}
    path = tmp_path / "teacher.pth"
    if write == "pickle":
        path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=write == "torch")
    with pytest.raises(PublishedError, match=r"teacher.pth is refused, as it calls for \w+\.mkdir of Python: save"):
        read_published(path)
    assert not (tmp_path / "sprung").exists()
    with path.open("rb") as file:
        assert write != "pickle" or pickle.load(file) is None
    assert (write == "pickle") == (tmp_path / "sprung").exists()


def test_options_of_a_training_are_ignored_and_other_objects_refused_by_name(tmp_path):
    path = saved(tmp_path, {"model": {"weight": torch.ones(1)}, "opt": Namespace(epochs=240)})
    assert read_published(path)["weight"] == 1
    path = saved(tmp_path, {"model": {"weight": torch.zeros(1)}, "when": Fraction(1, 2)})
    with pytest.raises(PublishedError, match=r"calls for fractions\.Fraction of Python: save its state dict alone"):
        read_published(path)


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("part", [0.5, 0.98])
def test_truncated_files_are_damaged(tmp_path, modern, part):
    path = saved(tmp_path, {"weight": torch.zeros(5000)}, _use_new_zipfile_serialization=modern)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * part)])
    with pytest.raises(PublishedError, match=r"teacher.pth is no file of weights, or it is damaged$"):
        read_published(path)


@pytest.mark.parametrize("name", ["teacher.pth", "teacher.safetensors"])
@pytest.mark.parametrize("content", [bytes(8), bytes(range(256))])
def test_other_files_are_no_weights(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PublishedError, match=rf"{name} is no file of weights, or it is damaged$"):
        read_published(tmp_path / name)


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors", "folder.pth"])
def test_what_is_no_file_cannot_be_read(tmp_path, name):
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(PublishedError, match=rf"{name} cannot be read: [^\n]+$"):
        read_published(tmp_path / name)


@pytest.mark.parametrize("content", [{}, {"model": {}}, {"model": {"epoch": 3}}, {"state": {"a": 1}}, [torch.zeros(1)]])
def test_files_without_a_state_dict_are_refused(tmp_path, content):
    with pytest.raises(PublishedError, match="holds no state dict: it must be one, or have one under 'model' or"):
        read_published(saved(tmp_path, content))


def changed(state, **changes):
    return {key: tensor for key, tensor in {**state, **changes}.items() if tensor is not None}


REFUSALS = {
    "shape": ({"fc.weight": torch.zeros(10, 64)}, "fc.weight is (10, 64), it must be (5, 64)"),
    "missing": ({"layer3.0.bn2.running_var": None}, "layer3.0.bn2.running_var is missing"),
    "left over": ({"layer4.0.conv1.weight": torch.zeros(1)}, "layer4.0.conv1.weight is left over"),
    "twice": ({"linear.bias": torch.zeros(5)}, "linear.bias is given twice"),
    "two": ({"bn1.weight": None, "bn1.bias": None}, "bn1.weight is missing (and 1 more)"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_state_dict_that_does_not_fit_changes_nothing(build, theirs, case):
    changes, reason = REFUSALS[case]
    network = build("resnet8x4")
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(PublishedError) as caught:
        load_published(network, changed(theirs("resnet8x4"), **changes))
    assert str(caught.value) == f"this is no resnet8x4: {reason}"
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def test_another_network_s_weights_are_refused(build, theirs):
    with pytest.raises(PublishedError) as caught:
        load_published(build("resnet32x4", width=1.0), theirs("resnet20", width=1.0))
    first = "conv1.weight is (16, 3, 3, 3), it must be (32, 3, 3, 3)"
    # Two blocks of ten tensors are missing in each stage, and so are the five of the first one's projection.
    shapes, missing = 1 + 4 + 3 * (3 * 10) + 2 * 5 + 1, 3 * 2 * 10 + 5
    assert str(caught.value) == f"this is no resnet32x4: {first} (and {shapes + missing - 1} more)"


def test_counts_of_batches_do_not_matter(build, theirs):
    state = theirs("resnet8x4")
    without = {key: tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")}
    for given in (without, {**state, "bn9.num_batches_tracked": torch.tensor(1)}):
        network = build("resnet8x4")
        load_published(network, given)
        assert torch.equal(network.classifier.weight, state["fc.weight"])
    load_published(network, {name: tensor.half() for name, tensor in state.items()})  # counts in floating point
    assert network.bn1.num_batches_tracked == 0
    load_published(network, changed(state, **{"bn1.num_batches_tracked": torch.tensor(7)}))
    assert network.bn1.num_batches_tracked == 7


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_may_be_of_another_floating_type(build, theirs, dtype):
    state, network = theirs("resnet8x4"), build("resnet8x4")
    taken = load_published(network, changed(state, **{"fc.weight": state["fc.weight"].to(dtype)}))
    assert torch.equal(network.classifier.weight, state["fc.weight"].to(dtype).float())
    assert taken == LoadedPart(rounded=dtype == torch.float64)


FLOATS = "it must be one of float16, bfloat16, float32, float64"
UNUSABLE = {
    "complex": (torch.zeros(5, dtype=torch.complex64), f"is of type complex64, {FLOATS}"),
    "integer": (torch.zeros(5, dtype=torch.int32), f"is of type int32, {FLOATS}"),
    "byte": (torch.zeros(5, dtype=torch.uint8), f"is of type uint8, {FLOATS}"),
    "bool": (torch.zeros(5, dtype=torch.bool), f"is of type bool, {FLOATS}"),
    "float8": (torch.zeros(5).to(torch.float8_e4m3fn), f"is of type float8_e4m3fn, {FLOATS}"),
    "sparse": (torch.zeros(5).to_sparse(), "is not a dense tensor of numbers"),
    "nowhere": (torch.zeros(5, device="meta"), "is not a dense tensor of numbers"),
    "NaN": (torch.tensor([0, 0, 0, 0, float("nan")]), "holds NaN or infinite values"),
    "infinite": (torch.tensor([-float("inf"), 0, 0, 0, 0]).half(), "holds NaN or infinite values"),
    "too large": (torch.full((5,), 1e300, dtype=torch.float64), "holds NaN or infinite values"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_weights_of_another_kind_are_refused_by_name(tmp_path, build, theirs, case):
    tensor, reason = UNUSABLE[case]
    path = saved(tmp_path, {"model": changed(theirs("resnet8x4"), **{"fc.bias": tensor})})
    network = build("resnet8x4")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(PublishedError) as caught:
        load_published(network, read_published(path))
    assert str(caught.value) == f"these weights cannot be used: fc.bias {reason}"
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def named(prefix, state):
    return {f"{prefix}{key}": tensor for key, tensor in state.items()}


BESIDE = {"module.conv_reg.conv.weight": torch.zeros(3), "module.embed_s.linear.bias": torch.zeros(2)}
"""What distillation trains beside the networks."""


class TestDistillations:
    """Files that hold networks as a distillation names them."""

    @pytest.fixture
    def states(self, build):
        """Tensors of two networks of one architecture, and of another one."""
        made = {"a": build("resnet8x4", seed=1), "b": build("resnet8x4", seed=2), "c": build("resnet20", seed=3)}
        return {name: network.state_dict() for name, network in made.items()}

    @pytest.fixture
    def load(self, tmp_path, build):
        """Saves a state dict as mdistiller does, reads it and loads it; gives the classifier's weight and the rest."""

        def make(state, part="", network="resnet8x4"):
            kept = {"epoch": 9, "model": state, "optimizer": {"state": {}}, "best_acc": torch.tensor(70.0)}
            filled = build(network)
            taken = load_published(filled, read_published(saved(tmp_path, kept, "latest")), part)
            return filled.classifier.weight, taken

        return make

    @pytest.mark.parametrize("name", ["student", "teacher"])
    @pytest.mark.parametrize("prefix", ["module.{}.", "{}.", "{}.module."])
    @pytest.mark.parametrize("beside", [{}, BESIDE])
    @pytest.mark.parametrize("part", [True, False])
    def test_one_network_is_taken(self, states, load, name, prefix, beside, part):
        weight, taken = load({**named(prefix.format(name), states["a"]), **beside}, name if part else "")
        assert torch.equal(weight, states["a"]["classifier.weight"])
        assert taken == LoadedPart(name)

    @pytest.mark.parametrize(("student", "teacher", "expected"), [("a", "c", "student"), ("c", "a", "teacher")])
    def test_of_two_the_one_that_fits_is_taken(self, states, load, student, teacher, expected):
        both = {**named("module.teacher.", states[teacher]), **named("module.student.", states[student]), **BESIDE}
        weight, taken = load(both)
        assert torch.equal(weight, states["a"]["classifier.weight"])
        assert (taken.part, {taken.part, taken.other}) == (expected, {"student", "teacher"})

    def test_where_both_fit_it_is_asked_which(self, states, load):
        both = {**named("module.student.", states["a"]), **named("module.teacher.", states["b"]), **BESIDE}
        choices = "--teacher resnet8x4=FILE:student or --teacher resnet8x4=FILE:teacher"
        with pytest.raises(PublishedError, match=f"two networks that are a resnet8x4 each: choose one, {choices}$"):
            load(both)
        for part, name in (("student", "a"), ("teacher", "b")):
            weight, taken = load(both, part)
            assert torch.equal(weight, states[name]["classifier.weight"])
            assert taken.part == part

    def test_what_cannot_be_used_is_not_passed_over_for_the_other(self, states, load):
        broken = {**states["a"], "bn1.bias": torch.full_like(states["a"]["bn1.bias"], float("nan"))}
        both = {**named("student.", broken), **named("teacher.", states["b"])}
        with pytest.raises(PublishedError, match="choose one"):
            load(both)
        for beside in ("b", "c"):
            with pytest.raises(PublishedError, match=r"bn1\.bias holds NaN"):
                load({**both, **named("teacher.", states[beside])}, "student")

    def test_where_none_fits_it_is_said_of_both(self, states, load):
        with pytest.raises(PublishedError) as caught:
            load({**named("module.student.", states["a"]), **named("module.teacher.", states["b"])}, network="resnet20")
        [start, student, teacher] = re.split(": |; ", str(caught.value))
        assert start == "this is no resnet20"
        assert student.startswith("student.")
        assert teacher.startswith("teacher.")

    @pytest.mark.parametrize(
        ("state", "says"),
        [
            (lambda states: named("module.student.", states["a"]), "it holds no teacher, only a student"),
            (lambda states: states["a"], "it holds no teacher, only one network, which has no such name"),
        ],
    )
    def test_a_network_that_is_not_there_cannot_be_chosen(self, states, load, state, says):
        with pytest.raises(PublishedError, match=f"{says}: give the file without ':teacher'"):
            load(state(states), "teacher")

    def test_a_network_may_have_a_part_of_that_name(self):
        class Pair(Network):
            name = "pair"

            def __init__(self):
                super().__init__()
                self.student, self.teacher = nn.Linear(2, 2), nn.Linear(2, 2)

        network, other = Pair(), Pair()
        assert load_published(network, other.state_dict()) == LoadedPart()
        assert torch.equal(network.teacher.weight, other.teacher.weight)


@pytest.fixture
def hosted(tmp_path, monkeypatch):
    """Puts a file where torchvision's weights seem to be: its URL, and the folder to download to."""

    def _hosted(content=b"weights", digits=None):
        digits = digits or hashlib.sha256(content).hexdigest()[:8]
        file = tmp_path / "host" / f"resnet34-{digits}.pth"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        monkeypatch.setattr(torchvision.models, "get_weight", lambda _: SimpleNamespace(url=file.as_uri()))
        return file, tmp_path / "cache"

    return _hosted


NAME = "ResNet34_Weights.IMAGENET1K_V1"


def test_weights_are_downloaded_once(hosted):
    file, folder = hosted()
    path = download(NAME, folder)
    assert path == folder / file.name
    assert path.read_bytes() == b"weights"
    file.unlink()
    assert download(NAME, folder) == path


def test_a_damaged_file_is_downloaded_again(hosted):
    file, folder = hosted()
    folder.mkdir()
    (folder / file.name).write_bytes(b"half")
    assert download(NAME, folder).read_bytes() == b"weights"


def test_an_unreachable_file_is_to_be_fetched_by_hand(hosted):
    file, folder = hosted()
    file.unlink()
    with pytest.raises(PublishedError) as caught:
        download(NAME, folder)
    start, end = (
        f"{NAME} cannot be downloaded (",
        f"): fetch {file.as_uri()} by hand and give the file with --teacher NAME=FILE",
    )
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith(end)
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_file_of_another_content_is_not_kept(hosted):
    _, folder = hosted(digits="0123abcd")
    with pytest.raises(PublishedError, match=r"0123abcd.*fetch file://"):
        download(NAME, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("size", [18, 34, 50])
def test_the_address_is_torchvision_s(monkeypatch, tmp_path, size):
    asked = []
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda url, *_, **__: asked.append(url))
    weights = f"ResNet{size}_Weights.IMAGENET1K_V1"
    assert download(weights, tmp_path).name == asked[0].rpartition("/")[2]
    assert asked == [torchvision.models.get_weight(weights).url]


@pytest.mark.parametrize("name", ["resnet34", "ResNet34_Weights.IMAGENET1K_V9", "Nothing_Weights.DEFAULT", "resnet.a"])
def test_unknown_weights_are_named(tmp_path, name):
    with pytest.raises(PublishedError, match=rf"no weights '{name}': they are named as in ResNet34_Weights"):
        download(name, tmp_path)


def test_sha256_is_that_of_the_content(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
