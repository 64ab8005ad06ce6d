"""STL-10: 13,000 labelled images of 96x96 pixels in 10 classes (Coates, Ng and Lee 2011)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.data.dataset import DatasetInfo, Split
from benchmark.data.files import PublishedFiles


def _read(folder: Path, split: str) -> Split:
    from torchvision.datasets import STL10

    class Labelled(STL10):  # type: ignore[misc]
        """STL-10 without the 100,000 unlabelled images, which are not used here."""

        train_list = [item for item in STL10.train_list if not item[0].startswith("unlabeled")]  # noqa: RUF012

    data = Labelled(folder, split=split)
    return Split(np.ascontiguousarray(data.data.transpose(0, 2, 3, 1)), data.labels.astype(np.int64))


FILES = PublishedFiles(
    DatasetInfo(name="stl10", num_train=5_000, num_test=8_000, num_classes=10, image_size=96),
    torchvision_folder="stl10_binary",
    read=_read,
    unread=("unlabeled_X.bin",),
)
SOURCES = (FILES.reader(),)
