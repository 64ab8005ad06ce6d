import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark.data import FileDataset, load
from benchmark.data.dataset import row_keys
from benchmark.errors import UserError

pytestmark = pytest.mark.usefixtures("three_classes")


def contents(split):
    """The encoded images of a split, in its order."""
    result = []
    for location in split.locations(np.arange(len(split))):
        with Path(location.path).open("rb") as file:
            file.seek(location.start)
            result.append(file.read(location.length))
    return result


@pytest.mark.parametrize(
    "path",
    ["{}_{}.JPEG".format, lambda name, _: f"{name}.JPEG", lambda name, synset: f"train/{synset}/{name}.JPEG"],
    ids=["exported", "plain", "folders"],
)
def test_tree_and_parquet_have_the_same_order_and_fingerprint(tmp_path, photos, tree, write_shards, path):
    lines = []
    first, second = (load("imagenet", folder, tmp_path, lines.append) for folder in (tree, write_shards(path=path)))
    assert isinstance(first, FileDataset)
    assert (first.fingerprint, first.official, first.num_classes) == (second.fingerprint, None, 3)
    for name, part in (("train", "train"), ("val", "test")):
        ours, theirs = getattr(first, part), getattr(second, part)
        assert contents(ours) == contents(theirs)
        assert ours.labels.tolist() == theirs.labels.tolist()
        rows = photos[name]
        order = np.argsort(row_keys(f"{label}/{image}.JPEG".encode() for label, image, _ in rows))
        assert contents(ours) == [rows[row][2] for row in order]
        assert ours.labels.tolist() == [rows[row][0] for row in order]
    assert "names" not in " ".join(lines)


NEW = {
    "name": lambda label, name, content: (label, f"{name}x", content),
    "label": lambda label, name, content: (2 - label, name, content),
    "size": lambda label, name, content: (label, name, content + b"0"),
}


@pytest.mark.parametrize("form", ["tree", "shards"])
@pytest.mark.parametrize("change", NEW)
def test_fingerprint_notices_names_labels_and_sizes(request, tmp_path, photos, form, change):
    write = request.getfixturevalue(f"write_{form}")
    before = load("imagenet", write("before"), tmp_path / "cache")
    changed = {split: [NEW[change](*row) for row in rows] for split, rows in photos.items()}
    after = load("imagenet", write("after", changed), tmp_path / "cache")
    assert before.fingerprint != after.fingerprint
    assert (before.train.labels.tolist() == after.train.labels.tolist()) == (change == "size")


def test_no_image_is_read_before_it_is_needed(tmp_path, tree, files, monkeypatch):
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("a file was opened"))
    assert load("imagenet", tree, tmp_path / "cache").fingerprint == files.fingerprint


@pytest.mark.parametrize("path", [lambda *_: None, lambda *_: "image.jpg"], ids=["no names", "equal names"])
def test_without_names_the_order_follows_from_the_rows_and_is_announced(tmp_path, write_shards, photos, path):
    lines = []
    folder = write_shards(path=path)
    split = load("imagenet", folder, tmp_path / "cache", lines.append).train
    rows = photos["train"][4:] + photos["train"][:4]
    order = np.argsort(row_keys(f"{label}/{row}".encode() for row, (label, *_) in enumerate(rows)))
    assert contents(split) == [rows[row][2] for row in order]
    said = "have no names that tell them apart: their order follows from that of the rows"
    assert sum(said in line for line in lines) == 2
    count = len(lines)
    assert contents(load("imagenet", folder, tmp_path / "cache", lines.append).train) == contents(split)
    assert len(lines) == count


@pytest.mark.parametrize("form", ["tree", "shards"])
def test_images_may_lie_in_the_data_folder_itself(request, tmp_path, form):
    folder = request.getfixturevalue(form)
    outer, inner = (load("imagenet", place, tmp_path / "cache") for place in (folder, folder / "imagenet"))
    assert inner.fingerprint == outer.fingerprint


def test_images_are_copied_out_of_parquet_once(tmp_path, shards):
    lines = []
    first = load("imagenet", shards, tmp_path / "cache", lines.append)
    assert "copied 6 images" in " ".join(lines)
    count = len(lines)
    os.utime(next((shards / "imagenet").glob("train*")), (1, 1))
    moved = shards.rename(tmp_path / "moved")
    second = load("imagenet", moved, tmp_path / "cache", lines.append)
    assert len(lines) == count
    assert contents(second.train) == contents(first.train)


def test_other_parquet_files_make_another_copy(tmp_path, write_shards, photos):
    first = load("imagenet", write_shards(), tmp_path / "cache")
    before = contents(first.train)
    photos["val"].pop()
    second = load("imagenet", write_shards(), tmp_path / "cache")
    assert (len(first.test), len(second.test)) == (4, 3)
    assert (first.official, second.official) == (None, False)
    assert contents(first.train) == before


def test_a_tree_is_listed_anew(tmp_path, tree, files):
    next((tree / "imagenet/train/n01443537").iterdir()).unlink()
    after = load("imagenet", tree, tmp_path / "cache")
    assert (len(files.train), len(after.train)) == (6, 5)
    assert (files.official, after.official) == (None, False)


def test_other_files_and_hidden_folders_are_no_images(tmp_path, tree, files):
    (tree / "imagenet/train/.cache").mkdir()
    (tree / "imagenet/train/n01440764/notes.txt").write_text("no image")
    assert load("imagenet", tree, tmp_path / "cache").fingerprint == files.fingerprint


def unsort_validation(folder):
    for path in (folder / "val").glob("*/*"):
        path.rename(folder / "val" / path.name)
    for path in (folder / "val").glob("n????????"):
        path.rmdir()


SPOILT_TREES = {
    r"train: 2 class folders, there must be 3": lambda at: shutil.rmtree(at / "train/n01484850"),
    r"val/n0: the training images have no class of this name": lambda at: (at / "val/n0").mkdir(),
    r"val: no images: put one folder a class there": unsort_validation,
    r"the folder val/ is missing": lambda at: shutil.rmtree(at / "val"),
    r"the folder train/ is missing": lambda at: shutil.rmtree(at / "train"),
}


@pytest.mark.parametrize("message", SPOILT_TREES)
def test_what_is_wrong_with_a_tree_is_said(tmp_path, tree, message):
    SPOILT_TREES[message](tree / "imagenet")
    with pytest.raises(UserError, match=message) as caught:
        load("imagenet", tree, tmp_path / "cache")
    assert "\n" not in str(caught.value)


SPOILT_SHARDS = {
    r"are not the parts of one export": lambda at: (at / "train-00000-of-00002.parquet").unlink(),
    r"the val split is missing: add val": lambda at: (at / "validation-00000-of-00001.parquet").unlink(),
    r"00001.*not a readable Parquet": lambda at: (at / "train-00001-of-00002.parquet").write_bytes(b"no"),
}


@pytest.mark.parametrize("message", SPOILT_SHARDS)
def test_what_is_wrong_with_shards_is_said(tmp_path, shards, message):
    SPOILT_SHARDS[message](shards / "imagenet")
    with pytest.raises(UserError, match=message):
        load("imagenet", shards, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_missing_images_are_an_error_that_says_what_to_put_where(tmp_path):
    with pytest.raises(UserError) as caught:
        load("imagenet", None, tmp_path)
    for words in ("train/<synset>/*.JPEG", "validation-*.parquet", "DIR/imagenet/", "--data DIR", "$KD_DATA"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
