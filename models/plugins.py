"""Files outside the project that add networks or methods, listed in an environment variable for all processes."""

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
"""The variable with the paths, separated as in PATH."""

# Searched for in the text, so that a file with a method or data set is not run to look for networks.
_REGISTERS = re.compile(r"^@(\w+\.)*register\(", re.MULTILINE)


def files() -> list[Path]:
    """The files that the variable lists."""
    return [Path(item).resolve() for item in os.environ.get(VARIABLE, "").split(os.pathsep) if item]


@cache
def registers(path: Path) -> bool:
    """Whether a file registers networks."""
    return _REGISTERS.search(path.read_text(encoding="utf-8")) is not None


def load_file(path: Path) -> ModuleType:
    """Import a file as a module; later calls return the same module.

    Raises:
        ImportError: the file cannot be loaded.
    """
    name = f"srrl_bench_plugin_{sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
