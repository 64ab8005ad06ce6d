"""CUB-200-2011: 11,788 photographs of many sizes in 200 species of birds (Wah, Branson, Welinder et al. 2011)."""

from __future__ import annotations

from pathlib import Path

from benchmark.data.dataset import Announce, DatasetInfo, DatasetReader, FileDataset
from benchmark.data.files import DATA_VARIABLE, data_root
from benchmark.data.imagenet import MEAN, STD
from benchmark.data.listing import ListedImage, file_dataset, image_name, listed, table_rows
from benchmark.data.parquet import Columns, find_shards
from benchmark.data.unpack import unpacked_dataset
from benchmark.errors import UserError

INFO = DatasetInfo(
    name="cub200",
    num_train=5_994,
    num_test=5_794,
    num_classes=200,
    image_size=224,
    in_files=True,
    mean=MEAN,
    std=STD,
)
_ARCHIVE = "CUB_200_2011"
_IMAGES, _LABELS, _SPLIT = "images.txt", "image_class_labels.txt", "train_test_split.txt"
_COLUMNS = Columns(image=("image", "img"), label=("label",))
_WHOLE = (0, -1, -1)


def _find(data_dir: Path | None, cache_dir: Path, announce: Announce) -> FileDataset:
    """Locate the unpacked archive or Parquet files. The archive comes first, since it is read in place."""
    root = data_root(data_dir, cache_dir)
    inner = root / INFO.name
    for folder in (root / _ARCHIVE, inner / _ARCHIVE, inner, root):
        if (folder / _IMAGES).is_file():
            return _unpacked(folder)
    if shards := find_shards(inner, ("test",)):
        return unpacked_dataset(INFO, _COLUMNS, shards, cache_dir / "data" / INFO.name, announce)
    raise UserError(
        f"{INFO.name} is not in {root}: unpack {_ARCHIVE}.tgz from data.caltech.edu/records/65de6-vp158 into DIR, or "
        f"put train*.parquet and test*.parquet into DIR/{INFO.name}/, and give DIR as --data DIR or ${DATA_VARIABLE}"
    )


def _unpacked(folder: Path) -> FileDataset:
    """The data set in the folder of the archive. Labels are those of ``image_class_labels.txt``, from 0."""
    paths, labels, parts = (_by_number(folder / name) for name in (_IMAGES, _LABELS, _SPLIT))
    if not paths.keys() == labels.keys() == parts.keys():
        raise UserError(f"{folder}: {_IMAGES}, {_LABELS} and {_SPLIT} number other images: fetch the data set again")
    splits: dict[str, list[ListedImage]] = {"1": [], "0": []}
    for number, path in paths.items():
        label, part = labels[number], parts[number]
        if not label.isdecimal() or not 1 <= int(label) <= INFO.num_classes:
            raise UserError(f"{folder / _LABELS}: image {number} has class {label}, it must be 1 to {INFO.num_classes}")
        if part not in splits:
            raise UserError(f"{folder / _SPLIT}: image {number} has {part}, it must be 1 (training) or 0 (test)")
        splits[part].append(ListedImage(image_name(path), int(label) - 1, f"images/{path}", _WHOLE))
    if not all(splits.values()):
        raise UserError(f"{folder / _SPLIT}: one of the splits has no images: fetch the data set again")
    return file_dataset(INFO, folder, [listed(images) for images in splits.values()])


def _by_number(path: Path) -> dict[str, str]:
    return {number: value for number, value in table_rows(path, 2)}  # noqa: C416 - names the columns


SOURCES = (DatasetReader(INFO, None, _find, f"{_ARCHIVE}/ or {INFO.name}/*.parquet"),)
