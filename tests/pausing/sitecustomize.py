"""Loaded at the start of every Python process that has this folder on its path: runs wait where a file says so.

The file that ``$PAUSE`` names holds a method and how a line of a log begins, as in ``kd epoch 2/``. A run by that
method that logs such a line waits until the file is gone. A command that is interrupted tells its workers to stop
before it removes the file.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

from benchmark.execution.local import LocalExecutor
from benchmark.runs.store import Store

_FILE = Path(os.environ["PAUSE"])
_log, _shut_down = Store.log, LocalExecutor._shut_down


def _log_and_wait(self, job, text):
    _log(self, job, text)
    with suppress(FileNotFoundError):
        while f"{job.title} {text}".startswith(_FILE.read_text(encoding="utf-8")):
            time.sleep(0.01)


def _stop_then_go_on(self):
    for worker in self._workers.values():
        worker.connection.send(None)
    _FILE.unlink(missing_ok=True)
    _shut_down(self)


Store.log, LocalExecutor._shut_down = _log_and_wait, _stop_then_go_on
