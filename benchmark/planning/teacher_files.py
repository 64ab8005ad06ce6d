"""Files of ``--teacher``: parse the option, identify each file by its SHA-256, check it before anything is trained.

Loading the weights needs torch, so a process (`benchmark.training.teacher_check`) checks each file and network once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmark.config.teachers import Weights
from benchmark.errors import UserError, unknown
from benchmark.files import expanded
from benchmark.ids import digest, file_digest
from benchmark.planning.check_process import Question, checked
from benchmark.registry import catalog
from benchmark.runs.job import Pretrained

PARTS = ("student", "teacher")
"""Networks that a file may hold side by side, as in ``FILE:student``; equal to `models.published_weights.NETWORKS`."""
VERSION = 1
"""Raised when the check becomes stricter: what passed before is then checked again."""


def parse(texts: Iterable[str]) -> dict[str, Weights]:
    """Files of weights by network.

    Args:
        texts: ``NETWORK=FILE``, ``NETWORK=FILE:student`` or ``NETWORK=FILE:teacher`` each.

    Raises:
        UserError: a text has another form, a network is unknown or named twice, or a file cannot be read.
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
    """Check that files hold the weights of the networks that they are given for, and return remarks on them.

    Args:
        jobs: those that load the files.
        checkpoints: folder of checkpoints, where it is kept what passed.
        say: called with a line before a check.

    Raises:
        UserError: a file does not fit: a line each.
    """
    due = {_key(job): job for job in jobs}
    questions = {
        key: Question(f"{job.source} for {job.network}", f"teacher {job.network} from {job.source}", job)
        for key, job in due.items()
    }
    reports = checked("benchmark.training.teacher_check", questions, checkpoints / "checks", say)
    told = (f"teacher {job.network}: {remark}" for key, job in due.items() for remark in reports[key].remarks)
    return tuple(dict.fromkeys(told))


def _split(text: str) -> tuple[Path, str]:
    """The file and the chosen one of its networks; an existing file whose name ends in ``:student`` is that file."""
    file, _, part = text.rpartition(":")
    whole, named = expanded(text), expanded(file)
    # Path.exists raises where a name is too long.
    chosen = bool(file) and part in PARTS and os.path.exists(named) and not os.path.exists(whole)  # noqa: PTH110
    return (named, part) if chosen else (whole, "")


def _sha256(path: Path) -> str:
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder: give one file of weights")
        if not path.is_file():
            raise UserError(f"there is no file {path}")
        return file_digest(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def _key(job: Pretrained) -> str:
    """Digest of everything that decides whether a file fits: its content, and what gives the network its shapes."""
    recipe = job.recipe
    made = {"network": job.network, "dataset": recipe.dataset, "in_size": recipe.in_size, "width": recipe.width}
    file = {"weights": job.weights, "part": job.part}
    return digest({"version": VERSION, **file, **made, "code": job.spec.get("code", {})})
