"""Counted operations and the measured matrix rate."""

import pytest
import torch

from benchmark.bench import floor
from benchmark.bench.columns import column
from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.registry.catalog import networks


def _runs(**changes):
    run = column("11/wrn-40-2:wrn-16-2", ["kd"], ConfigResolver(load_profile("paper"), changes), 0).runs[0]
    return run, run.teacher


def test_a_step_is_three_forward_passes_of_the_student_and_a_share_of_the_teachers():
    student, teacher = _runs(batch_size=64)
    mine, theirs = (networks()[name].macs for name in ("wrn-16-2", "wrn-40-2"))
    assert floor.step_macs(student, teacher, 1.0) == pytest.approx(64 * (3 * mine + theirs))
    assert floor.step_macs(student, teacher, 1 / 14) == pytest.approx(64 * (3 * mine + theirs / 14))


def test_narrow_networks_have_fewer_operations():
    whole, narrow = _runs(), _runs(width=0.5)
    assert floor.step_macs(*narrow, 1.0) == pytest.approx(floor.step_macs(*whole, 1.0) / 4)


def test_measuring_the_rate_leaves_the_settings_of_matrix_products_alone():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    assert floor.matrix_rate("fp32", torch.device("cpu"), repeats=1) > 0
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before
