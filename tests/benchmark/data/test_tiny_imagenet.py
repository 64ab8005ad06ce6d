"""Tiny-ImageNet from the unpacked archive and from Parquet, with three classes instead of two hundred."""

import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmark.data import describe, load, tiny_imagenet
from benchmark.data.dataset import Split, canonical
from benchmark.errors import UserError

SYNSETS = ("n02124075", "n04067472", "n01443537")  # wnids.txt is not sorted
BOX = "0\t0\t62\t62"


@pytest.fixture(autouse=True)
def _three_classes(monkeypatch):
    monkeypatch.setattr(
        tiny_imagenet, "INFO", replace(tiny_imagenet.INFO, num_train=6, num_test=4, num_classes=len(SYNSETS))
    )


@pytest.fixture
def archive(tmp_path):
    """The unpacked archive; gives its folder."""
    folder, random = tmp_path / "data" / "tiny-imagenet-200", np.random.default_rng(0)

    def save(path, number):
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((64, 64))
        coarse.convert("L" if number == 1 else "RGB").save(path, "JPEG")  # some of the published images are grey

    for number in range(6):
        synset = SYNSETS[number % 3]
        save(folder / "train" / synset / "images" / f"{synset}_{number}.JPEG", number)
        (folder / "train" / synset / f"{synset}_boxes.txt").write_text(f"{synset}_{number}.JPEG\t0\t0\t63\t63\n")
    for number in range(4):
        save(folder / "val/images" / f"val_{number}.JPEG", number)
    save(folder / "test/images/test_0.JPEG", 0)
    (folder / "wnids.txt").write_text("\n".join(SYNSETS))
    lines = [f"val_{number}.JPEG\t{SYNSETS[(0, 2, 1, 0)[number]]}\t{BOX}\n" for number in range(4)]
    (folder / "val/val_annotations.txt").write_text("".join(lines))
    return folder


def decoded(paths, labels):
    images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    return canonical(Split(np.stack(images), np.asarray(labels)))


def same(found, expected):
    assert np.array_equal(found.images, expected.images)
    assert np.array_equal(found.labels, expected.labels)


def test_labels_follow_the_sorted_synsets_and_the_annotations_of_the_test_images(archive, tmp_path):
    data = load("tiny-imagenet", archive.parent, tmp_path / "cache")
    train = [archive / "train" / SYNSETS[n % 3] / "images" / f"{SYNSETS[n % 3]}_{n}.JPEG" for n in range(6)]
    same(data.train, decoded(train, [1, 2, 0, 1, 2, 0]))
    same(data.test, decoded([archive / f"val/images/val_{n}.JPEG" for n in range(4)], [1, 0, 2, 1]))
    assert data.train.images.shape[1:] == (64, 64, 3)


@pytest.mark.parametrize("place", ["tiny-imagenet/tiny-imagenet-200", "tiny-imagenet", "."])
def test_the_archive_may_lie_in_a_folder_of_the_data_set_or_be_the_data_folder(archive, tmp_path, place):
    first = load("tiny-imagenet", archive.parent, tmp_path / "cache")
    (tmp_path / "other" / place).parent.mkdir(parents=True, exist_ok=True)
    archive.rename(tmp_path / "other" / place)
    assert load("tiny-imagenet", tmp_path / "other", tmp_path / "cache").fingerprint == first.fingerprint


def test_parquet_gives_the_same_as_the_archive(archive, tmp_path):
    first = load("tiny-imagenet", archive.parent, tmp_path / "cache")
    rows = {
        "train": [(path, sorted(SYNSETS).index(path.parts[-3])) for path in archive.glob("train/*/images/*")],
        "valid": [(archive / f"val/images/val_{n}.JPEG", (1, 0, 2, 1)[n]) for n in (3, 1, 0, 2)],
    }
    (tmp_path / "shards/tiny-imagenet").mkdir(parents=True)
    for part, found in rows.items():
        cells = [{"bytes": path.read_bytes(), "path": None} for path, _ in found]
        table = pa.table({"image": cells, "label": [label for _, label in found]})
        pq.write_table(table, tmp_path / f"shards/tiny-imagenet/{part}-00000-of-00001-1359597a978bc4fa.parquet")
    assert load("tiny-imagenet", tmp_path / "shards", tmp_path / "cache").fingerprint == first.fingerprint


def test_the_published_numbers_of_images_are_known_and_other_numbers_are_not_the_published_data(archive, tmp_path):
    assert load("tiny-imagenet", archive.parent, tmp_path / "cache").official is False
    info = describe("tiny-imagenet")
    assert (info.num_train, info.num_test, info.num_classes, info.image_size) == (100_000, 10_000, 200, 64)
    reader = tiny_imagenet.SOURCES[0]
    assert reader.is_official("any", 100_000, 10_000) is None


def annotate(folder, line):
    with (folder / "val/val_annotations.txt").open("a") as file:
        file.write(line)


SPOILT = {
    "wnids.txt: 2 classes, there must be 3": lambda at: (at / "wnids.txt").write_text("\n".join(SYNSETS[:2])),
    "n01443537/images: there is no such folder": lambda at: shutil.rmtree(at / "train/n01443537"),
    "val_annotations.txt: cannot be read": lambda at: (at / "val/val_annotations.txt").unlink(),
    "200/train: no images are there": lambda at: [path.unlink() for path in at.glob("train/*/images/*")],
    "val_annotations.txt: no images are there": lambda at: (at / "val/val_annotations.txt").write_text(""),
    "row 5 has fewer than 2 columns": lambda at: annotate(at, "val_5.JPEG\n"),
    "val_5.JPEG is of class n1, which wnids.txt does not name": lambda at: annotate(at, f"val_5.JPEG\tn1\t{BOX}\n"),
    "the data cannot be read .*val_2.JPEG": lambda at: (at / "val/images/val_2.JPEG").unlink(),
    "the image is 32x32, it must be 64x64": lambda at: Image.new("RGB", (32, 32)).save(at / "val/images/val_2.JPEG"),
}


@pytest.mark.parametrize("says", SPOILT)
def test_what_is_wrong_in_the_archive_is_named(archive, tmp_path, says):
    SPOILT[says](archive)
    with pytest.raises(UserError, match=says) as caught:
        load("tiny-imagenet", archive.parent, tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_missing_images_are_an_error_that_says_what_to_put_where(tmp_path):
    with pytest.raises(UserError) as caught:
        load("tiny-imagenet", None, tmp_path)
    for words in ("tiny-imagenet-200.zip", "valid*.parquet", "DIR/tiny-imagenet/", "--data DIR", "$KD_DATA"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
