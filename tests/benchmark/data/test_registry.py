import subprocess
import sys

import pytest

from benchmark.data import describe, load, names
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
