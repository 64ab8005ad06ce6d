"""Options of methods: which values they take, and how they are spelled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from benchmark.errors import UserError, unknown
from benchmark.ids import LARGEST, canonical_json
from benchmark.registry import catalog

# Values become part of a folder's name; lists and the like are spelled as JSON.
_PLAIN_TEXT, _PLAIN_JSON = re.compile(r"[\w.+-]+", re.ASCII), re.compile(r'[\w.+\-:,"\[\]{}]+', re.ASCII)


def checked_options(info: catalog.MethodInfo, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, sorted, with numbers in the type of the method's default.

    Raises:
        UserError: an option is unknown, or its value has another type than its default.
    """
    return {key: _checked_option(info, key, value) for key, value in sorted(options.items())}


def unusual(info: catalog.MethodInfo, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that differ from the method's defaults."""
    return {option: value for option, value in options.items() if value != info.options[option]}


def _checked_option(info: catalog.MethodInfo, key: str, value: Any) -> Any:
    if key not in info.options:
        raise unknown(f"option of {info.name}", key, info.options)
    default = info.options[key]
    number = isinstance(default, int | float) and not isinstance(default, bool)
    fits = isinstance(value, int | float) and not isinstance(value, bool) if number else type(value) is type(default)
    fits = fits or default is None
    plain = fits and _is_plain(value)
    if not plain or (isinstance(default, int) and (value != int(value) or abs(value) >= LARGEST)):
        why = ": it becomes part of a folder's name, where only letters, digits, _, ., + and - go" if fits else ""
        kind = "a plain value" if default is None else f"of type {type(default).__name__} like {default!r}"
        raise UserError(
            f"option {key} of {info.name} must be {kind}, not {value!r}{why if isinstance(value, str) else ''}"
        )
    if value not in info.choices.get(key, (value,)):
        raise unknown(f"{key} of {info.name}", value, info.choices[key])
    return type(default)(value) if number else value


def _is_plain(value: object) -> bool:
    """Whether a value can be part of a folder's name."""
    try:
        return (_PLAIN_TEXT if isinstance(value, str) else _PLAIN_JSON).fullmatch(_spelled(value)) is not None
    except (TypeError, ValueError):  # it is no JSON, or not finite
        return False


def term_name(name: str, options: Mapping[str, Any]) -> str:
    """A method with its options as people type it, a variant by its short name: ``srrl[sr]``, ``kd[temperature=2]``."""
    if not options:
        return name
    for variant, meant in catalog.method(name).variants.items():
        if dict(meant) == dict(options):
            return f"{name}[{variant}]"
    return f"{name}[{','.join(f'{key}={_spelled(value)}' for key, value in sorted(options.items()))}]"


def _spelled(value: object) -> str:
    """The text that `parse_value` reads back."""
    return value if isinstance(value, str) else canonical_json(value)
