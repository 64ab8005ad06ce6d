"""``python -m benchmark.bench [SUBJECT] [options]``: measure a subject, ``speed`` by default."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from benchmark.cli import USAGE_ERROR
from benchmark.errors import UserError, unknown

SUBJECTS = ("speed", "rendering")
"""Modules of this package with a function ``run(arguments)``."""


def main(arguments: Sequence[str]) -> int:
    """Measure one subject and return the exit status: 0, or 2 for a user's error."""
    named = bool(arguments) and not arguments[0].startswith("-")
    subject, options = (arguments[0], arguments[1:]) if named else (SUBJECTS[0], arguments)
    try:
        if subject not in SUBJECTS:
            raise unknown("subject", subject, SUBJECTS)
        import_module(f"benchmark.bench.{subject}").run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return USAGE_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
