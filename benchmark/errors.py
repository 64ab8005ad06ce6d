"""Errors that the user can correct."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

# Kinds of things that a plug-in can add.
_ADDABLE = re.compile(r"method|data set|network( in .*)?")


class UserError(Exception):
    """An error that the user can correct: printed as one line, exit status 2.

    Args:
        faults: messages, one line each.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)

    def __str__(self) -> str:
        return "\nerror: ".join(map(str, self.args))


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """An error about an unknown name, with the nearest known name.

    Args:
        what: the kind of thing, as in "method".
        name: the unknown name.
        known: all known names.
    """
    names = sorted(known, key=lambda text: (not text.isdecimal(), int(text) if text.isdecimal() else 0, text))
    folded = {item.casefold(): item for item in names}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    hint = f"did you mean '{folded[near[0]]}'? " if near else ""
    advice = ", or give its file with --plugin" if _ADDABLE.fullmatch(what) else ""
    listed = f"known are {', '.join(names)}" if names else "there is none"
    return UserError(f"unknown {what} '{name}': {hint}{listed}{advice}")


@contextmanager
def writing(folder: Path, option: str = "--results or --checkpoints") -> Iterator[None]:
    """Turn an ``OSError`` of the block into the error that a folder cannot be written.

    Args:
        folder: the folder that the error names.
        option: the option that chooses another folder.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror}): choose a writable folder with {option}"
        ) from error


def one_line(error: BaseException) -> str:
    """An exception's text on one line; the name of its type where it has no text."""
    return " ".join(str(error).split()) or type(error).__name__
