"""The base of all reports: texts that follow from the records byte for byte, so that files can be checked."""

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
    """The folder of its files, below the results of the profile."""

    @abstractmethod
    def forms(self) -> Mapping[str, str]:
        """Its texts, by file name; equal records give equal texts."""

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """The result of `forms`, computed once."""
        return self.forms()

    def place(self, results: Path) -> Path:
        """The folder of its files, given the folder of the profile's results."""
        return results / self.folder

    def write(self, folder: Path) -> list[Path]:
        """Write all its files into a folder, each atomically.

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
        """Print it on a console."""

    def stale(self, folder: Path) -> list[str]:
        """One line for every file in a folder that is missing or stale, with the way to refresh it."""
        faults = ((folder / name, _fault(folder / name, text)) for name, text in self.texts.items())
        return [f"{path}: {fault}; {REFRESH}" for path, fault in faults if fault]


def _fault(path: Path, text: str) -> str | None:
    try:
        # As bytes, because reading text would hide other line ends.
        found = path.read_bytes()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if found == text.encode() else "stale, it does not follow from the records"
