"""Small data sets, and writers of them in every form that is read."""

import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmark.data import imagenet, load
from benchmark.data.dataset import Split


@pytest.fixture(autouse=True)
def _no_data_variable(request, monkeypatch):
    if "real_data" not in request.fixturenames:
        monkeypatch.delenv("KD_DATA", raising=False)


@pytest.fixture
def make_split():
    def make(count, seed=0, size=32, num_classes=100):
        random = np.random.default_rng(seed)
        images = random.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        labels = random.integers(0, num_classes, count)
        images[1], labels[1] = images[0], labels[0]  # CIFAR-100 holds duplicates too
        return Split(images, labels)

    return make


@pytest.fixture
def small(make_split):
    """(train, test)."""
    return make_split(30, seed=1), make_split(12, seed=2)


def encode(image, form="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **({"lossless": True} if form == "WEBP" else {}))
    return buffer.getvalue()


@pytest.fixture
def write_parquet():
    """Writes one Parquet file; ``shuffle`` seeds the order of rows."""

    def write(path, split, *, form="PNG", image="image", label="label", plain=False, shuffle=None):
        order = np.arange(len(split)) if shuffle is None else np.random.default_rng(shuffle).permutation(len(split))
        cells = [encode(split.images[row], form) for row in order]
        column = pa.array(cells) if plain else pa.array([{"bytes": cell, "path": None} for cell in cells])
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({image: column, label: pa.array(split.labels[order])}), path, row_group_size=7)
        return path

    return write


def write_cells(path, cells, labels, names):
    """Writes encoded images as they are into one Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    column = pa.array([{"bytes": cell, "path": name} for cell, name in zip(cells, names, strict=True)])
    pq.write_table(pa.table({"image": column, "label": pa.array(labels)}), path, row_group_size=3)


@pytest.fixture
def parquet_dir(tmp_path, small, write_parquet):
    """A data folder that holds the small data set as Parquet."""
    folder = tmp_path / "data"
    for name, split in zip(("train", "test"), small, strict=True):
        write_parquet(folder / "cifar100" / f"{name}-00000-of-00001.parquet", split)
    return folder


SYNSETS = ("n01440764", "n01443537", "n01484850")
PHOTOS = {
    "train": [(0, 40, 30), (0, 30, 40), (1, 64, 20), (1, 9, 33), (1, 50, 50), (2, 31, 47)],
    "val": [(0, 37, 29), (1, 21, 64), (2, 45, 45), (2, 24, 24)],
}
"""Label, width and height of some photographs."""


def photo(width, height, seed=0, mode="RGB", form="JPEG"):
    """An encoded image of coarse random blocks."""
    random = np.random.default_rng([width, height, seed])
    image = Image.fromarray(random.integers(0, 256, (5, 4, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    image.resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(buffer, form, quality=90)
    return buffer.getvalue()


@pytest.fixture
def photos():
    """For each split a list of (label, name, encoded image)."""
    return {
        split: [(label, f"{SYNSETS[label]}_{number}", photo(*size)) for number, (label, *size) in enumerate(rows)]
        for split, rows in PHOTOS.items()
    }


@pytest.fixture
def three_classes(monkeypatch):
    """ImageNet with three classes instead of a thousand."""
    monkeypatch.setattr(imagenet, "INFO", replace(imagenet.INFO, num_train=6, num_test=4, num_classes=len(SYNSETS)))


@pytest.fixture
def write_tree(tmp_path, photos):
    """Writes photographs as one folder a class; returns the data folder."""

    def write(folder="tree", photos=photos):
        for split, rows in photos.items():
            for label, name, content in rows:
                path = tmp_path / folder / "imagenet" / split / SYNSETS[label] / f"{name}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return tmp_path / folder

    return write


@pytest.fixture
def write_shards(tmp_path, photos):
    """Writes photographs as Parquet, in another order and the training images in two files; returns the data folder.

    ``path`` makes the field ``path`` from an image's name and synset: the default does so as Hugging Face does.
    """

    def write(folder="shards", photos=photos, path="{}_{}.JPEG".format):
        parts = {
            "train-00000-of-00002": photos["train"][4:],
            "train-00001-of-00002": photos["train"][:4],
            "validation-00000-of-00001": photos["val"][::-1],
        }
        for part, rows in parts.items():
            labels, names, cells = zip(*rows, strict=True)
            paths = [path(name, SYNSETS[label]) for name, label in zip(names, labels, strict=True)]
            write_cells(tmp_path / folder / "imagenet" / f"{part}.parquet", cells, labels, paths)
        return tmp_path / folder

    return write


@pytest.fixture
def tree(write_tree):
    """A data folder that holds the photographs as one folder a class."""
    return write_tree()


@pytest.fixture
def shards(write_shards):
    """A data folder that holds the photographs as Parquet."""
    return write_shards()


@pytest.fixture
def files(three_classes, tree, tmp_path):  # noqa: ARG001 - what it changes, not what it returns
    """The photographs, loaded from their tree."""
    return load("imagenet", tree, tmp_path / "cache")
