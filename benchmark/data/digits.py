"""The 1,797 handwritten digits that scikit-learn ships: 8x8 grey images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.data.dataset import Announce, DatasetInfo, Found, Source, Split, canonical

INFO = DatasetInfo(name="digits", num_train=1_197, num_test=600, num_classes=10, image_size=8)
_WHITE = 15  # grey levels run from 0 to 16, so that white becomes 240


def _find(_data_dir: Path | None, _cache_dir: Path, _announce: Announce) -> Found:
    return Found(read=_read)


def _read() -> tuple[Split, Split]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = (bunch.images * _WHITE).astype(np.uint8)
    rows = canonical(Split(np.repeat(grey[..., None], 3, axis=3), bunch.target.astype(np.int64)))
    # Canonical order is by hash, so its first rows are an arbitrary but fixed sample.
    cut = INFO.num_train
    return Split(rows.images[:cut], rows.labels[:cut]), Split(rows.images[cut:], rows.labels[cut:])


SOURCES = (Source(INFO, official="7de55d98a68481a3662c075fd62db12cd7c1f9660f0531213b678f646e6c0d55", find=_find),)
