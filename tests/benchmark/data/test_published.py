"""CIFAR-10, CIFAR-100 and STL-10 from Parquet and from torchvision's files."""

import hashlib
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from benchmark.data import cifar100, describe, files, load
from benchmark.data.dataset import canonical
from benchmark.errors import UserError

FORMS = {
    "shuffled": {"shuffle": 7},
    "webp": {"form": "WEBP", "shuffle": 8},
    "columns": {"image": "img", "label": "fine_label"},
    "plain": {"plain": True},
}


def assert_same(dataset, train, test):
    for split, expected in ((dataset.train, canonical(train)), (dataset.test, canonical(test))):
        np.testing.assert_array_equal(split.images, expected.images)
        np.testing.assert_array_equal(split.labels, expected.labels)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64


@pytest.mark.parametrize("form", FORMS)
def test_every_parquet_form_gives_the_same_arrays(tmp_path, small, parquet_dir, write_parquet, form):
    other = tmp_path / "other"
    for name, split in zip(("train", "test"), small, strict=True):
        write_parquet(other / "cifar100" / f"{name}-00000-of-00001.parquet", split, **FORMS[form])
    first, second = load("cifar100", parquet_dir, tmp_path / "cache"), load("cifar100", other, tmp_path / "cache")
    assert_same(first, *small)
    assert_same(second, *small)
    assert first.fingerprint == second.fingerprint
    assert not first.official


def with_sum(path, content):
    """Writes a file; returns its name and its MD5, as torchvision lists them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return [path.name, hashlib.md5(content, usedforsecurity=False).hexdigest()]


def write_cifar(folder, monkeypatch, train, test):
    """CIFAR's files, two training batches in CIFAR-10: the checksums of torchvision's class are replaced."""
    from torchvision import datasets

    ten = folder.name == "cifar-10-batches-py"
    kind, labels, names = (
        (datasets.CIFAR10, "labels", "label_names") if ten else (datasets.CIFAR100, "fine_labels", "fine_label_names")
    )
    half = len(train) // 2 if ten else len(train)
    batches = {"train": (train, slice(half)), "train_2": (train, slice(half, None)), "test": (test, slice(None))}
    sums = {}
    for name, (split, rows) in batches.items():
        if len(split.labels[rows]):
            pixels = split.images[rows].transpose(0, 3, 1, 2).reshape(len(split.labels[rows]), -1)
            content = pickle.dumps({"data": pixels, labels: split.labels[rows].tolist()})
            sums[name] = with_sum(folder / name, content)
    monkeypatch.setattr(kind, "test_list", [sums.pop("test")])
    monkeypatch.setattr(kind, "train_list", list(sums.values()))
    meta = with_sum(folder / "meta", pickle.dumps({names: ["a class"] * 100}))
    monkeypatch.setattr(kind, "meta", {"filename": "meta", "key": names, "md5": meta[1]})


def write_stl10(folder, monkeypatch, train, test):
    """STL-10's files without the images that have no labels: channels first, by columns; labels from 1."""
    from torchvision.datasets import STL10

    for name, split in (("train", train), ("test", test)):
        pixels, labels = split.images.transpose(0, 3, 2, 1), (split.labels + 1).astype(np.uint8)
        parts = {"X": pixels, "y": labels}
        sums = [with_sum(folder / f"{name}_{part}.bin", array.tobytes()) for part, array in parts.items()]
        absent = [["unlabeled_X.bin", "0" * 32]] if name == "train" else []
        monkeypatch.setattr(STL10, f"{name}_list", sums + absent)


PUBLISHED = {
    "cifar10": ("cifar-10-batches-py", write_cifar, 10, 32),
    "cifar100": ("cifar-100-python", write_cifar, 100, 32),
    "stl10": ("stl10_binary", write_stl10, 10, 96),
}


@pytest.fixture
def write_torchvision(make_split, monkeypatch):
    """Writes torchvision's files of a data set below a folder; returns both splits."""

    def write(name, root):
        folder, write_files, classes, size = PUBLISHED[name]
        splits = [make_split(count, seed=count, size=size, num_classes=classes) for count in (14, 5)]
        write_files(root / folder, monkeypatch, *splits)
        return splits

    return write


@pytest.mark.parametrize("name", PUBLISHED)
def test_torchvision_files_and_parquet_give_the_same_arrays(tmp_path, write_torchvision, write_parquet, name):
    splits = write_torchvision(name, tmp_path / "root")
    for part, split in zip(("train", "test"), splits, strict=True):
        write_parquet(tmp_path / "shards" / name / f"{part}-00000-of-00001.parquet", split, image="img", shuffle=3)
    first, second = (load(name, tmp_path / place, tmp_path / "cache") for place in ("root", "shards"))
    assert_same(first, *splits)
    assert_same(second, *splits)
    assert first.fingerprint == second.fingerprint
    assert (first.num_classes, first.official) == (PUBLISHED[name][2], False)  # too few images


