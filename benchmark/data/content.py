"""What the files of a data set of one's own hold, as one hash: other images are other data, whatever their names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from benchmark.canonical import digest, short_id
from benchmark.data.cache import one_line
from benchmark.data.files import state_key
from benchmark.data.index import in_parallel
from benchmark.errors import UserError

_SHA256 = re.compile(r"[0-9a-f]{64}")


def content(files: Mapping[str, Path], kept: Path) -> str:
    """SHA-256 of the names and bytes of some files.

    Args:
        files: by names that stay where their folder moves.
        kept: a folder in which it is remembered by the files' paths, sizes and times of change, so that they are read
            once.

    Raises:
        UserError: a file cannot be read.
    """
    names = sorted(files)
    place = kept / short_id(digest([state_key([files[name] for name in names]), names]))
    with suppress(OSError, ValueError):
        known = place.read_text(encoding="utf-8")
        if _SHA256.fullmatch(known):
            return known
    found = digest(dict(zip(names, in_parallel(_sum, [files[name] for name in names]), strict=True)))
    from benchmark.store import write_atomically  # which knows jobs, and these know data sets

    with suppress(UserError):  # plans are made where nothing can be written, too
        write_atomically(place, found.encode())
    return found


def _sum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)}): mend or fetch that file") from error
