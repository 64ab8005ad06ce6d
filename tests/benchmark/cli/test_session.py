import hashlib

import pytest

from benchmark import devices
from benchmark.cli.session import recorded_seeds
from benchmark.config.teachers import TeacherChoice
from benchmark.errors import UserError
from benchmark.planning import check_process, estimates
from benchmark.planning.check_process import Report
from benchmark.runs.job import Pretrained
from benchmark.runs.names import TEACHER
from benchmark.tables import reader
from tests.benchmark.made_up import parts


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"weights of a teacher")
    return path


def shown(session):
    return [table.stem for table in session.tables]


ALL_TABLES = [f"table{number:02d}" for number in range(1, 13)]


@pytest.mark.parametrize(
    ("words", "stems"),
    [
        (["--table", "6"], ["table06"]),
        (["--table", "6,11,6"], ["table06", "table11"]),
        (["--table", "6", "--table", "11"], ["table06", "table11"]),
        (["--table", "6", "--figure", "2"], ["table06", "figure02"]),
        (["--figure", "all"], ["figure02"]),
        (["--table", "6", "--figure", "all"], ["table06", "figure02"]),
        (["--table", "all"], [*ALL_TABLES, "figure02"]),
        (["leaderboard"], ["leaderboard"]),
        (["--leaderboard", "--methods", "kd"], ["leaderboard"]),
        (["--table", "all", "--leaderboard"], [*ALL_TABLES, "figure02", "leaderboard"]),
        (["status"], [*ALL_TABLES, "figure02", "leaderboard"]),
    ],
)
def test_tables_and_figures(words, stems, session_of):
    assert shown(session_of(*words)) == stems


def test_of_all_tables_those_are_taken_that_the_selection_speaks_of(session_of):
    chosen = session_of("--table", "all", "--pairs", "wrn-40-4:wrn-16-2", "--methods", "kd")
    assert shown(chosen) == ["table06", "table10"]
    assert {cell.pair.student for table in chosen.tables for cell in table.cells} == {"wrn-16-2"}
    assert [table.stem for table in chosen.whole_tables] == ["table06", "table10"]
    assert chosen.whole_tables[0] == reader.load("6")
    with pytest.raises(UserError, match="no pair of this table matches 'wrn-99:\\*'"):
        assert session_of("--table", "all", "--pairs", "wrn-99:*").tables


def test_whole_tables_are_those_of_the_paper_and_those_with_added_methods(session_of):
    whole = session_of("--table", "6", "--methods", "kd,srrl[tuned]").whole_tables
    assert [table.stem for table in whole] == ["table06", "table06+srrl[tuned]"]


def test_chains_are_added_to_tables_that_have_their_student(session_of):
    pair = "resnet110>resnet56[kd]:resnet20"
    chosen = session_of("--table", "all", "--leaderboard", "--pairs", pair, "--methods", "kd")
    assert [table.name for table in chosen.tables] == ["table11", "leaderboard"]
    assert {cell.pair for table in chosen.tables for cell in table.cells} == {pair}
    added = "+resnet110--resnet56[kd]--resnet20"
    stems = ["table11", "leaderboard"]
    assert [table.stem for table in chosen.whole_tables] == [*stems, *(f"{stem}{added}" for stem in stems)]
    with pytest.raises(UserError, match="unknown network 'resnt56': did you mean 'resnet56'"):
        assert session_of("--table", "all", "--pairs", "resnet110>resnt56[kd]:resnet20").tables


@pytest.mark.parametrize(
    ("profile", "gpus", "expected"),
    [
        (None, 0, ("digits", "there is no CUDA device")),
        (None, 1, ("paper", "there is a CUDA device")),
        ("quick", 0, ("quick", "as asked")),
        ("digits", 1, ("digits", "as asked")),
    ],
)
def test_the_profile_and_why(profile, gpus, expected, session_of, monkeypatch):
    monkeypatch.setattr(devices, "cuda_devices", lambda: gpus)
    chosen = session_of("--table", "6", profile=profile)
    assert chosen.profile == expected
    assert chosen.resolver.profile.name == expected[0]


def test_where_results_lie(session_of, tmp_path):
    plain, changed = session_of("--table", "6"), session_of("--table", "6", "--set", "epochs=2")
    assert (plain.store.results, plain.store.checkpoints) == (
        tmp_path / "results" / "digits",
        tmp_path / "checkpoints" / "digits",
    )
    assert changed.store.results.name == changed.store.checkpoints.name == changed.resolver.folder != "digits"
    # What a preset or a teacher changes has ids of its own, so it needs no folder.
    assert session_of("--table", "6", "--preset", "authors").store == plain.store


