"""The numbers of the leaderboard against the records that they come from."""

import json
from dataclasses import replace

import pytest

from benchmark.report.leaderboard.data import TIMING
from benchmark.report.leaderboard.page_data import measured, printed
from benchmark.runs.record import COHORT_OF_ONE
from benchmark.tables import leaderboard, reader
from tests.benchmark.made_up import record
from tests.benchmark.report.leaderboard.made_up import PROVENANCE, broken, done

PAIRS = ["resnet56:resnet20", "vgg13:vgg8", "wrn-40-2:wrn-40-1"]


@pytest.fixture
def data(sample):
    return sample()


def test_numbers_are_those_of_the_records_by_seed(data):
    page_data = measured(data)
    cell = page_data["cells"]["kd"]["vgg13:vgg8"]
    assert cell["state"] == "done"
    assert cell["values"]["last"]["top1"] == pytest.approx([72.0, 72.1, 72.2])
    assert cell["values"]["best"]["top1"] == pytest.approx([73.0, 73.1, 73.2])
    assert cell["values"]["last"]["top5"] == [90.0] * 3
    assert cell["paper"] == 72.98
    assert page_data["seeds"] == [0, 1, 2]
    assert page_data["metric"] == "top1"
    pair = next(pair for pair in page_data["pairs"] if pair["id"] == "vgg13:vgg8")
    assert (pair["label"], pair["group"], pair["paper"]) == ("vgg13 → vgg8", "same architectures", 74.64)
    assert pair["teacher"]["last"]["top1"] == 75.0
    json.dumps(page_data, allow_nan=False)


def test_cells_without_a_number_say_why(data):
    cells = measured(data)["cells"]["fsp"]
    states = {pair: cell["state"] for pair, cell in cells.items()}
    assert states == dict(zip(PAIRS, ["done", "missing", "not_applicable"], strict=True))
    assert cells["wrn-40-2:wrn-40-1"]["reason"] == "unequal channels"
    assert cells["vgg13:vgg8"]["values"]["last"]["top1"] == [None] * 3
    assert cells["vgg13:vgg8"]["runs"] == [None] * 3


def test_what_cannot_be_applied_says_so_before_it_is_tried(sample):
    made = sample()
    made.plan.records.clear()
    cells = measured(made)["cells"]
    assert {pair: cell["state"] for pair, cell in cells["fsp"].items()} == {
        "resnet56:resnet20": "missing",
        "vgg13:vgg8": "missing",
        "wrn-40-2:wrn-40-1": "not_applicable",
    }
    assert cells["fsp"]["wrn-40-2:wrn-40-1"]["reason"] == "the method does not apply to this pair"
    assert cells["kd"]["wrn-40-2:wrn-40-1"]["state"] == "missing"


def test_failed_runs_are_no_numbers(sample):
    def failed(cell, job, record):
        return broken(job, "failed", "diverged") if cell.method == "kd" and job.seed == 1 else record

    cell = measured(sample(failed))["cells"]["kd"]["vgg13:vgg8"]
    assert (cell["state"], cell["reason"]) == ("partial", "diverged")
    assert cell["values"]["last"]["top1"] == [72.0, None, pytest.approx(72.2)]
    assert None not in cell["runs"]  # the failed run's record can be looked at


def test_every_number_leads_to_its_run_and_recipe(data):
    page_data = measured(data)
    run = page_data["runs"][page_data["cells"]["kd"]["vgg13:vgg8"]["runs"][2]]
    assert run["seed"] == 2
    assert run["record"].startswith("records/CRD100/vgg13--vgg8/kd/seed2-")
    assert run["curve"] == {"epoch": [3, 6], "top1": [50.0, 72.2], "top5": [80.0, 90.0], "loss": [2.5, 1.3]}
    assert run["objective"]["terms"]["kd"]["weight"] == 0.9
    assert page_data["recipes"][run["recipe"]]["name"] == "CRD100"


def test_cost_is_by_the_plain_student_of_the_least_disturbed_seed(data):
    assert measured(data)["cells"]["kd"]["vgg13:vgg8"]["cost"] == {"relative": 1.5, "extra_parameters": 7}
    assert data.cost("dist") == {"relative": None, "extra_parameters": None}


@pytest.fixture
def two_views(data_for):
    """CRLD, of two views and passes, beside KD on two pairs; MLKD, of twice as many epochs, without a record."""

    def record(cell, job):
        cost = {"step_seconds": 2.0, "passes": 2, "views": 2} if cell.method == "crld" else {"step_seconds": 2.0}
        return None if cell.method == "mlkd" else done(job, 70.0, cost={"extra_parameters": 0, **cost})

    return data_for(leaderboard.load().select(["kd", "crld", "mlkd"], PAIRS[:2]), record)


