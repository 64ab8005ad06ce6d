"""Errors that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

# Kinds of things, as errors call them, that a file of one's own may add.
_ADDABLE = re.compile(r"method|data set|network( in .*)?")


class UserError(Exception):
    """A mistake or a lack that the user can mend: printed as one line, exit status 2.

    Args:
        faults: what is wrong, a line each.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)

    def __str__(self) -> str:
        return "\nerror: ".join(map(str, self.args))


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """An error that names the nearest known names.

    Args:
        what: the kind of thing, as in "method".
        name: what was asked for.
        known: what there is.
    """
    names = sorted(known, key=lambda text: (not text.isdecimal(), int(text) if text.isdecimal() else 0, text))
    folded = {item.casefold(): item for item in names}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    hint = f"did you mean '{folded[near[0]]}'? " if near else ""
    advice = ", or give its file with --plugin" if _ADDABLE.fullmatch(what) else ""
    return UserError(f"unknown {what} '{name}': {hint}known are {', '.join(names)}{advice}")


@contextmanager
def writing(folder: Path, option: str = "--results or --checkpoints") -> Iterator[None]:
    """Turn what the system says inside into the one error that a folder cannot be written.

    Args:
        folder: as the error names it.
        option: that chooses another one.
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
