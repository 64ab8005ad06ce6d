"""CIFAR-10: 60,000 images of 32x32 pixels in 10 classes (Krizhevsky 2009)."""

from __future__ import annotations

from benchmark.data.dataset import DatasetInfo
from benchmark.data.files import PublishedFiles

FILES = PublishedFiles(
    DatasetInfo(name="cifar10", num_train=50_000, num_test=10_000, num_classes=10, image_size=32),
    torchvision_folder="cifar-10-batches-py",
)
SOURCES = (FILES.reader(),)
