"""Files of ``--teacher``: found, told apart by SHA-256, and checked before anything starts.

Only torch can tell whether a file holds the network that it stands in for. So that is found out in a process of its
own (`benchmark.training.teacher_check`), once a file and network, and kept beside the checkpoints.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmark.config.resolve import Weights
from benchmark.errors import UserError, unknown
from benchmark.files import expanded, write_atomically
from benchmark.ids import digest
from benchmark.planning import torch_process
from benchmark.registry import catalog
from benchmark.runs.job import Pretrained

PARTS = ("student", "teacher")
"""Networks that a file may hold side by side, as ``FILE:student`` chooses them; `models.published` has the same."""
VERSION = 1
"""Raised when more is asked of a file: what passed before is then checked again."""


@dataclass(frozen=True)
class TeacherReport:
    """What a check found out.

    Attributes:
        fault: why the file cannot stand in for the network, as a line; empty where it can.
        remarks: what the user should know of it, as sentences.
    """

    fault: str = ""
    remarks: tuple[str, ...] = ()


def parse(texts: Iterable[str]) -> dict[str, Weights]:
    """Files by the network that each stands in for.

    Args:
        texts: ``NETWORK=FILE``, ``NETWORK=FILE:student`` or ``NETWORK=FILE:teacher`` each.

    Raises:
        UserError: a text is none of these, a network is unknown or named twice, or a file cannot be read.
    """
    given: dict[str, Weights] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not equals or not file:
            raise UserError(f"--teacher {text}: write --teacher NETWORK=FILE")
        if name not in catalog.networks():
            raise unknown("network", name, catalog.networks())
        if name in given:
            raise UserError(f"--teacher {name} is there twice: give one file of a network")
        path, part = _split(file)
        try:
            given[name] = Weights(_sha256(path), path.resolve(), part)
        except UserError as error:
            raise UserError(f"--teacher {name}: {error}") from error
    return given


def check(jobs: Sequence[Pretrained], checkpoints: Path, say: Callable[[str], None]) -> tuple[str, ...]:
    """See that files hold the networks that they stand in for, and return what is to be known of them.

    Args:
        jobs: what is wanted of the files.
        checkpoints: the folder in which it is kept what passed; nothing is kept where that cannot be written.
        say: told what takes time.

    Raises:
        UserError: a file does not: a line each.
    """
    due = {_key(job): job for job in jobs}
    answers = {key: answer for key in due if (answer := _kept(_place(key, checkpoints)))}
    if unchecked := {key: job for key, job in due.items() if key not in answers}:
        files = dict.fromkeys(f"{job.source} for {job.network}" for job in unchecked.values())
        say(f"checking {', '.join(files)}, once")
        answers |= ask(unchecked)
        for key in unchecked:
            if not answers[key].fault:
                _keep(_place(key, checkpoints), answers[key])
    if faults := [answer.fault for answer in answers.values() if answer.fault]:
        raise UserError(*dict.fromkeys(faults))
    told = (f"teacher {job.network}: {remark}" for key, job in due.items() for remark in answers[key].remarks)
    return tuple(dict.fromkeys(told))


def ask(jobs: Mapping[str, Pretrained]) -> dict[str, TeacherReport]:
    """The answers of a process that may import torch, by the keys of the jobs."""
    answers, silence = torch_process.ask("benchmark.training.teacher_check", dict(jobs), ("fault", "remarks"))
    broken = {key: TeacherReport(f"teacher {job.network} from {job.source}: {silence}") for key, job in jobs.items()}
    return broken | {key: TeacherReport(answer["fault"], tuple(answer["remarks"])) for key, answer in answers.items()}


def _split(text: str) -> tuple[Path, str]:
    """The file, and which of its networks is wanted; a file whose own name ends in that is taken as it is."""
    file, _, part = text.rpartition(":")
    whole, named = expanded(text), expanded(file)
    # pathlib's raise where a name is too long.
    chosen = bool(file) and part in PARTS and os.path.exists(named) and not os.path.exists(whole)  # noqa: PTH110
    return (named, part) if chosen else (whole, "")


def _sha256(path: Path) -> str:
    try:
        if not path.is_file():
            raise UserError(_no_file(path))
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def _no_file(path: Path) -> str:
    if path.exists():
        return f"{path} is {'a folder' if path.is_dir() else 'no regular file'}: give one file of weights"
    file, _, part = str(path).rpartition(":")
    choices = " or ".join(f":{name}" for name in PARTS)
    hint = f"; after {file} write {choices}, not :{part}" if Path(file).is_file() else ""
    return f"there is no file {path}{hint}"


def _key(job: Pretrained) -> str:
    """What decides whether a file passes: its content, and the network down to its shapes."""
    recipe = job.recipe
    made = {"network": job.network, "dataset": recipe.dataset, "in_size": recipe.in_size, "width": recipe.width}
    file = {"weights": job.weights, "part": job.part}
    return digest({"version": VERSION, **file, **made, "code": job.spec.get("code", {})})


def _place(key: str, checkpoints: Path) -> Path:
    return checkpoints / "given" / f"{key[:24]}.json"


def _kept(path: Path) -> TeacherReport | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return TeacherReport(remarks=tuple(map(str, json.loads(path.read_text(encoding="utf-8"))["remarks"])))
    return None


def _keep(path: Path, answer: TeacherReport) -> None:
    with suppress(UserError):  # plans are made where nothing can be written, too
        write_atomically(path, json.dumps({"remarks": answer.remarks}).encode())
