import subprocess
import sys

import pytest

from benchmark.data import describe, load, names
from benchmark.data.registry import _sources
from benchmark.errors import UserError

PLANNING = """
import sys
from pathlib import Path
from benchmark.data import describe, load, names
[describe(name) for name in names()]
load('digits', None, Path('unused'))
assert 'torch' not in sys.modules
"""


def test_describe_names_every_data_set():
    assert {"cifar10", "cifar100", "digits", "digits-for-stl10", "imagenet", "stl10"} <= set(names())
    assert [describe(name).name for name in names()] == names()
    assert (describe("cifar100").num_train, describe("cifar100").num_classes) == (50_000, 100)
    assert (describe("imagenet").num_test, describe("imagenet").image_size) == (50_000, 224)


@pytest.mark.parametrize("ask", [describe, lambda name: load(name, None, None)])
def test_unknown_name_is_an_error_that_names_the_nearest(ask):
    with pytest.raises(UserError, match="did you mean 'cifar100'"):
        ask("cifar-100")


def test_planning_does_not_import_torch():
    subprocess.run([sys.executable, "-c", PLANNING], check=True)


@pytest.mark.parametrize(
    ("name", "fingerprint", "counts", "official"),
    [
        ("digits", "7de55d98a68481a3662c075fd62db12cd7c1f9660f0531213b678f646e6c0d55", (1, 1), True),
        ("digits", "other", (1_197, 600), False),
        ("imagenet", "any", (1_281_167, 50_000), None),
        ("imagenet", "any", (1_281_166, 50_000), False),
        ("stl10", "any", (5_000, 7_999), False),
    ],
)
def test_what_is_known_of_data_being_official(name, fingerprint, counts, official):
    assert _sources()[name].judge(fingerprint, *counts) is official
