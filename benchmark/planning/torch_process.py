"""Asks a process that may import torch, since planning never does."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from benchmark.registry.plugins import ROOT

_PATIENCE = 300.0


def ask(module: str, question: object, parts: Collection[str]) -> tuple[dict[str, Mapping[str, Any]], str]:
    """Let a module of this project answer.

    Args:
        module: run as a script, it reads the pickled question and writes lines of JSON, each an object with a ``key``.
        question: to be pickled.
        parts: of an answer besides the key. Other lines are what the code of a user prints.

    Returns:
        The answers by their keys, and why there are no others, if there are not.
    """
    try:
        done = subprocess.run(  # noqa: S603 - this project's own module
            [sys.executable, "-m", module],
            input=pickle.dumps(question),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}, f"no answer within {_PATIENCE:.0f} s"
    lines = done.stdout.decode(errors="replace").splitlines()
    answers: dict[str, Mapping[str, Any]] = {}
    for line in lines:
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            answer = dict(json.loads(line))
            key = answer.pop("key")
            if answer.keys() == {*parts}:
                answers[key] = answer
    return answers, f"the check broke off ({lines[-1] if lines else f'exit status {done.returncode}'})"
