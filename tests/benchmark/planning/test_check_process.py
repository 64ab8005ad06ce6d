"""Checks by a process: how it is asked, and what is kept of its answers."""

import json
import subprocess
import sys

import pytest

from benchmark.errors import UserError
from benchmark.planning import check_process
from benchmark.planning.check_process import Question, Report, ask, checked
from benchmark.registry.plugins import ROOT

QUESTIONS = {key: Question(f"title {key}", f"place {key}", key.upper()) for key in ("a", "b")}
ANSWERS = """
import os
from benchmark.planning.check_process import Report, answer

def check(content):
    print("words of the code of a user")
    os.write(1, b'["a", "a fault", []]\\n')
    if content == "{breaks}":
        raise SystemExit("out of memory")
    return Report("" if content == "A" else None, (content,))

answer(check)
"""


@pytest.fixture
def program(monkeypatch):
    """``program(code)`` lets code run in place of the checking process."""
    usual = subprocess.run

    def make(code):
        monkeypatch.setattr(subprocess, "run", lambda words, **how: usual([words[0], "-c", code], **how))

    return make


class TestAsk:
    def test_only_reports_are_answers(self, program):
        program(ANSWERS)
        assert ask("some.module", QUESTIONS) == {"a": Report("", ("A",)), "b": Report(None, ("B",))}

    @pytest.mark.parametrize(
        ("code", "last"),
        [
            (ANSWERS.replace("{breaks}", "B"), "out of memory"),
            ('print(\'["a", "", ["A"]]\'); print(\'["b", "\'); raise SystemExit(3)', "exit status 3"),
        ],
    )
    def test_a_process_that_breaks_off_is_named_where_it_did(self, code, last, program):
        program(code)
        fault = f"place b: the check broke off ({last})"
        assert ask("some.module", QUESTIONS) == {"a": Report("", ("A",)), "b": Report(fault)}

    def test_that_does_not_answer_is_not_waited_for(self, monkeypatch):
        def run(words, timeout, **_):
            raise subprocess.TimeoutExpired(words, timeout)

        monkeypatch.setattr(subprocess, "run", run)
        assert ask("some.module", QUESTIONS)["b"] == Report("place b: no answer within 300 s")


class TestChecked:
    @pytest.fixture
    def asked(self, monkeypatch):
        """The keys of the questions of each process; all pass with a remark unless ``faults`` has one."""
        times, faults = [], {}

        def ask(_, questions):
            times.append([*questions])
            return {key: Report(faults.get(key, ""), (f"remark {key}",)) for key in questions}

        monkeypatch.setattr(check_process, "ask", ask)
        return times, faults

    def test_what_passed_is_kept(self, asked, tmp_path):
        said = []
        for _ in range(2):
            reports = checked("some.module", QUESTIONS, tmp_path / "kept", said.append)
            assert reports == {key: Report("", (f"remark {key}",)) for key in QUESTIONS}
        assert asked[0] == [["a", "b"]]
        assert said == ["checking title a, title b, once"]

    @pytest.mark.parametrize("fault", ["no", None])
    def test_what_did_not_pass_is_asked_for_again(self, fault, asked, tmp_path):
        asked[1]["b"] = fault
        for _ in range(2):
            try:
                reports = checked("some.module", QUESTIONS, tmp_path, print)
            except UserError as error:
                assert str(error) == fault  # noqa: PT017 - None raises nothing
            else:
                assert reports["b"].fault is fault
        assert asked[0] == [["a", "b"], ["b"]]

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"remarks": 3}', '{"version": 1}'])
    def test_a_damaged_answer_is_asked_for_again(self, text, asked, tmp_path):
        for _ in range(2):
            checked("some.module", {"a": QUESTIONS["a"]}, tmp_path, print)
            [path] = tmp_path.iterdir()
            assert json.loads(path.read_text()) == {"remarks": ["remark a"]}
            path.write_text(text)
        assert asked[0] == [["a"], ["a"]]

    def test_where_nothing_can_be_written_nothing_is_kept(self, asked, tmp_path):
        (tmp_path / "kept").write_text("a file in place of the folder")
        for _ in range(2):
            checked("some.module", QUESTIONS, tmp_path / "kept", print)
        assert len(asked[0]) == 2


def test_asking_imports_no_torch():
    code = "import sys, benchmark.planning.check_process; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
