"""ImageNet: 1.3 million photographs of many sizes in 1,000 classes (ILSVRC 2012, Russakovsky et al. 2015)."""

from __future__ import annotations

from pathlib import Path

from benchmark.data.dataset import Announce, DatasetInfo, DatasetReader, FileDataset
from benchmark.data.files import DATA_VARIABLE, data_root
from benchmark.data.image_tree import tree_dataset
from benchmark.data.parquet import Columns, find_shards
from benchmark.data.unpack import unpacked_dataset
from benchmark.errors import UserError

INFO = DatasetInfo(
    name="imagenet", num_train=1_281_167, num_test=50_000, num_classes=1_000, image_size=224, in_files=True
)
MEAN = (0.485, 0.456, 0.406)
"""Channel means, which other photographs are normalised by as well, unless their own are stated."""
STD = (0.229, 0.224, 0.225)
"""The standard deviations that belong to `MEAN`."""
_COLUMNS = Columns(image=("image", "img", "jpg"), label=("label", "cls"))
_SPLITS = ("train", "val")


def _find(data_dir: Path | None, cache_dir: Path, announce: Announce) -> FileDataset:
    """Locate a folder tree or Parquet files. The tree comes first, since it is read in place."""
    root = data_root(data_dir, cache_dir)
    for folder in (root / INFO.name, root):
        if any((folder / split).is_dir() for split in _SPLITS):
            return tree_dataset(INFO, folder, _SPLITS)
        # Hugging Face's test*.parquet has no labels.
        if shards := find_shards(folder, ("val",)):
            return unpacked_dataset(INFO, _COLUMNS, shards, cache_dir / "data" / INFO.name, announce)
    raise UserError(
        f"{INFO.name} is not in {root} and cannot be downloaded without an account: put train/<synset>/*.JPEG and "
        f"val/<synset>/*.JPEG, or train-*.parquet and validation-*.parquet, into DIR/{INFO.name}/ and give DIR as "
        f"--data DIR or ${DATA_VARIABLE}"
    )


SOURCES = (DatasetReader(INFO, None, _find, "imagenet/train/SYNSET/*.JPEG and imagenet/val/, or imagenet/*.parquet"),)
