"""Tiny-ImageNet: 110,000 photographs of 64x64 pixels in 200 of ImageNet's classes (Le and Yang 2015).

The decoded images, 1.35 GB, are held in memory as CIFAR's are. The test images are those of the folder ``val``: the
labels of ``test`` are not published.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.data.dataset import Announce, DatasetFiles, DatasetInfo, DatasetReader, Split
from benchmark.data.files import DATA_VARIABLE, data_root
from benchmark.data.image_tree import TreeImage, image_files
from benchmark.data.images import decode_all
from benchmark.data.listing import table_rows
from benchmark.data.parquet import Columns, decodable_shards, find_shards
from benchmark.errors import UserError

INFO = DatasetInfo(
    name="tiny-imagenet",
    num_train=100_000,
    num_test=10_000,
    num_classes=200,
    image_size=64,
    mean=(0.4802, 0.4481, 0.3975),
    std=(0.2770, 0.2691, 0.2821),
)
_ARCHIVE = "tiny-imagenet-200"
_CLASSES = "wnids.txt"
_ANNOTATIONS = "val/val_annotations.txt"
_COLUMNS = Columns(image=("image", "img"), label=("label",))


def _find(data_dir: Path | None, cache_dir: Path, _announce: Announce) -> DatasetFiles:
    """Locate Parquet files or the unpacked archive."""
    root = data_root(data_dir, cache_dir)
    inner = root / INFO.name
    if shards := find_shards(inner, ("val",)):
        return decodable_shards(INFO, _COLUMNS, shards)
    for folder in (root / _ARCHIVE, inner / _ARCHIVE, inner, root):
        if (folder / _CLASSES).is_file():
            return _unpacked(folder)
    raise UserError(
        f"{INFO.name} is not in {root}: unpack cs231n.stanford.edu/{_ARCHIVE}.zip into DIR, or put train*.parquet and "
        f"valid*.parquet into DIR/{INFO.name}/, and give DIR as --data DIR or ${DATA_VARIABLE}"
    )


def _unpacked(folder: Path) -> DatasetFiles:
    """The data set in the folder of the archive. Labels are positions among the sorted synsets."""
    labels = {synset: label for label, (synset,) in enumerate(sorted(table_rows(folder / _CLASSES, 1)))}
    if len(labels) != INFO.num_classes:
        raise UserError(f"{folder / _CLASSES}: {len(labels)} classes, there must be {INFO.num_classes}: fetch it again")
    train = [
        TreeImage(f"train/{synset}/images/{name}", label)
        for synset, label in labels.items()
        for name in image_files(folder / "train" / synset / "images")
    ]
    test = []
    for name, synset in table_rows(folder / _ANNOTATIONS, 2):
        if synset not in labels:
            raise UserError(f"{folder / _ANNOTATIONS}: {name} is of class {synset}, which {_CLASSES} does not name")
        test.append(TreeImage(f"val/images/{name}", labels[synset]))
    for place, images in ((folder / "train", train), (folder / _ANNOTATIONS, test)):
        if not images:
            raise UserError(f"{place}: no images are there: fetch it again")
    paths = (_CLASSES, _ANNOTATIONS, *(image.path for image in (*train, *test)))
    return DatasetFiles(
        lambda: (_decoded(folder, train), _decoded(folder, test)), folder, {path: folder / path for path in paths}
    )


def _decoded(folder: Path, images: Sequence[TreeImage]) -> Split:
    named = [(str(folder / image.path), folder / image.path) for image in images]
    labels = np.asarray([image.label for image in images], dtype=np.int64)
    return Split(decode_all(named, INFO.image_size, fit=False), labels)


SOURCES = (DatasetReader(INFO, None, _find, f"{_ARCHIVE}/ or {INFO.name}/*.parquet"),)
