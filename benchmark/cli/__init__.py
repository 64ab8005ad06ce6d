"""The command line: arguments, one module a subcommand, and what they print.

Exit statuses: `OK`, `FAILURE` after failed runs or where files are stale, `USAGE_ERROR` for an error of the user,
`INTERRUPTED` after Ctrl-C.
"""

from collections.abc import Callable

OK, FAILURE, USAGE_ERROR, INTERRUPTED = 0, 1, 2, 130
Say = Callable[[str], None]
"""Prints one line for people."""
