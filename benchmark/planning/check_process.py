"""Let a process that may import torch check files of the user before anything is trained; planning never imports it.

What passes is kept beside the checkpoints and not checked again.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.errors import UserError
from benchmark.files import write_atomically
from benchmark.registry.description import run_module

_SECONDS = 300.0


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    Attributes:
        fault: what is wrong, as one line; empty where the check passes, None where it could not be made.
        remarks: what the user should know, as sentences.
    """

    fault: str | None = ""
    remarks: tuple[str, ...] = ()


class Question(NamedTuple):
    """One thing to check.

    Attributes:
        title: names it while it is checked.
        place: names it, with its file, in errors.
        content: what the process gets, pickled.
    """

    title: str
    place: str
    content: Any


def checked(
    module: str, questions: Mapping[str, Question], folder: Path, say: Callable[[str], None]
) -> dict[str, Report]:
    """The reports on some questions, by key.

    Args:
        module: calls `answer` when it is run.
        questions: by digests of everything that decides their outcome.
        folder: of kept reports; nothing is kept where it cannot be written.
        say: called with a line before a process starts.

    Raises:
        UserError: a check fails: a line for each fault.
    """
    reports = {key: report for key in questions if (report := _kept(_file(folder, key)))}
    if due := {key: question for key, question in questions.items() if key not in reports}:
        say(f"checking {', '.join(dict.fromkeys(question.title for question in due.values()))}, once")
        reports |= ask(module, due)
        for key in due:
            if reports[key].fault == "":
                with suppress(UserError):
                    write_atomically(_file(folder, key), json.dumps({"remarks": reports[key].remarks}).encode())
    if faults := [report.fault for report in reports.values() if report.fault]:
        raise UserError(*dict.fromkeys(faults))
    return reports


def ask(module: str, questions: Mapping[str, Question]) -> dict[str, Report]:
    """The reports of a process, by key; a fault for each question that it leaves unanswered."""
    contents = {key: question.content for key, question in questions.items()}
    answers: dict[str, Report] = {}
    try:
        done = run_module(module, seconds=_SECONDS, question=pickle.dumps(contents))
        for line in done.stdout.decode(errors="replace").splitlines():
            with suppress(ValueError):  # the line that a killed process was writing
                key, fault, remarks = json.loads(line)
                answers[key] = Report(fault, tuple(remarks))
        words = done.stderr.decode(errors="replace").strip().splitlines()
        silence = f"the check broke off ({words[-1] if words else f'exit status {done.returncode}'})"
    except UserError as error:
        silence = str(error)
    return {key: answers.get(key, Report(f"{question.place}: {silence}")) for key, question in questions.items()}


def answer(check: Callable[[Any], Report]) -> None:
    """Answer the questions on standard input: the body of a process that `ask` starts."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(2, 1)  # what the code of a user prints is no answer
        for key, content in pickle.load(sys.stdin.buffer).items():  # noqa: S301 - this project's own question
            output.write(json.dumps([key, *asdict(check(content)).values()]) + "\n")
            output.flush()


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key[:24]}.json"


def _kept(path: Path) -> Report | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return Report(remarks=tuple(map(str, json.loads(path.read_text(encoding="utf-8"))["remarks"])))
    return None
