"""FitNet against the known value, and which maps it compares."""

import numpy as np
import pytest

from methods import load
from methods.fitnet import hint_loss


def test_golden(golden, wave):
    assert hint_loss(wave.s(4, 3, 4, 4), wave.t(4, 3, 4, 4)).item() == pytest.approx(golden["MSE_map"], abs=1e-9)


def test_identical_maps_cost_nothing(wave):
    assert hint_loss(wave.s(4, 3, 4, 4), wave.s(4, 3, 4, 4)) == 0


@pytest.mark.parametrize(("options", "stage"), [({}, 2), ({"stage": 1}, 1), ({"stage": 3}, 3)])
def test_method_compares_one_stage_after_the_rectified_regressor(options, stage, make_bench):
    # Four stages of the teacher against three of the student.
    bench = make_bench("wrn-10-1", "resnet10-narrow", sizes=(16, 24))
    method, seen = load("fitnet")(bench.pair, **options), bench.batch()
    regressed = method.regressor(seen.student.feats[stage]).detach().numpy()
    assert regressed.min() == 0
    expected = np.mean((regressed - seen.teacher.feats[stage].numpy()) ** 2)
    assert method(seen.student, seen.teacher, seen.data)["hint"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("stage", [0, 4])
def test_stage_without_a_partner_is_an_error(stage, make_bench):
    with pytest.raises(ValueError, match="among 1 to 3"):
        load("fitnet")(make_bench("wrn-10-1", "resnet10-narrow").pair, stage=stage)
