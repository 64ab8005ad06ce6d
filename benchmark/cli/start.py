"""Where the command starts: before anything that takes time is imported."""

from __future__ import annotations

import signal


def main() -> int:
    """Run the command and return its exit status; Ctrl-C ends it quietly, also while modules are imported."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from benchmark.cli import main

    return main.main()
