"""What all reports have in common: texts that follow from the records byte for byte, and so can be checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from rich.console import Console

from benchmark.files import below, write_atomically

REFRESH = "repeat the command that writes it"


class Document(ABC):
    """A table, a figure or a page, ready to be printed and written."""

    folder: ClassVar[str]
    """Where its files belong, below the profile's results."""

    @abstractmethod
    def forms(self) -> Mapping[str, str]:
        """Its texts by the names of their files; equal records make equal texts."""

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """What `forms` gives, made once."""
        return self.forms()

    def place(self, results: Path) -> Path:
        """The folder of its files, by the folder of the profile's results."""
        return results / self.folder

    def write(self, folder: Path) -> list[Path]:
        """Write all its files into a folder, each whole or not at all.

        Returns:
            The files written.

        Raises:
            UserError: the folder cannot be written.
        """
        for name, text in self.texts.items():
            write_atomically(below(folder, name), text.encode())
        return [folder / name for name in self.texts]

    @abstractmethod
    def print(self, console: Console) -> None:
        """Show it on a console."""

    def stale(self, folder: Path) -> list[str]:
        """A line about every text in a folder that is missing or not what the records say, and how to refresh it."""
        faults = ((folder / name, _fault(folder / name, text)) for name, text in self.texts.items())
        return [f"{path}: {fault}; {REFRESH}" for path, fault in faults if fault]


def _fault(path: Path, text: str) -> str | None:
    try:
        # As bytes, for reading text would hide other ends of lines.
        found = path.read_bytes()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if found == text.encode() else "stale, it does not follow from the records"
