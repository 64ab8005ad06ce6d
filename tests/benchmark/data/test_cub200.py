"""CUB-200-2011 from the unpacked archive and from Parquet, with two classes instead of two hundred."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmark.data import FileDataset, cub200, describe, load
from benchmark.data.dataset import row_keys
from benchmark.errors import UserError

CLASSES = ("001.Black_footed_Albatross", "002.Laysan_Albatross")
TRAINING = (1, 0, 1, 1, 0, 0, 1)


@pytest.fixture(autouse=True)
def _two_classes(monkeypatch):
    monkeypatch.setattr(cub200, "INFO", replace(cub200.INFO, num_train=4, num_test=3, num_classes=2))


@pytest.fixture
def birds():
    """Path below ``images/``, label from 0, and the encoded image, of each image."""
    random, found = np.random.default_rng(0), []
    for number in range(len(TRAINING)):
        buffer = io.BytesIO()
        pixels = random.integers(0, 256, (30 + number, 40 - number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, "JPEG")
        name = CLASSES[number % 2]
        found.append((f"{name}/{name[4:]}_{number:04}_{796 - number}.jpg", number % 2, buffer.getvalue()))
    return found


@pytest.fixture
def archive(tmp_path, birds):
    """The unpacked archive; gives its folder."""
    folder = tmp_path / "data" / "CUB_200_2011"
    columns = {
        "images.txt": [path for path, *_ in birds],
        "image_class_labels.txt": [label + 1 for _, label, _ in birds],
        "train_test_split.txt": TRAINING,
    }
    for path, _, content in birds:
        (folder / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / path).write_bytes(content)
    for name, values in columns.items():
        (folder / name).write_text("".join(f"{number} {value}\n" for number, value in enumerate(values, 1)))
    return folder


def encoded(split):
    """Labels and encoded images of a split, in its order."""
    found = []
    for label, place in zip(split.labels.tolist(), split.locations(np.arange(len(split))), strict=True):
        content = Path(place.path).read_bytes()[place.start :]
        found.append((label, content if place.length < 0 else content[: place.length]))
    return found


def in_order(birds, training):
    """Labels and encoded images of one split in canonical order, that of hashes of label and file name."""
    rows = [bird for bird, part in zip(birds, TRAINING, strict=True) if part == training]
    order = np.argsort(row_keys(f"{label}/{path.partition('/')[2]}".encode() for path, label, _ in rows))
    return [rows[row][1:] for row in order]


def test_labels_and_splits_follow_the_files_of_the_archive(archive, birds, tmp_path):
    data = load("cub200", archive.parent, tmp_path / "cache")
    assert isinstance(data, FileDataset)
    assert (encoded(data.train), encoded(data.test)) == (in_order(birds, 1), in_order(birds, 0))
    assert (data.num_classes, data.official) == (2, None)


@pytest.mark.parametrize("place", ["cub200/CUB_200_2011", "cub200", "."])
def test_the_archive_may_lie_in_a_folder_of_the_data_set_or_be_the_data_folder(archive, tmp_path, place):
    first = load("cub200", archive.parent, tmp_path / "cache")
    (tmp_path / "other" / place).parent.mkdir(parents=True, exist_ok=True)
    archive.rename(tmp_path / "other" / place)
    assert load("cub200", tmp_path / "other", tmp_path / "cache").fingerprint == first.fingerprint


def test_parquet_gives_the_same_as_the_archive(archive, birds, tmp_path):
    first = load("cub200", archive.parent, tmp_path / "cache")
    (tmp_path / "shards/cub200").mkdir(parents=True)
    for name, training in (("train", 1), ("test", 0)):
        rows = [bird for bird, part in zip(birds, TRAINING, strict=True) if part == training][::-1]
        cells = [{"bytes": content, "path": path.partition("/")[2]} for path, _, content in rows]
        table = pa.table({"image": cells, "label": [label for _, label, _ in rows]})
        pq.write_table(table, tmp_path / f"shards/cub200/{name}-00000-of-00001.parquet")
    second = load("cub200", tmp_path / "shards", tmp_path / "cache")
    assert (first.fingerprint, encoded(first.train)) == (second.fingerprint, encoded(second.train))


def test_the_size_of_every_image_is_part_of_the_fingerprint(archive, birds, tmp_path):
    prints = {load("cub200", archive.parent, tmp_path / "cache").fingerprint}
    for path, _, content in birds:
        (archive / "images" / path).write_bytes(content + b"0")
        prints.add(load("cub200", archive.parent, tmp_path / "cache").fingerprint)
    assert len(prints) == 1 + len(birds)


def test_the_published_numbers_of_images_are_known_and_other_numbers_are_not_the_published_data(
    archive, tmp_path, monkeypatch
):
    info = describe("cub200")
    assert (info.num_train, info.num_test, info.num_classes, info.image_size) == (5_994, 5_794, 200, 224)
    monkeypatch.setattr(cub200, "INFO", info)
    assert load("cub200", archive.parent, tmp_path / "cache").official is False


def alter(name, before, after):
    def change(folder):
        text = (folder / name).read_text()
        assert before in text
        (folder / name).write_text(text.replace(before, after))

    return change


SPOILT = {
    "number other images": alter("images.txt", "7 ", "8 "),
    "image 7 has class 3, it must be 1 to 2": alter("image_class_labels.txt", "7 1", "7 3"),
    "image 7 has class none, it must be 1 to 2": alter("image_class_labels.txt", "7 1", "7 none"),
    r"image 2 has 2, it must be 1 \(training\) or 0 \(test\)": alter("train_test_split.txt", "2 0", "2 2"),
    "one of the splits has no images": alter("train_test_split.txt", " 0", " 1"),
    "train_test_split.txt: row 2 has fewer than 2 columns": alter("train_test_split.txt", "2 0", "2"),
    "image_class_labels.txt: cannot be read": lambda at: (at / "image_class_labels.txt").unlink(),
    r"_0000_796.jpg: cannot be read \(No such file": lambda at: next((at / "images").glob("*/*_0000_796.jpg")).unlink(),
}


@pytest.mark.parametrize("says", SPOILT)
def test_what_is_wrong_in_the_archive_is_named(archive, tmp_path, says):
    SPOILT[says](archive)
    with pytest.raises(UserError, match=says) as caught:
        load("cub200", archive.parent, tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_missing_images_are_an_error_that_says_what_to_put_where(tmp_path):
    with pytest.raises(UserError) as caught:
        load("cub200", None, tmp_path)
    for words in ("CUB_200_2011.tgz", "test*.parquet", "DIR/cub200/", "--data DIR", "$KD_DATA"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)
