"""What the command can do, a module each: ``run(request, say)`` does it and returns the exit status."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.request import Request

Say = Callable[[str], None]
"""Prints a line for people."""

DONE, FAILURE, INTERRUPTED = 0, 1, 130
"""Exit statuses; 2 is a user's error."""

USUAL = "regenerate"
BY_OPTION = MappingProxyType(
    {
        "list": "listing",
        "status": "status",
        "new_method": "scaffold",
        "claims": "claims",
        "why": "why",
        "export": "export",
    }
)
"""What is done where an option is given; tables are regenerated where none of them is."""


def run(request: Request, say: Say) -> int:
    """Do what the arguments ask for."""
    asked = (module for option, module in BY_OPTION.items() if getattr(request.options, option))
    status: int = import_module(f"{__name__}.{next(asked, USUAL)}").run(request, say)
    return status