def test_what_a_training_takes_is_of_its_recipe_method_and_records(two_views):
    plain = two_views.effort("student")
    assert plain["epochs"].isdecimal()
    assert two_views.effort("kd") == plain == {"epochs": plain["epochs"], "views": 1, "passes": 1}
    assert two_views.effort("crld") == {"epochs": plain["epochs"], "views": 2, "passes": 2}
    assert two_views.effort("mlkd")["views"] == 2
    assert two_views.effort("mlkd")["passes"] is None
    assert {"views", "passes"} <= {*two_views.differing}
    board = measured(two_views)
    assert board["differing"] == list(two_views.differing)
    crld = next(method for method in board["methods"] if method["id"] == "crld")
    assert (crld["views"], crld["passes"]) == (2, 2)


def test_methods_that_take_the_same_differ_in_nothing(data):
    assert data.differing == ()
    assert printed(leaderboard.load())["differing"] == []


def test_epochs_differ_where_they_do_on_one_pair(data):
    def longer(cell, jobs):
        if cell.method != "kd" or cell.pair != PAIRS[0]:
            return jobs
        return tuple(replace(job, recipe=replace(job.recipe, epochs=99)) for job in jobs)

    cells = {cell.key: longer(cell, data.plan.cells[cell.key]) for cell in data.table.cells}
    changed = replace(data, plan=replace(data.plan, cells=cells))
    usual = data.effort("kd")["epochs"]
    assert changed.effort("kd")["epochs"] == f"{usual} to 99"
    assert changed.differing == ("epochs",)


def test_methods_say_by_which_recipe_their_published_numbers_were_made(two_views):
    found = {method["id"]: method["published_recipe"] for method in measured(two_views)["methods"]}
    assert found["student"] == found["kd"] == ""
    assert "epochs" in found["mlkd"]


@pytest.fixture
def timed(data_for):
    """``timed(pairs)``: data of so many pairs, on which KD's steps take 1.5 times those of the student."""

    def build(pairs, processor="P"):
        def record(cell, job):
            seconds, machine = (3.0, processor) if cell.method == "kd" else (2.0, "P")
            return done(job, 70.0, seconds=seconds, provenance=PROVENANCE | {"processor": machine})

        return data_for(leaderboard.load().select(["kd", "at"], leaderboard.load().pairs[:pairs]), record)

    return build


def test_step_time_is_of_five_pairs_at_least(timed):
    assert timed(5).cost("kd") == {"relative": pytest.approx(1.5), "extra_parameters": 7}
    assert timed(4).cost("kd") == {"relative": None, "extra_parameters": 7}


def on_a_gpu(members, seconds):
    return {"step_seconds": None, "cohort_members": members, "cohort_seconds": seconds}


class TestOnAGpu:
    """Records that do not time steps."""

    @pytest.fixture
    def on_gpu(self, data_for):
        """``on_gpu(members, student)``: KD took 30 s in a cohort of that size; the student's cost is given."""

        def build(members, student):
            def record(cell, job):
                told = student if cell.method == "student" else on_a_gpu(members, 30.0 + job.seed)
                return done(job, 70.0, cost=told)

            return data_for(leaderboard.load().select(["kd"], leaderboard.load().pairs[:5]), record)

        return build

    def test_runs_that_shared_their_time_have_none(self, on_gpu):
        shared = on_gpu(13, on_a_gpu(1, 20.0))
        assert shared.cost("kd") == {"relative": None, "extra_parameters": 7}
        assert {cell["cost"]["relative"] for cell in measured(shared)["cells"]["kd"].values()} == {None}
        assert shared.timing == (TIMING[None], TIMING[COHORT_OF_ONE])
        assert measured(shared)["notes"][-2:] == list(shared.timing)
        json.dumps(measured(shared), allow_nan=False)

    def test_runs_that_trained_alone_have_that_of_their_cohorts(self, on_gpu):
        alone = on_gpu(1, on_a_gpu(1, 20.0))
        assert alone.cost("kd")["relative"] == pytest.approx(1.5)
        assert alone.timing == (TIMING[COHORT_OF_ONE],)

    def test_whole_trainings_are_not_compared_with_steps(self, on_gpu):
        assert on_gpu(1, {"step_seconds": 20.0}).cost("kd")["relative"] is None

    def test_times_of_steps_need_no_note(self, sample):
        assert sample().timing == ()


def test_cost_includes_first_stages(sample, plan):
    made = sample()
    [job, *_] = plan.cells["leaderboard/resnet56:resnet20/fsp/top1"]
    [stage] = job.stages
    before = measured(made)["cells"]["fsp"]["resnet56:resnet20"]["cost"]["relative"]
    made.plan.records[stage.id] = record(stage, cost={"step_seconds": 1.0})
    # Seeds have stages of their own; the others' are not recorded here, so theirs is the least.
    assert measured(made)["cells"]["fsp"]["resnet56:resnet20"]["cost"]["relative"] == pytest.approx(before, 0.1)
    for other in plan.cells["leaderboard/resnet56:resnet20/fsp/top1"]:
        made.plan.records[other.stages[0].id] = record(other.stages[0], cost={"step_seconds": 1.0})
    assert measured(made)["cells"]["fsp"]["resnet56:resnet20"]["cost"]["relative"] == pytest.approx(before + 0.5)


