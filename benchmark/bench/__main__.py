"""``python -m benchmark.bench [SUBJECT] [options]``: subjects are files of this folder with a ``run``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from benchmark.cli import USAGE_ERROR
from benchmark.errors import UserError, unknown

SUBJECTS = {name: f"benchmark.bench.{name}" for name in ("speed", "rendering")}
"""What can be measured, the first one unless another is named: the module whose ``run(arguments)`` does it."""


def main(arguments: Sequence[str]) -> int:
    """Measure one subject and return the exit status: 0, or 2 for a user's error."""
    named = bool(arguments) and not arguments[0].startswith("-")
    subject, rest = (arguments[0], arguments[1:]) if named else (next(iter(SUBJECTS)), arguments)
    try:
        if subject not in SUBJECTS:
            raise unknown("subject", subject, SUBJECTS)
        import_module(SUBJECTS[subject]).run(rest)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return USAGE_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
