"""Files of ``--teacher``: how they are named, found and refused, and what is kept of a check."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.config.teachers import TeacherChoice, Weights
from benchmark.errors import UserError
from benchmark.planning import check_process
from benchmark.planning.check_process import Report
from benchmark.planning.teacher_files import check, parse

SHA = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with a file ``latest``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latest").write_bytes(b"weights")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "file", "part"),
    [
        ("latest", "latest", ""),
        ("latest:student", "latest", "student"),
        ("latest:teacher", "latest", "teacher"),
        ("a:b=c", "a:b=c", ""),
        ("a:b=c:student", "a:b=c", "student"),
        ("mine:student", "mine:student", ""),
        ("mine:student:teacher", "mine:student", "teacher"),
    ],
)
def test_a_file_and_which_of_its_networks(text, file, part, folder):
    for name in ("a:b=c", "mine:student", "mine"):
        (folder / name).write_bytes(b"weights")
    for place in ("", "./", f"{folder}/"):
        assert parse([f"wrn-40-4={place}{text}"]) == {"wrn-40-4": Weights(SHA, folder / file, part)}


def test_a_file_at_home_and_several_networks(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    given = parse(["wrn-40-4=~/latest:student", "vgg13=latest"])
    assert given == {
        "wrn-40-4": Weights(SHA, folder / "latest", "student"),
        "vgg13": Weights(SHA, folder / "latest"),
    }


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["latest"], "--teacher latest: write --teacher NETWORK=FILE"),
        (["vgg13="], "--teacher vgg13=: write --teacher NETWORK=FILE"),
        (["vgg113=latest"], "unknown network 'vgg113': did you mean 'vgg13'"),
        (["vgg13=latest", "vgg13=latest"], "--teacher vgg13 is there twice: give one file of a network"),
        (["vgg13=gone"], "--teacher vgg13: there is no file gone"),
        (["vgg13=:student"], "--teacher vgg13: there is no file :student"),
        (["vgg13=gone:student"], "--teacher vgg13: there is no file gone:student"),
        (["vgg13=latest:pupil"], "--teacher vgg13: there is no file latest:pupil"),
        (["vgg13=~nobody-of-that-name/latest"], "--teacher vgg13: there is no file ~nobody-of-that-name/latest"),
        (["vgg13=.:teacher"], "--teacher vgg13: . is a folder: give one file of weights"),
        (["vgg13=/dev/null"], "--teacher vgg13: there is no file /dev/null"),
        (["vgg13=" + "n" * 300], f"--teacher vgg13: {'n' * 300} cannot be read: File name too long"),
        (["vgg13=latest/file"], "--teacher vgg13: there is no file latest/file"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_is_named(texts, says):
    with pytest.raises(UserError) as caught:
        parse(texts)
    assert str(caught.value).startswith(says)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("call", ["stat", "open"])
@pytest.mark.usefixtures("folder")
def test_a_file_without_permission_is_named(call, monkeypatch):
    """The folder may not be looked into, or the file not be opened; tests may run as root, who may do all that."""
    usual = getattr(Path, call)

    def denied(path, *arguments, **options):
        if path.name == "latest":
            raise PermissionError(13, "Permission denied")
        return usual(path, *arguments, **options)

    monkeypatch.setattr(Path, call, denied)
    with pytest.raises(UserError, match=r"^--teacher vgg13: latest cannot be read: Permission denied$"):
        parse(["vgg13=latest"])


@pytest.fixture
def wanted(resolver, folder):
    """What is asked of a file: the job of a recipe."""

    def make(recipe="C100", network="wrn-40-4", part="", profile="digits", **changes):
        weights = Weights(SHA, folder / "latest", part)
        return resolver(profile, given={network: weights}, **changes).teacher(TeacherChoice(recipe, network))

    return make


class TestCheck:
    @pytest.fixture
    def asked(self, monkeypatch):
        """What was asked for, time by time; each time it is answered by the next of ``answers``, if there is one."""
        times, answers = [], []

        def ask(_, questions):
            times.append([str(question.content) for question in questions.values()])
            return dict.fromkeys(questions, answers.pop(0) if answers else Report())

        monkeypatch.setattr(check_process, "ask", ask)
        return times, answers

    def test_what_passed_is_not_checked_again(self, asked, wanted, folder):
        said, (times, answers) = [], asked
        answers.append(Report(remarks=("its file is large",)))
        for _ in range(2):
            assert check([wanted()], folder / "kept", said.append) == ("teacher wrn-40-4: its file is large",)
        assert len(times) == 1
        assert said == [f"checking {folder}/latest for wrn-40-4, once"]
        assert [path.suffix for path in (folder / "kept/checks").iterdir()] == [".json"]

    @pytest.mark.parametrize(
        "change", [{"width": 0.5}, {"in_size": 16}, {"part": "student"}, {"network": "wrn-40-2"}, {"profile": "paper"}]
    )
    def test_what_changes_the_answer_is_checked_by_itself(self, change, asked, wanted, folder):
        for job in (wanted(), wanted(**change), wanted(**change)):
            check([job], folder / "kept", print)
        assert len(asked[0]) == 2

    def test_recipes_that_ask_for_the_same_network_are_one_question(self, asked, wanted, folder):
        check([wanted("C100"), wanted("CRD100"), wanted(lr=0.1)], folder / "kept", print)
        check([wanted(precision="tf32")], folder / "kept", print)
        assert [len(jobs) for jobs in asked[0]] == [1]

    def test_other_content_is_checked(self, asked, wanted, folder):
        job = wanted()
        check([job, replace(job, weights="ab" * 32)], folder / "kept", print)
        assert [len(jobs) for jobs in asked[0]] == [2]

    def test_a_fault_is_an_error(self, asked, wanted, folder):
        asked[1].append(Report("teacher wrn-40-4: it is no file of weights"))
        with pytest.raises(UserError, match=r"^teacher wrn-40-4: it is no file of weights$"):
            check([wanted(), wanted("C10-WRN")], folder / "kept", print)

    def test_nothing_is_asked_where_nothing_is_given(self, asked, folder):
        assert check([], folder / "kept", pytest.fail) == ()
        assert asked[0] == []
