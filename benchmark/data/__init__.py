"""Data sets by name, in one canonical order, and the batch stream on the device.

A data set is one file of this folder that assigns ``SOURCES``; nothing else has to be edited. What is exported here
does not import torch; ``stream``, ``augment``, ``filestream`` and ``decoders`` do.
"""

from benchmark.data.dataset import Dataset, DatasetInfo, FileDataset, Split
from benchmark.data.registry import describe, load, names

__all__ = ["Dataset", "DatasetInfo", "FileDataset", "Split", "describe", "load", "names"]
