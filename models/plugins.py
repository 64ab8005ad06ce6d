"""Files outside the project with networks or methods, which an environment variable names for all processes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TextIO

VARIABLE = "SRRL_BENCH_PLUGINS"
"""Paths of the files, separated like the folders of PATH."""

# Searched for in the text, so that files with methods and data sets are not imported for their networks.
_REGISTERS = re.compile(r"^@(\w+\.)*register\(", re.MULTILINE)


def files() -> list[Path]:
    """The files that the environment variable names."""
    return [Path(item).resolve() for item in os.environ.get(VARIABLE, "").split(os.pathsep) if item]


@cache
def registers(path: Path) -> bool:
    """Whether a file registers networks."""
    return _REGISTERS.search(path.read_text(encoding="utf-8")) is not None


def load_file(path: Path) -> ModuleType:
    """Import a file, once per process.

    Raises:
        ImportError: the file does not exist or is not a Python file.
    """
    name = f"srrl_bench_plugin_{sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def answers_only() -> Iterator[TextIO]:
    """A stream to standard output; everything else that the process prints goes to standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as output:
        os.dup2(2, 1)
        yield output
