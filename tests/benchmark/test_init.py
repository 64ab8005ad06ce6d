import subprocess
import sys

import pytest

import benchmark
from benchmark.errors import UserError
from benchmark.registry.catalog import ROOT


def test_importing_is_light():
    code = "import sys, benchmark; sys.exit(len({'pandas', 'torch', 'numpy', 'yaml'} & {*sys.modules}))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_records_stay_a_function_and_bring_no_torch():
    code = (
        "import sys, benchmark\n"
        "assert all(len(benchmark.records('digits')) for _ in range(2))\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_errors_are_for_people(tmp_path):
    with pytest.raises(UserError, match="there are no records in"):
        benchmark.records("digits", tmp_path / "nowhere")