def test_a_worker_has_one_thread_unless_asked(session_of, monkeypatch):
    monkeypatch.setattr(devices, "cuda_devices", lambda: 2)
    assert session_of("--table", "6", "--jobs", "3").workers == (["cpu"] * 3, 1)
    assert session_of("--table", "6", "--jobs", "2", profile="quick").workers[0] == ["cuda:0", "cuda:1"]
    assert session_of("--table", "6", "--device", "cpu", "--jobs", "1", profile="quick").workers == (["cpu"], 1)
    assert session_of("--table", "6", "--jobs", "2", "--threads", "4").workers == (["cpu"] * 2, 4)


def test_a_preset_is_told_and_stands_in_names(session_of):
    chosen = session_of("--table", "12", "--preset", "authors", "--set", "lr=0.2", "--set", "epochs=3")
    assert chosen.set_values == ("epochs=3", "lr=0.2")
    assert chosen.changes[:2] == chosen.set_values
    assert chosen.changes[2].startswith("preset authors (weights that")
    assert chosen.variants == ("authors",)
    with pytest.raises(UserError, match="unknown preset 'author': did you mean 'authors'"):
        assert session_of("--table", "12", "--preset", "author").resolver


class TestTeacher:
    TABLE = ("--table", "12", "--pairs", "resnet32x4:shufflenetv1", "--methods", "kd", "--seeds", "1")

    @pytest.fixture(autouse=True)
    def asked(self, monkeypatch):
        """The files whose content was asked for, time by time: all of them pass, with a remark."""
        times = []

        def ask(_, questions):
            times.append(sorted(str(question.content.source) for question in questions.values()))
            return dict.fromkeys(questions, Report(remarks=("it passed",)))

        monkeypatch.setattr(check_process, "ask", ask)
        return times

    def test_of_a_chain_is_the_first_one(self, session_of, weights, asked):
        words = ("--table", "11", "--pairs", "resnet56>resnet32[kd]:resnet20", "--methods", "kd", "--seeds", "1")
        chosen = session_of(*words, "--teacher", f"resnet56={weights}")
        assert "it passed" in chosen.training_plan().remarks[0]
        assert asked == [[str(weights)]]
        assert [str(job) for job in chosen.plan(chosen.tables).jobs] == [
            "none:resnet56 given seed 0",
            "resnet56:resnet32 kd seed 0",
            "resnet56>resnet32[kd]:resnet20 kd seed 0",
        ]
        with pytest.raises(UserError, match=r"unknown teacher of these pairs 'resnet32': .*known are resnet56"):
            assert session_of(*words, "--teacher", f"resnet32={weights}").tables

    def test_is_checked_once_a_command_and_told_of_in_every_training_plan(self, session_of, weights, asked, tmp_path):
        (tmp_path / "checkpoints").write_text("nothing can be kept")
        chosen = session_of(*self.TABLE, "--teacher", f"resnet32x4={weights}")
        assert chosen.plan(chosen.tables).remarks == ()
        assert asked == []
        for _ in range(2):
            assert chosen.training_plan().remarks == ("teacher resnet32x4: it passed",)
        assert asked == [[str(weights)]]
        assert session_of(*self.TABLE).training_plan().remarks == ()

    def test_of_two_networks_in_a_file_is_another_teacher_each(self, session_of, weights):
        words = [(*self.TABLE, "--teacher", f"resnet32x4={weights}{part}") for part in ("", ":student", ":teacher")]
        chosen = [session_of(*each) for each in words]
        plans = [each.plan(each.tables).jobs for each in chosen]
        assert len({job.id for jobs in plans for job in jobs}) == 6
        sha = hashlib.sha256(weights.read_bytes()).hexdigest()
        assert [each.variants for each in chosen] == [
            (f"resnet32x4@{sha[:8]}{part}",) for part in ("", ".student", ".teacher")
        ]
        assert chosen[1].changes == (f"teacher resnet32x4 from a file (SHA-256 {sha[:12]}, its student)",)

    def test_from_a_file_is_measured_in_place_of_training(self, session_of, weights):
        sha = hashlib.sha256(weights.read_bytes()).hexdigest()
        chosen = session_of(*self.TABLE, "--teacher", f"resnet32x4={weights}")
        [given, run] = chosen.plan(chosen.tables).jobs
        assert isinstance(given, Pretrained)
        assert (given.network, given.weights, given.source) == ("resnet32x4", sha, weights.resolve())
        assert run.teacher == given
        [_, trained] = session_of(*self.TABLE).plan(chosen.tables).jobs
        assert trained.id != run.id
        assert trained.teacher != given

    def test_other_weights_are_another_teacher_with_other_students(self, session_of, weights):
        words = (*self.TABLE, "--teacher", f"resnet32x4={weights}")
        one = session_of(*words)
        before = one.plan(one.tables).jobs
        moved = weights.rename(weights.with_name("moved.pt"))
        other = session_of(*self.TABLE, "--teacher", f"resnet32x4={moved}")
        assert other.plan(other.tables).jobs == before
        assert other.variants == one.variants
        weights.write_bytes(b"weights of another teacher")
        other = session_of(*words)
        assert not {*other.plan(other.tables).jobs} & {*before}
        assert other.variants != one.variants

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("resnet32x4", "--teacher resnet32x4: write --teacher NETWORK=FILE"),
            ("vgg13={file}", "unknown teacher of these pairs 'vgg13'.*known are resnet32x4$"),
            ("shufflenetv1={file}", "unknown teacher of these pairs 'shufflenetv1'"),
        ],
    )
    def test_that_cannot_be_is_named(self, text, says, session_of, weights):
        chosen = session_of(*self.TABLE, "--teacher", text.format(file=weights))
        with pytest.raises(UserError, match=says) as caught:
            chosen.plan(chosen.tables)
        assert "\n" not in str(caught.value)


