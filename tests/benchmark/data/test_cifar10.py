import hashlib
import pickle

import numpy as np
import pytest

from benchmark.data import Split, load
from benchmark.data.dataset import canonical
from benchmark.errors import UserError


@pytest.fixture
def ten(make_split):
    """(train, test) in ten classes."""
    return make_split(50, seed=1, num_classes=10), make_split(12, seed=2, num_classes=10)


@pytest.fixture
def batches(tmp_path, ten, monkeypatch):
    """A data folder with files as the official ones: five training batches, one of tests, and names of classes."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "batches" / "cifar-10-batches-py"
    folder.mkdir(parents=True)

    def dump(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()]

    def batch(name, split, rows):
        flat = split.images[rows].transpose(0, 3, 1, 2).reshape(len(rows), -1)
        return dump(name, {"data": flat, "labels": split.labels[rows].tolist()})

    train, test = ten
    sums = [batch(f"data_batch_{number + 1}", train, range(10 * number, 10 * number + 10)) for number in range(5)]
    monkeypatch.setattr(CIFAR10, "train_list", sums)
    monkeypatch.setattr(CIFAR10, "test_list", [batch("test_batch", test, range(12))])
    meta = dump("batches.meta", {"label_names": [str(index) for index in range(10)]})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": meta[1]})
    return tmp_path / "batches"


def assert_same(split: Split, expected: Split):
    np.testing.assert_array_equal(split.images, canonical(expected).images)
    np.testing.assert_array_equal(split.labels, canonical(expected).labels)


def test_official_batches_and_parquet_give_the_same_arrays(tmp_path, ten, batches, write_parquet):
    for name, split in zip(("train", "test"), ten, strict=True):
        path = tmp_path / "parquet" / "cifar10" / f"{name}-00000-of-00001.parquet"
        write_parquet(path, split, image="img", shuffle=3)
    first = load("cifar10", batches, tmp_path / "cache")
    second = load("cifar10", tmp_path / "parquet", tmp_path / "cache")
    for dataset in (first, second):
        assert_same(dataset.train, ten[0])
        assert_same(dataset.test, ten[1])
    assert first.fingerprint == second.fingerprint
    assert (first.num_classes, first.official) == (10, False)  # too few images


def test_altered_batch_is_an_error(tmp_path, batches):
    (batches / "cifar-10-batches-py" / "data_batch_4").write_bytes(b"altered")
    with pytest.raises(UserError, match="cifar-10-batches-py: incomplete or altered"):
        load("cifar10", batches, tmp_path / "cache")


def test_labels_of_another_data_set_are_an_error(tmp_path, small, write_parquet):
    for name, split in zip(("train", "test"), small, strict=True):
        write_parquet(tmp_path / "data" / f"{name}.parquet", split)
    with pytest.raises(UserError, match="it must be 0 to 9"):
        load("cifar10", tmp_path / "data", tmp_path / "cache")


def test_failed_download_says_what_to_put_where(tmp_path, monkeypatch):
    def fail(_files, _root):
        raise OSError("no network")

    monkeypatch.setattr("benchmark.data.files._download", fail)
    with pytest.raises(UserError, match=r"DIR/cifar10/, or torchvision's cifar-10-batches-py/ into DIR"):
        load("cifar10", None, tmp_path)
