"""Data sets by name, in one canonical order, and the batch stream on the device.

A data set is one file that assigns ``SOURCES``, in this folder or in a plug-in (``--plugin FILE``); nothing else has to
be edited. `image_folder` and `parquet_files` make the entries of ``SOURCES``. The names exported here do not import
torch; ``stream``, ``augment``, ``filestream`` and ``decoders`` do.
"""

from benchmark.data.cache import DECODING
from benchmark.data.dataset import Dataset, FileDataset
from benchmark.data.files import use
from benchmark.data.registry import code_of, content_of, describe, load, location, names, normalisation, tell
from benchmark.data.user_data import image_folder, parquet_files

__all__ = [
    "DECODING",
    "Dataset",
    "FileDataset",
    "code_of",
    "content_of",
    "describe",
    "image_folder",
    "load",
    "location",
    "names",
    "normalisation",
    "parquet_files",
    "tell",
    "use",
]
