import math

import pytest

from benchmark.claims.comparison import POSITIVE, Comparison, evaluation_settings
from benchmark.errors import UserError
from benchmark.tables import reader


@pytest.fixture
def settings():
    return lambda number: evaluation_settings(reader.load(str(number)))


def printed(comparison):
    found = {cell.key: cell.paper for number in reader.numbers() for cell in reader.load(number).cells}
    return comparison.total({name: found[name] for name in comparison.cells})


@pytest.mark.parametrize(
    ("number", "count", "first", "methods"),
    [
        (6, 9, "table06/wrn-40-4:wrn-16-2/top1", 8),
        (1, 2, "table01/wrn-40-4:wrn-16-4/top1", 8),
        (4, 4, "table04/wrn-40-4:wrn-16-4/PROBE-STL10/top1", 5),
        (11, 7, "table11/wrn-40-2:wrn-16-2/top1", 16),
    ],
)
def test_settings_are_where_methods_stand_side_by_side_in_rows_or_columns(number, count, first, methods, settings):
    found = settings(number)
    assert (len(found), found[0].name, len(found[0].cells)) == (count, first, methods)


def test_a_method_that_does_not_apply_stands_nowhere_whatever_is_printed(settings):
    with_fsp = [setting.pair for setting in settings(11) if "fsp" in setting.cells]
    assert len(with_fsp) == 6
    assert "wrn-40-2:wrn-40-1" not in with_fsp


def test_a_number_of_which_more_is_neither_better_nor_worse_makes_no_setting(settings):
    assert {setting.metric for setting in settings(6)} == {"top1"}


def test_a_lead_is_positive_where_the_method_is_better(settings):
    by_metric = {setting.metric: setting for setting in settings(2)}
    accuracy, divergence = (
        Comparison.of([by_metric[metric]], "kd", "student") for metric in ("top1", "kl_div_with_teacher")
    )
    assert printed(accuracy) == pytest.approx(78.35 - 76.97)
    assert printed(divergence) == pytest.approx(0.5964 - 0.5818)


def test_a_lead_over_several_settings_is_their_mean_where_both_stand(settings):
    both = Comparison.of(settings(7)[::2], "srrl", "crd")
    assert printed(both) == pytest.approx((71.73 - 71.17 + 72.49 - 71.40) / 2)
    assert len(Comparison.of(settings(11), "srrl", "fsp").cells) == 12


def test_leads_are_compared_as_means_over_rivals_and_settings(settings):
    one = Comparison.of_leads(settings(8), settings(5)[:1], "srrl", ["kd", "at"])
    binary = ((70.50 - 68.65) + (70.50 - 68.54) + (59.57 - 57.39) + (59.57 - 58.45)) / 4
    assert printed(one) == pytest.approx(binary - ((92.95 - 92.57) + (92.95 - 92.15)) / 2)
    with pytest.raises(UserError, match="in several metrics"):
        Comparison.of_leads(settings(7), settings(5), "srrl", ["kd"])


@pytest.mark.parametrize(
    ("bounds", "total", "slack"),
    [((0, math.inf), 0.2, 0.2), ((0, math.inf), -1, -1), ((1, 3), 2.5, 0.5), ((1, 3), 4, -1)],
)
def test_slack_is_the_way_to_the_nearer_bound(bounds, total, slack):
    comparison = Comparison((), bounds, "", "", "", "")
    assert comparison.slack(total) == pytest.approx(slack)
    assert comparison.sign_only.bounds == POSITIVE


def test_comparisons_of_one_kind_agree_in_their_contest_and_those_on_one_run_in_their_runs(settings):
    stl, home, other, _ = (Comparison.of([setting], "srrl", "kd") for setting in settings(4))
    assert stl.contest == home.contest == other.contest != Comparison.of([settings(4)[0]], "srrl", "crd").contest
    assert stl.runs == home.runs != other.runs
    assert len({stl.subject, home.subject, other.subject}) == 3