def test_only_a_training_plan_is_measured_and_nothing_is_written(session_of, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(estimates, "measured_rate", lambda threads, _: asked.append(threads) or 1e11)
    chosen = session_of("--table", "9", "--methods", "srrl", "--seeds", "1", "--threads", "3")
    assert chosen.plan(chosen.tables).estimates is None
    assert chosen.whole_plan().estimates is None
    assert asked == []
    plan = chosen.training_plan()
    assert asked == [3]
    assert plan.cohorts[0].seconds == plan.estimates.estimated_seconds(plan.cohorts[0].runs) > 0
    assert chosen.time(plan).startswith("roughly ")
    assert list(tmp_path.iterdir()) == []


class TestWholePlan:
    TABLE = ("--table", "9", "--methods", "srrl", "--seeds")

    def finish(self, session, *seeds):
        for seed in seeds:
            [cell] = [cell for cell in reader.load("9").cells if (cell.method, cell.metric) == ("srrl", "top1")]
            [job] = session.plan([reader.load("9")], [seed]).cells[cell.key]
            session.store.write(job, "done", {"device": "cpu"}, **parts(job.kind))

    @pytest.mark.parametrize(
        ("asked", "there", "expected"),
        [
            ("1", [], [0]),
            ("1", [0, 1, 2], [0, 1, 2]),
            ("1", [2], [0, 2]),
            ("4,", [1], [1, 4]),
            ("4,", [3], [4]),
            ("3", [], [0, 1, 2]),
        ],
    )
    def test_whole_tables_keep_the_seeds_that_there_are(self, asked, there, expected, session_of):
        chosen = session_of(*self.TABLE, asked)
        self.finish(chosen, *there)
        plan = chosen.whole_plan()
        [table] = plan.tables
        seeds = recorded_seeds(table, plan, chosen.options.seeds)
        assert list(seeds) == expected
        assert table == reader.load("9")
        cells = [cell for cell in table.cells if cell.method != TEACHER]
        view = plan.view(table, seeds)
        assert all([job.seed for job in view.cells[cell.key]] == expected for cell in cells)

    def test_a_teachers_record_is_no_students(self, session_of):
        chosen = session_of(*self.TABLE, "3,")
        teacher = chosen.resolver.teacher(TeacherChoice("C100", "wrn-40-4"))
        chosen.store.write(teacher, "done", {"device": "cpu"}, **parts(teacher.kind))
        plan = chosen.whole_plan()
        assert recorded_seeds(plan.tables[0], plan, chosen.options.seeds) == (3,)

    def test_a_table_s_seeds_are_its_own(self, session_of):
        self.finish(session_of(*self.TABLE, "1"), 0, 1, 2)
        chosen = session_of("--table", "all", "--seeds", "1")
        plan = chosen.whole_plan()
        seeds = {table.stem: recorded_seeds(table, plan, chosen.options.seeds) for table in plan.tables}
        assert seeds["table09"] == seeds["table06"] == (0, 1, 2)  # they share that run
        assert seeds["table05"] == seeds["table11"] == (0,)
