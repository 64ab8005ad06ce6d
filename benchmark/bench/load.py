"""How busy others keep the machine: a measurement beside other work says little, and should say so."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Ticks:
    """Processor time since the machine was started.

    Attributes:
        whole: of all processors, idle or not.
        busy: of those that were not idle, a hypervisor's other guests among them.
        own: of this process and all that descend from it.
    """

    whole: int
    busy: int
    own: int


def ticks() -> Ticks | None:
    """Processor time so far; None where there is no Linux to tell."""
    try:
        fields = [int(field) for field in (_PROC / "stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]]
    except OSError:
        return None
    idle = fields[3] + fields[4]
    return Ticks(sum(fields), sum(fields) - idle, _own())


def others(before: Ticks, after: Ticks) -> float:
    """The share of all processors' time that others took."""
    taken = (after.busy - before.busy) - (after.own - before.own)
    return max(0.0, taken / max(1, after.whole - before.whole))


def _own() -> int:
    used: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            try:
                # After the name, which may hold anything up to its last bracket.
                fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            used[int(folder.name)] = int(fields[11]) + int(fields[12])
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    waiting, total = [os.getpid()], 0
    while waiting:
        process = waiting.pop()
        total += used.get(process, 0)
        waiting += children.get(process, ())
    return total
