import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data import FileDataset, imagenet, load
from benchmark.data.dataset import EncodedSplit
from benchmark.errors import UserError

pytestmark = pytest.mark.usefixtures("three_classes")


def contents(split: EncodedSplit):
    result = []
    for place in split.places(np.arange(len(split))):
        with Path(place.path).open("rb") as file:
            file.seek(place.start)
            result.append(file.read(place.length))
    return result


def test_every_form_lists_the_same_images_in_the_same_order(tmp_path, photos, tree, shards):
    first, second = (load("imagenet", folder, tmp_path / "cache") for folder in (tree, shards))
    assert isinstance(first, FileDataset)
    assert first.fingerprint == second.fingerprint
    for name, part in (("train", "train"), ("val", "test")):
        ours, theirs = getattr(first, part), getattr(second, part)
        assert contents(ours) == contents(theirs)
        assert ours.labels.tolist() == theirs.labels.tolist()
        expected = {content: int(folder[1:]) - 1 for folder, content in photos[name]}
        assert dict(zip(contents(ours), ours.labels.tolist(), strict=True)) == expected


def test_order_and_fingerprint_follow_from_bytes_and_labels(photos, files):
    digest = hashlib.sha256()
    for name, split in (("train", files.train), ("val", files.test)):
        hashes = {
            hashlib.blake2b(content + (int(folder[1:]) - 1).to_bytes(8, "little"), digest_size=16).digest(): content
            for folder, content in photos[name]
        }
        assert contents(split) == [hashes[key] for key in sorted(hashes)]
        digest.update(f"({len(hashes)},)".encode() + b"".join(sorted(hashes)))
    assert files.fingerprint == digest.hexdigest()
    assert (files.num_classes, files.official) == (3, None)


@pytest.mark.parametrize("form", ["tree", "shards"])
def test_images_may_lie_in_the_data_folder_itself(request, tmp_path, form):
    folder = request.getfixturevalue(form)
    outer, inner = (load("imagenet", place, tmp_path / "cache") for place in (folder, folder / "imagenet"))
    assert inner.fingerprint == outer.fingerprint


@pytest.mark.parametrize(
    ("form", "name"), [("tree", "train/n01/n01_0.JPEG"), ("shards", "train-00001-of-00002.parquet: row 0")]
)
def test_places_have_names_that_a_person_finds(request, tmp_path, photos, form, name):
    folder = request.getfixturevalue(form)
    split = load("imagenet", folder, tmp_path / "cache").train
    row = contents(split).index(photos["train"][0][1])
    assert split.places([row])[0].name == str(folder / "imagenet" / name)


@pytest.mark.parametrize("form", ["tree", "shards"])
def test_index_is_made_once(request, tmp_path, form):
    folder, lines = request.getfixturevalue(form), []
    first = load("imagenet", folder, tmp_path / "cache", lines.append)
    assert "6 of 6 images" in " ".join(lines)
    count = len(lines)
    assert load("imagenet", folder, tmp_path / "cache", lines.append).fingerprint == first.fingerprint
    assert len(lines) == count


def test_index_of_a_tree_follows_its_files(tmp_path, tree):
    before = load("imagenet", tree, tmp_path / "cache")
    next((tree / "imagenet" / "train" / "n02").iterdir()).unlink()
    after = load("imagenet", tree, tmp_path / "cache")
    assert (len(before.train), len(after.train)) == (6, 5)
    assert before.official is None
    assert after.official is False


def indices(tmp_path):
    return [path for path in (tmp_path / "cache" / "data" / "imagenet").iterdir() if path.is_dir()]


@pytest.mark.parametrize("form", ["tree", "shards"])
def test_one_index_is_kept_of_a_place(request, tmp_path, form):
    folder, found = request.getfixturevalue(form), set()
    touched = next((folder / "imagenet").glob("train*"))
    for stamp in (1, 2, 3):
        os.utime(touched, (stamp, stamp))
        load("imagenet", folder, tmp_path / "cache")
        [index] = indices(tmp_path)
        found.add(index.name)
    assert len(found) == 3