def test_torchvision_files_may_lie_in_a_folder_of_the_data_set(tmp_path, write_torchvision):
    splits = write_torchvision("cifar100", tmp_path / "cifar100")
    assert_same(load("cifar100", tmp_path, tmp_path / "cache"), *splits)


@pytest.mark.parametrize(
    ("name", "file"), [("cifar10", "train_2"), ("cifar100", "train"), ("stl10", "train_X.bin"), ("stl10", "test_y.bin")]
)
def test_altered_torchvision_files_are_not_read(tmp_path, write_torchvision, name, file):
    write_torchvision(name, tmp_path)
    folder = PUBLISHED[name][0]
    path = tmp_path / folder / file
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match=f"{folder}: incomplete or altered"):
        load(name, tmp_path, tmp_path / "cache")


def test_decoded_images_are_kept_until_the_files_hold_others(tmp_path, parquet_dir, small, write_parquet):
    lines = []

    def decodings(folder):
        lines.clear()
        return load("cifar100", folder, tmp_path / "cache", lines.append).fingerprint, len(lines) > 0

    first, decoded = decodings(parquet_dir)
    assert decoded
    path = parquet_dir / "cifar100" / "test-00000-of-00001.parquet"
    os.utime(path, (1, 1))
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)
    assert decodings(parquet_dir / "cifar100") == (first, False)
    assert decodings(shutil.copytree(parquet_dir, tmp_path / "elsewhere")) == (first, False)
    small[1].labels[3] ^= 1
    write_parquet(path, small[1])
    second, decoded = decodings(parquet_dir)
    assert decoded
    assert second != first


def test_files_that_change_while_they_are_decoded_are_an_error(tmp_path, parquet_dir, small, write_parquet):
    def change(_line):
        small[1].labels[3] = 7
        write_parquet(parquet_dir / "cifar100" / "test-00000-of-00001.parquet", small[1])

    with pytest.raises(UserError, match=r"data/cifar100: the files changed while they were decoded: run the command"):
        load("cifar100", parquet_dir, tmp_path / "cache", change)
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_data_are_official_by_their_fingerprint_else_by_their_numbers():
    reader = cifar100.SOURCES[0]
    assert reader.is_official(reader.official, 1, 1)
    assert reader.is_official("other", 50_000, 10_000) is False
    unknown = replace(reader, official=None)
    assert unknown.is_official("any", 50_000, 10_000) is None
    assert unknown.is_official("any", 50_000, 9_999) is False


@pytest.mark.parametrize("place", ["option", "variable", "default"])
def test_missing_data_are_downloaded_once(tmp_path, write_torchvision, monkeypatch, place):
    downloads, written = [], []

    def download(_files, folder):
        downloads.append(folder)
        written.extend(write_torchvision("cifar100", folder))

    monkeypatch.setattr(files, "download", download)
    root = tmp_path / "root"
    root.mkdir()
    if place == "variable":
        monkeypatch.setenv("KD_DATA", str(root))
    for _ in range(2):
        assert_same(load("cifar100", root if place == "option" else None, tmp_path / "cache"), *written)
    used = tmp_path / "cache" / "downloads" if place == "default" else root
    assert downloads == [used / ".cifar100-download"]
    assert sorted(path.name for path in used.iterdir() if not path.name.endswith(".lock")) == ["cifar-100-python"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_failed_download_says_what_to_put_where(tmp_path, monkeypatch, name):
    def fail(_files, _root):
        raise URLError("no\nnetwork")

    monkeypatch.setattr(files, "download", fail)
    with pytest.raises(UserError) as caught:
        load(name, None, tmp_path)
    for words in ("no network", "--data DIR", "$KD_DATA", f"DIR/{name}/", "train-*.parquet", PUBLISHED[name][0]):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["0-of-00002", "extra"])
def test_incomplete_or_mixed_shards_are_errors(tmp_path, parquet_dir, name):
    folder = parquet_dir / "cifar100"
    whole = folder / "train-00000-of-00001.parquet"
    shutil.copy(whole, folder / f"train-{name}.parquet")
    if name != "extra":
        whole.unlink()
    with pytest.raises(UserError, match=r"cifar100: train-.*parquet and .* are not the parts of one export"):
        load("cifar100", parquet_dir, tmp_path / "cache")


@pytest.fixture
def real_data():
    folder = os.environ.get("KD_DATA")
    if not folder or files.find_local(cifar100.FILES, Path(folder)) is None:
        pytest.skip("no CIFAR-100 in the folder given by $KD_DATA: its fingerprint is not checked")
    return Path(folder)


@pytest.mark.slow
def test_real_cifar100_is_official(tmp_path, real_data):
    dataset, info = load("cifar100", real_data, tmp_path), describe("cifar100")
    assert (len(dataset.train), len(dataset.test)) == (info.num_train, info.num_test)
    assert dataset.official
