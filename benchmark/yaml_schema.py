"""YAML files that people edit, read strictly: what is wrong with one is an error of one line that names the place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import repr as short
from typing import Any

import yaml

from benchmark.errors import UserError, unknown


class _UniqueKeys(yaml.SafeLoader):
    """Reads YAML as `yaml.SafeLoader` does, but takes no key twice: the last one would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """The mapping of a node.

        Raises:
            yaml.YAMLError: a key is there twice.
        """
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = (key_node.tag, key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key in seen and key_node.tag != _MERGE:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key_node.value}' is there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_MERGE = "tag:yaml.org,2002:merge"


def load(path: Path, where: str) -> Any:
    """What a file says.

    Args:
        path: of the file.
        where: what errors call it, here and below.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 - a safe loader
    # Text that is not UTF-8, and a date that is none, are ValueErrors; what is tagged as a date may raise anything.
    except (OSError, ValueError, AttributeError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{where}: cannot be read ({' '.join(str(error).split())})") from None


def mapping(raw: Any, where: str) -> Mapping[Any, Any]:
    """Keys and values; of which kind they are is still to be seen.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(raw, dict):
        raise UserError(f"{where} must be keys and values, not {short(raw)}")
    return raw


def check_keys(raw: Mapping[Any, Any], where: str, required: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Check the keys of a mapping.

    Raises:
        UserError: one is unknown, or a required one is missing.
    """
    known = dict.fromkeys((*required, *optional))
    for key in raw:
        if key not in known:
            raise unknown(f"key of {where}", str(key), known)
    for key in required:
        if key not in raw:
            raise UserError(f"{where}: it lacks '{key}'")


def text(value: Any, key: str, where: str) -> str:
    """A text, with single spaces between its words.

    Raises:
        UserError: it is something else, such as a number without quotation marks.
    """
    if not isinstance(value, str):
        raise UserError(f"{where}: '{key}' must be a text, not {short(value)}")
    return " ".join(value.split())


def flag(value: Any, key: str, where: str) -> bool:
    """True or false.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(value, bool):
        raise UserError(f"{where}: '{key}' must be true or false, not {short(value)}")
    return value


def number(value: Any, key: str, where: str) -> float:
    """A finite number, as it is written: whole or not.

    Raises:
        UserError: it is something else.
    """
    if not is_number(value):
        raise UserError(f"{where}: '{key}' must be a number, not {short(value)}")
    found: float = value
    return found


def is_number(value: Any) -> bool:
    """Whether it is a finite number; true and false are none."""
    return type(value) in (int, float) and math.isfinite(value)


def items(value: Any, key: str, where: str) -> list[Any]:
    """A list of anything, not empty.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(value, list) or not value:
        raise UserError(f"{where}: '{key}' must be a list with something in it, not {short(value)}")
    return value


def texts(value: Any, key: str, where: str, *, empty: bool = False) -> tuple[str, ...]:
    """A list of texts.

    Args:
        value: of the key.
        key: what holds it.
        where: for errors.
        empty: whether there may be none.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(value, list) or not (value or empty) or not all(isinstance(item, str) for item in value):
        raise UserError(f"{where}: '{key}' must be a list of texts, not {short(value)}")
    return tuple(" ".join(item.split()) for item in value)
