"""Loads a file of weights without running code, and says what a file contains if it holds no weights."""

from __future__ import annotations

import codecs
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_STORED, ZipFile

import torch
from safetensors.torch import load_file

# Bytes at the beginning of a file that identify its type; the tar signature is the last of them.
_HEAD = 512

# Archives and compressed files: offset of the signature, signature, name.
_ARCHIVES = (
    (257, b"ustar", "tar"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!", "rar"),
)
_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")

# Texts that are saved by mistake: their beginning in lower case, and the message. The last entry matches any text.
_TEXTS = (
    ("version https://git-lfs", "is a Git LFS pointer, not the file itself: fetch that with git lfs pull"),
    ("<!doctype html", "is a web page: download the file of weights itself"),
    ("<html", "is a web page: download the file of weights itself"),
    ("", "is a text: give a file that torch.save or safetensors wrote"),
)

_DAMAGED = "is no file of weights, or it is damaged"


class PublishedError(ValueError):
    """Weights cannot be read, or do not fit the network; the message is one line."""


class Ignored:
    """Replaces objects beside a state dict, such as an accuracy or options; their contents are dropped."""

    def __init__(self, *parts: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# Names that a file may refer to besides those that torch trusts: NumPy scalars and argparse options. All of them are
# replaced, so that none of the named objects is constructed.
REPLACED: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
    (Ignored, "numpy.core.multiarray.scalar"),
    (Ignored, "numpy._core.multiarray.scalar"),
    (Ignored, "numpy.dtype"),
    (Ignored, "argparse.Namespace"),
]


def safe_load(path: Path) -> object:
    """The content of a file of ``torch.save`` (both formats) or safetensors, with tensors on the CPU.

    The format is recognised by the content, not by the name. Compressed content is refused.

    Raises:
        PublishedError: the file cannot be read, has another format, is damaged or compressed, or would run code.
    """
    try:
        with path.open("rb") as file:
            head, size = file.read(_HEAD), os.fstat(file.fileno()).st_size
            if _is_safetensors(head, size):
                return _loaded(path, lambda: load_file(path))  # checks that the header describes the whole file
            if fault := _fault(file, head, size):
                raise PublishedError(f"{path} {fault}")
            file.seek(0)
            with torch.serialization.safe_globals(REPLACED), warnings.catch_warnings(action="ignore"):
                return _loaded(path, lambda: torch.load(file, map_location="cpu", weights_only=True))
    except OSError as error:
        raise PublishedError(f"{path} cannot be read: {error.strerror or error}") from error


def _loaded(path: Path, load: Callable[[], object]) -> object:
    try:
        return load()
    except OSError:
        raise
    # A damaged file can raise any error. Torch's messages are dropped, because they advise to run the file's code.
    except Exception as error:
        needed = re.search(r"GLOBAL (\S+)", str(error))
        if needed:
            advice = "save its state dict alone, torch.save(network.state_dict(), FILE)"
            raise PublishedError(f"{path} is refused, as it calls for {needed[1]} of Python: {advice}") from error
        raise PublishedError(f"{path} {_DAMAGED}") from error


def _is_safetensors(head: bytes, size: int) -> bool:
    """Whether a file begins with the length of a JSON header (8 bytes, little-endian) and the header."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def _fault(file: BinaryIO, head: bytes, size: int) -> str:
    """Why a file must not reach ``torch.load``, as the end of a sentence; empty if it may."""
    if not head:
        return "is empty: copy or download it again"
    if head.startswith(_ZIP_SIGNATURES):
        return _zip_fault(file, size)
    for offset, signature, kind in _ARCHIVES:
        if head.startswith(signature, offset):
            return _archive(kind)
    text = _text(head)
    return next(fault for start, fault in _TEXTS if text.startswith(start)) if text else ""


def _zip_fault(file: BinaryIO, size: int) -> str:
    """As `_fault` for zip files. Torch's format is a zip with a pickle and an uncompressed entry per tensor."""
    try:
        with ZipFile(file) as directory:
            entries = directory.infolist()
    except Exception:  # noqa: BLE001 - a damaged directory can raise any error
        return _DAMAGED
    names = {entry.filename.partition("/")[2] for entry in entries}
    if "data.pkl" not in names:
        return _archive("zip")
    if "constants.pkl" in names:
        return "is a TorchScript program, which holds code: save its state dict with torch.save"
    if any(entry.compress_type != ZIP_STORED or entry.file_size != entry.compress_size for entry in entries):
        return "is compressed, which torch.save never does, and is not unpacked: save the state dict with torch.save"
    # Entries that share bytes could expand like compressed ones.
    return _DAMAGED if sum(entry.file_size for entry in entries) > size else ""


def _archive(kind: str) -> str:
    return f"is an archive ({kind}): unpack it, and give one of the files of weights in it"


def _text(head: bytes) -> str:
    """The beginning of a text file in lower case; empty if the bytes are not text."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return ""
    plain = all(letter.isprintable() or letter.isspace() for letter in text)
    return text.lstrip().lower() if plain else ""
