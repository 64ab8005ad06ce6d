import os
import shutil
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from benchmark.data import describe, files, load, registry
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


def test_several_shards_are_one_split(tmp_path, small, write_parquet):
    train, test = small
    parts = [slice(20, 30), slice(0, 20)]
    for number, part in enumerate(parts):
        shard = type(train)(train.images[part], train.labels[part])
        write_parquet(tmp_path / "d" / f"train-0000{number}-of-00002.parquet", shard)
    write_parquet(tmp_path / "d" / "test-00000-of-00001.parquet", test)
    assert_same(load("cifar100", tmp_path / "d", tmp_path / "cache"), train, test)


@pytest.mark.parametrize("inner", [".", "cifar100"])
def test_torchvision_files_give_the_same_arrays(tmp_path, small, parquet_dir, write_torchvision, inner):
    root = tmp_path / "torchvision"
    write_torchvision(root / inner, *small)
    dataset = load("cifar100", root, tmp_path / "cache")
    assert_same(dataset, *small)
    assert dataset.fingerprint == load("cifar100", parquet_dir, tmp_path / "cache").fingerprint


def test_altered_torchvision_files_are_not_unpickled(tmp_path, small, write_torchvision):
    write_torchvision(tmp_path, *small)
    (tmp_path / "cifar-100-python" / "train").write_bytes(b"altered")
    with pytest.raises(UserError, match="cifar-100-python: incomplete or altered"):
        load("cifar100", tmp_path, tmp_path / "cache")


def test_decoded_images_are_kept_until_the_files_hold_others(tmp_path, parquet_dir, small, write_parquet, monkeypatch):
    calls = []
    read = files.read_split
    monkeypatch.setattr(files, "read_split", lambda *args, **options: calls.append(1) or read(*args, **options))
    monkeypatch.setattr(registry, "canonical", lambda split: calls.append(1) or canonical(split))
    first = load("cifar100", parquet_dir, tmp_path / "cache")
    assert len(calls) == 4
    path = parquet_dir / "cifar100" / "test-00000-of-00001.parquet"
    os.utime(path, (1, 1))
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)
    assert load("cifar100", parquet_dir / "cifar100", tmp_path / "cache").fingerprint == first.fingerprint
    elsewhere = shutil.copytree(parquet_dir, tmp_path / "elsewhere")
    assert load("cifar100", elsewhere, tmp_path / "cache").fingerprint == first.fingerprint
    assert len(calls) == 4
    small[1].labels[3] ^= 1
    write_parquet(path, small[1])
    assert load("cifar100", parquet_dir, tmp_path / "cache").fingerprint != first.fingerprint
    assert len(calls) == 8


def test_copies_of_replaced_images_are_removed(tmp_path, parquet_dir, small, write_parquet):
    def copies():
        return [path for path in (tmp_path / "cache" / "data" / "cifar100").iterdir() if path.is_dir()]

    path = parquet_dir / "cifar100" / "test-00000-of-00001.parquet"
    for label in range(3):
        small[1].labels[3] = label
        write_parquet(path, small[1])
        load("cifar100", parquet_dir, tmp_path / "cache")
        assert len(copies()) == 1


def test_files_that_change_while_they_are_decoded_are_an_error(
    tmp_path, parquet_dir, small, write_parquet, monkeypatch
):
    path, read = parquet_dir / "cifar100" / "test-00000-of-00001.parquet", files.read_split

    def change(*args, **options):
        small[1].labels[3] = 7
        write_parquet(path, small[1])
        return read(*args, **options)

    monkeypatch.setattr(files, "read_split", change)
    with pytest.raises(UserError, match=r"data/cifar100: the files changed while they were decoded: run the command"):
        load("cifar100", parquet_dir, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.npy"))


@pytest.mark.parametrize("place", ["option", "variable", "default"])
def test_missing_data_are_downloaded_once(tmp_path, small, write_torchvision, monkeypatch, place):
    downloads = []
    monkeypatch.setattr(files, "_download", lambda _, to: downloads.append(to) or write_torchvision(to, *small))
    root = tmp_path / "root"
    root.mkdir()
    if place == "variable":
        monkeypatch.setenv("KD_DATA", str(root))
    for _ in range(2):
        assert_same(load("cifar100", root if place == "option" else None, tmp_path / "cache"), *small)
    used = tmp_path / "cache" / "downloads" if place == "default" else root
    assert downloads == [used / ".cifar100-download"]
    assert sorted(path.name for path in used.iterdir() if not path.name.endswith(".lock")) == ["cifar-100-python"]


def test_failed_download_says_what_to_put_where(tmp_path, monkeypatch):
    def fail(_files, _root):
        raise URLError("no\nnetwork")

    monkeypatch.setattr(files, "_download", fail)
    with pytest.raises(UserError) as caught:
        load("cifar100", None, tmp_path)
    for words in ("no network", "--data DIR", "$KD_DATA", "DIR/cifar100/", "train-*.parquet", "cifar-100-python"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["option", "variable"])
def test_missing_data_folder_is_named(tmp_path, monkeypatch, place):
    folder = tmp_path / "nowhere"
    if place == "variable":
        monkeypatch.setenv("KD_DATA", str(folder))
    with pytest.raises(UserError, match="nowhere: there is no such folder"):
        load("cifar100", folder if place == "option" else None, tmp_path)


@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_split_is_named(tmp_path, parquet_dir, split):
    (parquet_dir / "cifar100" / f"{split}-00000-of-00001.parquet").unlink()
    with pytest.raises(UserError, match=f"data/cifar100: the {split} split is missing"):
        load("cifar100", parquet_dir, tmp_path / "cache")


def test_link_to_nowhere_is_named(tmp_path, parquet_dir):
    path = parquet_dir / "cifar100" / "test-00000-of-00001.parquet"
    path.unlink()
    path.symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match="test-00000-of-00001"):
        load("cifar100", parquet_dir, tmp_path / "cache")


@pytest.mark.parametrize(("name", "message"), [("0-of-00002", "numbered 1 is missing"), ("extra", "several exports")])
def test_incomplete_or_mixed_shards_are_errors(tmp_path, parquet_dir, name, message):
    folder = parquet_dir / "cifar100"
    whole = folder / "train-00000-of-00001.parquet"
    shutil.copy(whole, folder / f"train-{name}.parquet")
    if name != "extra":
        whole.unlink()
    with pytest.raises(UserError, match=message):
        load("cifar100", parquet_dir, tmp_path / "cache")


@pytest.fixture
def real_data():
    folder = os.environ.get("KD_DATA")
    if not folder or files._local(_cifar100_files(), Path(folder), print) is None:
        pytest.skip("no CIFAR-100 in the folder given by $KD_DATA: its fingerprint is not checked")
    return Path(folder)


def _cifar100_files():
    from benchmark.data.cifar100 import FILES

    return FILES


@pytest.mark.slow
def test_real_cifar100_is_official(tmp_path, real_data):
    dataset, info = load("cifar100", real_data, tmp_path), describe("cifar100")
    assert (len(dataset.train), len(dataset.test)) == (info.num_train, info.num_test)
    assert dataset.official
