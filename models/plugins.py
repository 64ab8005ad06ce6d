"""Files outside the project that add networks or methods, named by an environment variable, which all processes see."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

VARIABLE = "SRRL_BENCH_PLUGINS"
"""Paths, between the signs that separate the folders of PATH."""

# Looked for in the text: a file with a method or a data set is no business of the networks'.
_REGISTERS = re.compile(r"^@(\w+\.)*register\(", re.MULTILINE)


def files() -> list[Path]:
    """The files that the variable names."""
    return [Path(item).resolve() for item in os.environ.get(VARIABLE, "").split(os.pathsep) if item]


@cache
def registers(path: Path) -> bool:
    """Whether a file registers networks."""
    return _REGISTERS.search(path.read_text(encoding="utf-8")) is not None


def load_file(path: Path) -> ModuleType:
    """A file as a module, run once.

    Raises:
        ImportError: there is no such file, or it is no Python.
    """
    name = f"srrl_bench_plugin_{sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = module_from_spec(spec)
    sys.modules[name] = module  # where the dataclasses of the file look for it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
