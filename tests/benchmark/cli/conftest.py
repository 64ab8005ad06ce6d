"""The command on folders of one test, in profile digits."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.cli import main
from benchmark.cli.arguments import parse
from benchmark.cli.session import Session
from benchmark.registry import plugins
from benchmark.tables import leaderboard, reader

WITHOUT_FOLDERS = ("list", "new-method")


SMALL_BOARD = """\
title: Distillation methods over the pairs of Table 11
metric: top1
tables: {11: same architectures}
methods: [dist]
"""


@pytest.fixture
def small_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leaderboard of few pairs and methods in place of the project's, which takes seconds to render."""
    folder = tmp_path / "tables"
    folder.mkdir()
    folder.joinpath("table11.yaml").write_bytes((reader.TABLES / "table11.yaml").read_bytes())
    file = folder / leaderboard.FILE.name
    file.write_text(SMALL_BOARD, encoding="utf-8")
    monkeypatch.setattr(leaderboard, "load", partial(leaderboard.load, file))


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """The options that name the folders of a test."""
    return ["--results", str(tmp_path / "results"), "--checkpoints", str(tmp_path / "checkpoints")]


@pytest.fixture
def session_of(folders: list[str]) -> Callable[..., Session]:
    """Makes the session of a command line; of ``status`` where there are no words."""

    def make(*words: str, profile: str | None = "digits") -> Session:
        chosen = ["--profile", profile] if profile else []
        return Session(parse([*(words or ("status",)), *folders, *chosen]), print)

    return make


@pytest.fixture
def command(
    folders: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., SimpleNamespace]:
    """Runs a command line in this process; gives its status, its output, and the output as words of one line."""
    for variable in (plugins.VARIABLE, plugins.CACHE_VARIABLE):  # which the command sets
        monkeypatch.setenv(variable, os.environ.get(variable, ""))

    def run(*words: str, profile: str | None = "digits") -> SimpleNamespace:
        chosen = ["--profile", profile] if profile else []
        where = [] if words[0] in WITHOUT_FOLDERS else chosen if "--results" in words else [*folders, *chosen]
        try:
            status = main.main([*words, *where])
        except SystemExit as exit_:
            status = exit_.code
        printed = capsys.readouterr()
        return SimpleNamespace(status=status, out=printed.out, err=printed.err, words=" ".join(printed.out.split()))

    return run
