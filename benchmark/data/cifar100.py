"""CIFAR-100: 60,000 images of 32x32 pixels in 100 fine classes (Krizhevsky 2009)."""

from __future__ import annotations

from benchmark.data.dataset import DatasetInfo
from benchmark.data.files import PublishedFiles

FILES = PublishedFiles(
    DatasetInfo(name="cifar100", num_train=50_000, num_test=10_000, num_classes=100, image_size=32),
    torchvision_folder="cifar-100-python",
    official="2f5c7c7ca0c9c0514520436d3d1c3e478b193ab9795aac4cedae58a1fd90ffca",
)
SOURCES = (FILES.reader(),)
