import hashlib

import numpy as np
import pytest

from benchmark.data import load
from benchmark.data.dataset import canonical
from benchmark.errors import UserError


@pytest.fixture
def ten(make_split):
    """(train, test) of 96x96 images in ten classes."""
    return make_split(8, seed=1, size=96, num_classes=10), make_split(5, seed=2, size=96, num_classes=10)


@pytest.fixture
def binaries(tmp_path, ten, monkeypatch):
    """A data folder with files as the official ones, but for the images without labels: they are 2.6 GB."""
    from torchvision.datasets import STL10

    folder = tmp_path / "binaries" / "stl10_binary"
    folder.mkdir(parents=True)

    def dump(name, array):
        (folder / name).write_bytes(array.astype(np.uint8).tobytes())
        return [name, hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()]

    for name, split in zip(("train", "test"), ten, strict=True):
        # Channels first, each of them column by column; labels from 1.
        sums = [dump(f"{name}_X.bin", split.images.transpose(0, 3, 2, 1)), dump(f"{name}_y.bin", split.labels + 1)]
        absent = [["unlabeled_X.bin", "0" * 32]] if name == "train" else []
        monkeypatch.setattr(STL10, f"{name}_list", sums + absent)
    return tmp_path / "binaries"


def test_official_binaries_and_parquet_give_the_same_arrays(tmp_path, ten, binaries, write_parquet):
    for name, split in zip(("train", "test"), ten, strict=True):
        write_parquet(tmp_path / "parquet" / "stl10" / f"{name}-00000-of-00001.parquet", split, shuffle=3)
    first = load("stl10", binaries, tmp_path / "cache")
    second = load("stl10", tmp_path / "parquet", tmp_path / "cache")
    for dataset in (first, second):
        for split, expected in zip((dataset.train, dataset.test), map(canonical, ten), strict=True):
            np.testing.assert_array_equal(split.images, expected.images)
            np.testing.assert_array_equal(split.labels, expected.labels)
            assert split.labels.dtype == np.int64
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("name", ["train_X.bin", "test_y.bin"])
def test_altered_binary_is_an_error(tmp_path, binaries, name):
    path = binaries / "stl10_binary" / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match="stl10_binary: incomplete or altered"):
        load("stl10", binaries, tmp_path / "cache")


def test_failed_download_says_what_to_put_where(tmp_path, monkeypatch):
    def fail(_files, _root):
        raise OSError("no network")

    monkeypatch.setattr("benchmark.data.files._download", fail)
    with pytest.raises(UserError, match=r"DIR/stl10/, or torchvision's stl10_binary/ into DIR"):
        load("stl10", None, tmp_path)
