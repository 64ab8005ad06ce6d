"""ImageNet: 1.3 million photographs of many sizes in 1,000 classes (ILSVRC 2012, Russakovsky et al. 2015)."""

from __future__ import annotations

from pathlib import Path

from benchmark.data.copies import find_shards
from benchmark.data.dataset import Announce, DatasetInfo, FoundFiles, Source
from benchmark.data.files import DATA_VARIABLE, data_root
from benchmark.data.parquet import Columns
from benchmark.data.tree import find_tree
from benchmark.errors import UserError

INFO = DatasetInfo(name="imagenet", num_train=1_281_167, num_test=50_000, num_classes=1_000, image_size=224)
_COLUMNS = Columns(image=("image", "img", "jpg"), label=("label", "cls"))
_SPLITS = ("train", "val")


def _find(data_dir: Path | None, cache_dir: Path, announce: Announce) -> FoundFiles:
    """Locates a folder tree or Parquet files; a tree is read where it lies, so it comes first."""
    root = data_root(data_dir, cache_dir)
    for folder in (root / INFO.name, root):
        if any((folder / split).is_dir() for split in _SPLITS):
            return find_tree(INFO, folder, _SPLITS, announce)
        shards = {split: sorted(folder.glob(pattern)) for split, pattern in _PATTERNS.items()}
        if all(shards.values()):
            return find_shards(INFO, _COLUMNS, shards, announce)
        if any(shards.values()) and folder.name == INFO.name:
            lacking = next(pattern for split, pattern in _PATTERNS.items() if not shards[split])
            raise UserError(f"{folder}: one split is missing: add {lacking}")
    raise UserError(
        f"{INFO.name} is not in {root} and cannot be downloaded without an account: put train/<synset>/*.JPEG and "
        f"val/<synset>/*.JPEG, or train-*.parquet and validation-*.parquet, into DIR/{INFO.name}/ and give DIR as "
        f"--data DIR or ${DATA_VARIABLE}"
    )


_PATTERNS = {"train": "train[-.]*parquet", "val": "val*.parquet"}
SOURCES = (Source(INFO, None, _find, "imagenet/train/SYNSET/*.JPEG and imagenet/val/, or imagenet/*.parquet"),)