def test_images_copied_out_of_parquet_stay_while_they_are_used(tmp_path, shards):
    used = load("imagenet", shards, tmp_path / "cache")
    before = contents(used.train)
    os.utime(next((shards / "imagenet").glob("train*")), (1, 1))
    load("imagenet", shards, tmp_path / "cache")
    assert len(indices(tmp_path)) == 2
    assert contents(used.train) == before


def test_other_files_and_hidden_folders_are_no_images(tmp_path, tree):
    before = load("imagenet", tree, tmp_path / "cache").fingerprint
    (tree / "imagenet" / "train" / ".cache").mkdir()
    (tree / "imagenet" / "train" / "n01" / "notes.txt").write_text("no image")
    assert load("imagenet", tree, tmp_path / "cache").fingerprint == before


def spoil_classes(folder):
    shutil.rmtree(folder / "train" / "n03")


def spoil_validation_class(folder):
    (folder / "val" / "n03").rename(folder / "val" / "n04")


def spoil_validation(folder):
    for path in (folder / "val").glob("*/*"):
        path.rename(folder / "val" / path.name)
    for path in (folder / "val").glob("n??"):
        path.rmdir()


def spoil_image(folder):
    os.mkfifo(folder / "train" / "n02" / "pipe.JPEG")


SPOILT_TREES = {
    r"train/n02/pipe.JPEG: it is called as an image is and is no file": spoil_image,
    r"train: 2 class folders, there must be 3": spoil_classes,
    r"val/n04: no class of the training images is called so": spoil_validation_class,
    r"val: no images: put one folder a class there": spoil_validation,
    r"the folder val/ is missing": lambda folder: shutil.rmtree(folder / "val"),
    r"the folder train/ is missing": lambda folder: shutil.rmtree(folder / "train"),
}


@pytest.mark.parametrize("message", SPOILT_TREES)
def test_what_is_wrong_with_a_tree_is_said(tmp_path, tree, message):
    SPOILT_TREES[message](tree / "imagenet")
    with pytest.raises(UserError, match=message) as caught:
        load("imagenet", tree, tmp_path / "cache")
    assert "\n" not in str(caught.value)


def spoil_row(folder, column, row, value):
    path = folder / "train-00001-of-00002.parquet"
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[row] = value
    pq.write_table(pa.table({**table.to_pydict(), column: values}, schema=table.schema), path)


SPOILT_SHARDS = {
    r"00001-of-00002.parquet: row 2 has label 3, it must be 0 to 2": lambda folder: spoil_row(folder, "label", 2, 3),
    r"00001-of-00002.parquet: row 3 holds no image bytes": lambda folder: spoil_row(
        folder, "image", 3, {"bytes": None, "path": None}
    ),
    r"the file numbered 0 is missing": lambda folder: (folder / "train-00000-of-00002.parquet").unlink(),
    r"one split is missing: add val": lambda folder: (folder / "validation-00000-of-00001.parquet").unlink(),
    r"00001-of-00002.parquet: not a readable Parquet": lambda folder: (
        folder / "train-00001-of-00002.parquet"
    ).write_bytes(b"no"),
}


@pytest.mark.parametrize("message", SPOILT_SHARDS)
def test_what_is_wrong_with_shards_is_said(tmp_path, shards, message):
    SPOILT_SHARDS[message](shards / "imagenet")
    with pytest.raises(UserError, match=message):
        load("imagenet", shards, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_full_disk_is_an_error_beforehand(tmp_path, shards, monkeypatch):
    full = shutil._ntuple_diskusage(total=100, used=99, free=1)
    monkeypatch.setattr("benchmark.data.copies.shutil.disk_usage", lambda _: full)
    with pytest.raises(UserError, match=r"are needed to copy the images of imagenet out of Parquet, 0\.0 MB are free"):
        load("imagenet", shards, tmp_path / "cache")


def test_missing_images_are_an_error_that_says_what_to_put_where(tmp_path):
    with pytest.raises(UserError) as caught:
        load("imagenet", None, tmp_path)
    for words in ("train/<synset>/*.JPEG", "validation-*.parquet", "DIR/imagenet/", "--data DIR", "$KD_DATA"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_official_numbers():
    assert imagenet.SOURCES[0].info.num_train == 1_281_167
