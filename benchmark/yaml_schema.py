"""YAML files that people edit, converted to msgspec Structs.

Each mistake is a `UserError` of one line that names the file, the line, and the place, as in ``rows[0].pair``.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from reprlib import repr as short
from typing import Annotated, Any, TypeVar

import msgspec
import yaml
from msgspec import Meta, Struct, inspect

from benchmark.errors import UserError, unknown

Kind = TypeVar("Kind")
Texts = Annotated[tuple[str, ...], Meta(min_length=1)]
_MERGE = "tag:yaml.org,2002:merge"
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping (key: value)",
}


class Strict(Struct, forbid_unknown_fields=True):
    """Base of all schemas: unknown keys are errors."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # libyaml is ten times as fast
    """A safe loader that refuses duplicate keys and numbers that are not finite, and collapses white space in text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE else None
            if name and name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key '{key.value}'", key.start_mark)
            seen.add(name)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found

    def construct_text(self, node: yaml.ScalarNode) -> str:
        return " ".join(node.value.split())

    def construct_finite(self, node: yaml.ScalarNode) -> float:
        number = float(self.construct_yaml_float(node))
        if not math.isfinite(number):
            raise yaml.constructor.ConstructorError(None, None, f"{node.value} is not finite", node.start_mark)
        return number


_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.construct_text)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_finite)


@dataclass(frozen=True)
class YamlFile:
    """A parsed YAML file.

    Attributes:
        name: what errors call it.
        data: its content as plain Python values.
    """

    name: str
    data: Any
    _root: yaml.Node | None = field(repr=False)

    def convert(self, schema: type[Kind]) -> Kind:
        """The content as an instance of a Struct.

        Raises:
            UserError: the content does not fit the schema.
        """
        try:
            return msgspec.convert(self.data, schema)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `")
        # msgspec does not name the keys of a dictionary: its error is reported at the dictionary.
        steps = re.findall(r"\.(\w+)|\[(\d+)\]", path.partition("[...]")[0])
        place = [int(index) if index else name for name, index in steps]
        if named := re.fullmatch(r"Object contains unknown field `(.*)`|Invalid (?:enum )?value '(.*)'", message):
            is_key, name = bool(named[1]) or path.startswith("key"), named[1] or named[2]
            with self.at(*place, *([name] if is_key else [])):
                raise unknown("key" if is_key else "value", name, _known_names(schema, place, self.data))
        with self.at(*place):
            if lacking := re.fullmatch(r"Object missing required field `(.*)`", message):
                raise UserError(f"it lacks '{lacking[1]}'")
            if not message.startswith("Expected"):  # raised by a schema's own __post_init__
                raise UserError(message)
            got = "as key" if path.startswith("key") else f"not {short(reduce(operator.getitem, place, self.data))}"
            raise UserError(f"{in_words(message)}, {got}")

    @contextmanager
    def at(self, *place: str | int) -> Iterator[None]:
        """Add the file, the line and a place in it to each `UserError` that is raised inside.

        Args:
            *place: keys and indices that lead to a value.
        """
        try:
            yield
        except UserError as error:
            path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
            line = f", line {_line(self._root, place)}" if self._root else ""
            where = ": ".join(filter(None, (f"{self.name}{line}", path)))
            raise UserError(f"{where}: {error}") from None


def read(path: Path, name: str) -> YamlFile:
    """Parse a file.

    Args:
        path: of the file.
        name: what errors call it.

    Raises:
        UserError: the file cannot be read or parsed, or a mapping has a key twice.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        return YamlFile(name, None if root is None else loader.construct_document(root), root)
    # Text that is not UTF-8 and an impossible date are ValueErrors; what is tagged as a date may raise anything.
    except (OSError, ValueError, AttributeError, TypeError, RecursionError, yaml.YAMLError) as error:
        fault = " ".join(str(error).split()).replace(' in "<unicode string>"', "")
        raise UserError(f"{name}: cannot be read ({fault})") from None


def _line(node: yaml.Node | None, place: Sequence[str | int]) -> int:
    """The line of a place, or of the innermost value around it that the file states."""
    line = node.start_mark.line if node else 0
    for step in place:
        if isinstance(node, yaml.MappingNode):
            entries = {key.value: (key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}
            key, node = entries.get(str(step), (node, None))
            line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
        else:
            break
    return line + 1


def in_words(message: str) -> str:
    """What a validation error of msgspec expects, as in ``expected a number > 0.0 or null``."""
    wanted = message.partition(", got ")[0].replace("Expected", "expected")
    wanted = re.sub(
        r"`([^`]*)`", lambda kinds: " or ".join(_WORDS.get(one, one) for one in kinds[1].split(" | ")), wanted
    )
    return re.sub(r"text matching regex '\^\((.*)\)\$'", lambda names: f"one of {names[1].replace('|', ', ')}", wanted)


def _known_names(schema: Any, place: Sequence[str | int], data: Any) -> list[str]:
    """The keys, or the values of a literal or a tag, that a schema knows at a place."""
    kinds = _alternatives(inspect.type_info(schema), data)
    for step in place:
        if tags := [kind.tag for kind in kinds if getattr(kind, "tag_field", None) == step]:
            return tags
        data = data[step]
        kinds = [one for kind in kinds for inner in _parts(kind, step) for one in _alternatives(inner, data)]
    return [name for kind in kinds for name in _names(kind)]


def _alternatives(kind: Any, data: Any) -> Sequence[Any]:
    """The types that a value can have: those of a union, and of Structs with tags the one that the value names."""
    kinds = getattr(kind, "types", (kind,))
    tag_fields = (getattr(one, "tag_field", None) for one in kinds)
    tagged = [one for one, key in zip(kinds, tag_fields, strict=True) if key and key in data and data[key] == one.tag]
    return tagged or kinds


def _parts(kind: Any, step: str | int) -> list[Any]:
    """The types of a Struct's field, or of a list's items."""
    if isinstance(kind, inspect.StructType):
        return [part.type for part in kind.fields if part.encode_name == step]
    return [kind.item_type] if isinstance(step, int) else []


def _names(kind: Any) -> Sequence[Any]:
    if isinstance(kind, inspect.StructType):
        return [part.encode_name for part in kind.fields]
    if isinstance(kind, inspect.DictType):
        return [*_names(kind.key_type), *_names(kind.value_type)]
    return getattr(kind, "values", ())
