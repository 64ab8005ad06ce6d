"""Requests as the command makes them of its arguments, on folders of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli.arguments import parser
from benchmark.cli.session import Session


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[..., Session]:
    """Factory of requests, in profile digits."""
    folders = ["--results", str(tmp_path / "results"), "--checkpoints", str(tmp_path / "checkpoints")]
    return lambda *arguments: Session(parser().parse_args(["--profile", "digits", *folders, *arguments]))
