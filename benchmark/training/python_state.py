"""Python state of a module: values that neither a checkpoint saves nor a replayed step changes."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from methods import Pair

_MODULE_INTERNALS = frozenset(vars(nn.Module())) - {"training"}
_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_IGNORED = (type, types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.ModuleType, Pair)
"""Types that cannot change from step to step, or are checked elsewhere."""
_LIBRARIES = ("torch", "builtins", "abc", "typing")
"""Packages whose classes keep no state of a step."""
_MAX_DEPTH = 12


def python_state(module: nn.Module) -> dict[str, Any]:
    """All values that a module and its submodules hold outside parameters and buffers, by their dotted path.

    This covers private attributes and values in lists, dictionaries and objects. Tensors that no checkpoint saves are
    represented by their address and number of writes, parameters and buffers by their address.
    """
    return dict(_of_module(module, "", {id(module)}))


def code_state(module: nn.Module) -> dict[str, Any]:
    """All values in class attributes and module globals of the code of a module and its submodules."""
    classes = {owner for part in module.modules() for owner in type(part).__mro__}
    owners = [owner for owner in classes if owner.__module__.partition(".")[0] not in _LIBRARIES]
    functions = [value for owner in owners for value in vars(owner).values() if isinstance(value, types.FunctionType)]
    kept = {f"{owner.__qualname__}.{name}": value for owner in owners for name, value in vars(owner).items()}
    kept |= {f"global {name}": value for function in functions for name, value in function.__globals__.items()}
    found = (_of_value(value, name, set()) for name, value in kept.items() if "__" not in name)
    return dict(item for each in found for item in each)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """The first difference of two states, as in "'count' changes from 3 to 4"; None if they are equal."""
    for path in {**before, **after}:
        if path not in before:
            return f"'{path}' appears"
        if path not in after:
            return f"'{path}' disappears"
        if (old := before[path]) != (new := after[path]):
            plain = isinstance(old, _PLAIN) and isinstance(new, _PLAIN)
            return f"'{path}' changes from {old!r} to {new!r}" if plain else f"'{path}' is {new[0]}"
    return None


def _of_module(module: nn.Module, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    for name, parameter in module._parameters.items():
        if parameter is not None:
            yield f"{path}{name}", ("another tensor", parameter.data_ptr())
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent_buffers_set:
            yield f"{path}{name}", ("another tensor", buffer.data_ptr())
    lost = {name: module._buffers[name] for name in module._non_persistent_buffers_set}
    own = {name: value for name, value in vars(module).items() if name not in _MODULE_INTERNALS}
    for name, value in {**own, **lost, **module._modules}.items():
        yield from _of_value(value, f"{path}{name}", seen)


def _of_value(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, _PLAIN):
        yield path, value
    elif isinstance(value, _IGNORED) or id(value) in seen or path.count(".") > _MAX_DEPTH:
        return
    elif isinstance(value, Tensor):
        yield path, ("written into, though it is neither a parameter nor a buffer", value.data_ptr(), value._version)
    elif isinstance(value, np.ndarray):
        yield path, ("written into", hashlib.sha256(value.tobytes()).hexdigest())
    elif isinstance(value, torch.Generator):
        yield path, ("drawn from", value.get_state().numpy().tobytes())
    else:
        yield from _of_container(value, path, seen | {id(value)})


def _of_container(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    yield path, ("another object", type(value).__name__)
    if isinstance(value, nn.Module):
        yield from _of_module(value, f"{path}.", seen)
        return
    items: Mapping[Any, Any] = {}
    if isinstance(value, Mapping):
        items = value
    elif isinstance(value, list | tuple | set | frozenset):
        items = dict(enumerate(value))
    elif hasattr(value, "__dict__"):
        items = vars(value)
    for name, item in items.items():
        yield from _of_value(item, f"{path}.{name}", seen)
