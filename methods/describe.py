"""Describe methods for planning, which does not import torch.

``python -m methods.describe NAME`` imports the method ``NAME`` and prints its class attributes and options as JSON.
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any

from methods import Method, classes
from models.plugins import answers_only


def describe(name: str) -> list[dict[str, Any]]:
    """The ``attributes`` and ``options`` of the methods that a file or an entry point defines.

    Raises:
        TypeError: options are not keyword-only, or JSON cannot hold an attribute or a default.
    """
    found = []
    for cls in classes(name):
        attributes = {key: getattr(cls, key) for key in Method.__annotations__ if hasattr(cls, key)}
        options = options_of(cls)
        for key, value in (*attributes.items(), *options.items()):
            try:
                json.dumps(value, default=dict, allow_nan=False)
            except (TypeError, ValueError):
                kinds = "None, numbers, texts, lists and dictionaries"
                raise TypeError(f"'{key}' must be made of {kinds}, not {value!r}") from None
        found.append({"attributes": attributes, "options": options})
    return found


def options_of(cls: type[Method]) -> dict[str, Any]:
    """Options with their defaults: keyword-only parameters, those of base classes included where ``**`` hands them on.

    Raises:
        TypeError: the class takes positional parameters besides the pair.
    """
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = [*inspect.signature(vars(base)["__init__"]).parameters.values()]
        if sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters) > 2:
            raise TypeError("options of a method come after a *, each with a default")
        options = [each for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is not each.empty]
        found = {each.name: each.default for each in options} | found
        if all(each.kind is not each.VAR_KEYWORD for each in parameters):
            break
    return found


if __name__ == "__main__":
    with answers_only() as output:
        output.write(json.dumps(describe(sys.argv[1]), default=dict))
