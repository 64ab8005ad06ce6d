"""Small data sets, and writers of them in every form that is read."""

import hashlib
import io
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmark.data import Split, imagenet, load, registry


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


def write_cells(path, cells, labels, row_group_size=3):
    """Writes encoded images as they are into one Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    column = pa.array([{"bytes": cell, "path": None} for cell in cells])
    pq.write_table(pa.table({"image": column, "label": pa.array(labels)}), path, row_group_size=row_group_size)
    return path


@pytest.fixture
def parquet_dir(tmp_path, small, write_parquet):
    """A data folder that holds the small data set as Parquet."""
    folder = tmp_path / "data"
    for name, split in zip(("train", "test"), small, strict=True):
        write_parquet(folder / "cifar100" / f"{name}-00000-of-00001.parquet", split)
    return folder


@pytest.fixture
def write_torchvision(monkeypatch):
    """Writes torchvision's own files and makes torchvision take their checksums for the official ones."""
    from torchvision.datasets import CIFAR100

    def dump(path, content):
        path.write_bytes(pickle.dumps(content))
        return [path.name, hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()]

    def write(root: Path, train, test):
        folder = root / "cifar-100-python"
        folder.mkdir(parents=True, exist_ok=True)
        for name, split in (("train", train), ("test", test)):
            rows = split.images.transpose(0, 3, 1, 2).reshape(len(split), -1)
            sums = dump(folder / name, {"data": rows, "fine_labels": split.labels.tolist()})
            monkeypatch.setattr(CIFAR100, f"{name}_list", [sums])
        meta = dump(folder / "meta", {"fine_label_names": [str(index) for index in range(100)]})
        monkeypatch.setattr(CIFAR100, "meta", {"filename": "meta", "key": "fine_label_names", "md5": meta[1]})
        return root

    return write


CLASSES = ("n01", "n02", "n03")
PHOTOS = {
    "train": [("n01", 40, 30), ("n01", 30, 40), ("n02", 64, 20), ("n02", 9, 33), ("n02", 50, 50), ("n03", 31, 47)],
    "val": [("n01", 37, 29), ("n02", 21, 64), ("n03", 45, 45), ("n03", 24, 24)],
}
"""Class, width and height of some photographs."""


def photo(width, height, seed=0, mode="RGB", form="JPEG"):
    """An encoded image of coarse random blocks."""
    random = np.random.default_rng([width, height, seed])
    image = Image.fromarray(random.integers(0, 256, (5, 4, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    image.resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(buffer, form, quality=90)
    return buffer.getvalue()


@pytest.fixture
def photos():
    """Of each split a list of (class, encoded image)."""
    return {split: [(name, photo(*size)) for name, *size in rows] for split, rows in PHOTOS.items()}


@pytest.fixture
def three_classes(monkeypatch):
    """ImageNet with three classes instead of a thousand."""
    info = replace(imagenet.INFO, num_train=6, num_test=4, num_classes=len(CLASSES))
    monkeypatch.setattr(imagenet, "INFO", info)
    sources = registry._sources()
    monkeypatch.setitem(sources, "imagenet", replace(sources["imagenet"], info=info))


@pytest.fixture
def tree(tmp_path, photos):
    """A data folder that holds the photographs as one folder a class."""
    folder = tmp_path / "tree"
    for split, rows in photos.items():
        for number, (name, content) in enumerate(rows):
            path = folder / "imagenet" / split / name / f"{name}_{number}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


@pytest.fixture
def shards(tmp_path, photos):
    """A data folder that holds the photographs as Parquet, in another order and the training images in two files."""
    folder = tmp_path / "shards"
    parts = {
        "train-00000-of-00002": photos["train"][4:],
        "train-00001-of-00002": photos["train"][:4],
        "validation-00000-of-00001": photos["val"][::-1],
    }
    for name, rows in parts.items():
        labels = [CLASSES.index(name) for name, _ in rows]
        write_cells(folder / "imagenet" / f"{name}.parquet", [content for _, content in rows], labels)
    return folder


@pytest.fixture
def files(three_classes, tree, tmp_path):  # noqa: ARG001 - what it changes, not what it returns
    """The photographs, loaded from their tree."""
    return load("imagenet", tree, tmp_path / "cache")