def test_times_of_different_machines_are_not_compared(timed):
    data = timed(5, processor="Q")
    assert {cell["cost"]["relative"] for cell in measured(data)["cells"]["kd"].values()} == {None}
    assert data.cost("kd")["relative"] is None
    assert data.cost("at")["relative"] == pytest.approx(1.0)


@pytest.fixture
def mixed(sample):
    """``mixed(method, seeds)``: data of runs on processor P, and on Q for some seeds of a method on the first pair."""

    def build(method, seeds):
        def change(cell, job, record):
            odd = (cell.method, cell.pair) == (method, PAIRS[0]) and job.seed in seeds
            return done(job, 70.0, provenance=PROVENANCE | {"processor": "Q"}) if odd else record

        return sample(change)

    return build


def test_runs_of_other_machines_are_told(mixed, data):
    assert (data.mixtures, data.elsewhere) == ((), {})
    one = mixed("srrl", (0, 2))
    [sentence] = one.mixtures
    assert sentence.startswith(
        "On 1 of 3 pairs, runs that are compared were made on different machines (processor: P, Q)"
    )
    assert [*one.elsewhere] == [("srrl", PAIRS[0])]
    page_data = measured(one)
    cell = page_data["cells"]["srrl"][PAIRS[0]]["elsewhere"]
    reason = "made on another machine than Student, KD, AT, 1 more (processor: Q, there P)"
    assert cell == {"seeds": 2, "reason": f"seed 0, 2: {reason}"}
    assert page_data["cells"]["kd"][PAIRS[0]]["elsewhere"] is None
    assert page_data["statistics"]["best"]["loss"]["sentences"][-1] == sentence
    # The numbers are compared all the same.
    assert page_data["statistics"]["last"]["top1"]["methods"]["srrl"]["gain_kd"] is not None


@pytest.mark.parametrize("method", ["student", "kd"])
def test_all_gains_over_a_baseline_of_another_machine_are_told(method, mixed):
    titles = {"student": "Student", "kd": "KD"}
    found = mixed(method, (0, 1, 2)).elsewhere
    assert {name for name, pair in found if pair == PAIRS[0]} == {"student", "kd", "at", "srrl", "fsp"}
    assert found["srrl", PAIRS[0]].reason == f"made on another machine than {titles[method]} (processor: P, there Q)"
    assert len(found) == 5


def test_statistics_are_those_of_the_metric(data):
    best_first = data.statistics("top1", "last").methods.set_index("method")["average_rank"]
    assert best_first[["srrl", "kd", "at", "student"]].tolist() == [1, 2, 3, 4]
    by_loss = data.statistics("loss", "last").methods.set_index("method")["average_rank"]
    assert by_loss.dropna().tolist() == best_first.dropna().tolist()  # lower is better
    assert data.statistics("top1", "last") is data.statistics("top1", "last")


def test_what_has_no_number_says_why(sample):
    def change(cell, job, record):
        if cell.method == "kd":
            return None
        return broken(job, "failed", f"diverged in epoch {1 + job.seed % 2}") if cell.method == "at" else record

    data = sample(change)
    assert data.why_no_number("at") == ("failed", "Its runs failed: diverged in epoch 1; diverged in epoch 2.")
    assert data.why_no_number("kd") == ("no numbers yet", "It has no numbers yet.")
    lines = data.statistics("top1", "last").methods.set_index("method")
    assert list(lines.loc[["at", "kd"], "reason"]) == [data.why_no_number("at")[1], data.why_no_number("kd")[1]]
    one = replace(sample(), table=leaderboard.load().select(["fsp"], PAIRS[2:]))
    assert one.why_no_number("fsp") == ("n/a", "It applies to none of these pairs.")


def test_methods_of_one_title_are_told_apart(sample, table):
    rows = tuple(replace(row, label="KD") if row.run == "at" else row for row in table.rows)
    board = measured(replace(sample(), table=replace(table, rows=rows)))
    titles = {method["id"]: method["title"] for method in board["methods"]}
    assert (titles["kd"], titles["at"], titles["srrl"]) == ("KD (kd)", "KD (at)", "Ours")
    apart = printed(replace(table, rows=rows))
    assert {method["title"] for method in apart["methods"]} >= {"KD (kd)", "KD (at)"}


def test_the_printed_numbers_need_no_run():
    table = leaderboard.load()
    board = printed(table)
    assert board["cells"]["kd"]["vgg13:vgg8"]["paper"] == 72.98
    assert board["cells"]["fsp"]["wrn-40-2:wrn-40-1"]["state"] == "not_applicable"
    assert {method["id"] for method in board["methods"]} == {*reader.load("11").methods, *reader.load("12").methods} - {
        "teacher"
    }
    statistics = board["statistics"]["last"]["top1"]
    # Ours is best everywhere but on vgg13 -> MobileNetV2, where CRD is.
    assert statistics["methods"]["srrl"]["average_rank"] == pytest.approx(14 / 13, abs=1e-6)
    assert statistics["methods"]["srrl"]["wins"] == 13
    assert statistics["cells"]["crd"]["vgg13:mobilenetv2-half"]["best"]
    assert not any(cell["near"] for cells in statistics["cells"].values() for cell in cells.values())
    json.dumps(board, allow_nan=False)
