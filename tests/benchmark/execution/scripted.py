"""A worker process that trains nothing: it answers a task at once, without torch."""

import os
import signal
import sys
import time

from benchmark.execution.worker import FATAL, NOT_CAPTURED

KILLED, SILENT = "killed", "silent"
"""Faults that are no events: the process kills itself, or it never reads or answers again."""


def serve(faults, connection, config, _device):
    """Report all jobs of each task as done, those that are claimed as worked on elsewhere.

    Args:
        faults: by job id, the event that a cohort with this job leads to, or ``KILLED`` or ``SILENT``.
        connection: to the executor.
        config: names the store whose claims count.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while (task := connection.recv()) is not None:
        found = {job.id: faults[job.id] for job in task.runs if job.id in faults}
        fault = next((fault for fault in found.values() if fault in (KILLED, SILENT, *FATAL)), None)
        if fault == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == SILENT:
            time.sleep(1e6)
        if fault in FATAL and (fault != NOT_CAPTURED or task.cuda_graphs):
            connection.send({"event": fault, "message": "too much"})
            sys.exit(1)
        for job in task.runs:
            status = found.get(job.id, "done")
            if (lock := config.store.claim(job)) is None:
                status = "elsewhere"
            else:
                lock.release()
            connection.send({"event": "done" if status in FATAL else status, "id": job.id, "message": "as scripted"})
        connection.send({"event": "idle"})
