"""Detects and undoes changes that one job makes to state shared with other jobs: process settings, batch, teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules import module as global_hooks


class SharedStateError(Exception):
    """A job changed state that other jobs share; the message names it."""


class _Setting(NamedTuple):
    """A process-wide setting of torch; several with one name are restored together."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], Any]


def _attribute(name: str, owner: Any, attribute: str) -> _Setting:
    return _Setting(name, partial(getattr, owner, attribute), partial(setattr, owner, attribute))


def _remove_other_hooks(hooks: MutableMapping[int, Any], kept: Iterable[int]) -> None:
    for key in set(hooks) - set(kept):
        del hooks[key]


_FLOAT32 = (
    torch.backends,  # the most general one first, since writing it may reset the others
    torch.backends.cudnn,
    torch.backends.mkldnn,
    torch.backends.cuda.matmul,
    torch.backends.cudnn.conv,  # type: ignore[attr-defined]
    torch.backends.cudnn.rnn,
    torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
    torch.backends.mkldnn.conv,  # type: ignore[attr-defined]
    torch.backends.mkldnn.rnn,  # type: ignore[attr-defined]
)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_GLOBAL_HOOKS = tuple(getattr(global_hooks, f"_global{kind}") for kind in _HOOKS)
_SETTINGS = (
    _Setting("the number of threads", torch.get_num_threads, torch.set_num_threads),
    _Setting("the default dtype", torch.get_default_dtype, torch.set_default_dtype),
    _Setting("the default device", torch.get_default_device, torch.set_default_device),
    _Setting("deterministic algorithms", torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    _Setting("the gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),
    _Setting("anomaly detection", torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    *(_attribute("the precision of float32 operations", owner, "fp32_precision") for owner in _FLOAT32),
    _attribute("cuDNN's choice of algorithms", torch.backends.cudnn, "benchmark"),
    _attribute("cuDNN's determinism", torch.backends.cudnn, "deterministic"),
    _attribute("cuDNN", torch.backends.cudnn, "enabled"),
    *(
        _Setting("autocast", partial(read, kind), partial(write, kind))
        for kind in ("cpu", "cuda")
        for read, write in (
            (torch.is_autocast_enabled, torch.set_autocast_enabled),
            (torch.get_autocast_dtype, torch.set_autocast_dtype),
        )
    ),
    *(
        _Setting("hooks on all modules", partial(tuple, hooks), partial(_remove_other_hooks, hooks))
        for hooks in _GLOBAL_HOOKS
    ),
)
"""Process-wide settings of torch that a job could change."""


class ProcessState:
    """A snapshot of torch's process-wide settings, taken on construction."""

    def __init__(self) -> None:
        self._before = [setting.read() for setting in _SETTINGS]

    def restore(self) -> list[str]:
        """Restore the settings and return the names of those that differed."""
        before = list(zip(_SETTINGS, self._before, strict=True))
        changed = list(dict.fromkeys(setting.name for setting, value in before if setting.read() != value))
        for setting, value in before:
            if setting.name in changed:
                setting.write(value)
        return changed


class WriteDetector:
    """Detects in-place writes to tensors that are read-only from now on.

    Torch counts the writes into a tensor, also through its views; it does not count writes through ``data`` or
    ``numpy()``, which only a comparison of contents finds.

    Args:
        compare_contents: keep a copy of every tensor and compare contents too.
    """

    def __init__(self, *, compare_contents: bool = False) -> None:
        self._compare_contents = compare_contents
        self._watched: list[tuple[str, Tensor, int, Tensor | None]] = []

    def add(self, name: str, *tensors: Tensor) -> None:
        """Watch further tensors.

        Args:
            name: of the tensors in messages, as in "the batch's images".
            tensors: to watch.
        """
        for tensor in tensors:
            copy = tensor.detach().clone() if self._compare_contents else None
            self._watched.append((name, tensor, tensor._version, copy))

    def changed(self) -> str | None:
        """The name of a tensor that was written into, or None."""
        found = (name for name, tensor, version, copy in self._watched if _written(tensor, version, copy))
        return next(found, None)


def _written(tensor: Tensor, version: int, copy: Tensor | None) -> bool:
    return tensor._version != version or (copy is not None and not _equal(tensor, copy))


def _equal(tensor: Tensor, copy: Tensor) -> bool:
    """Whether two tensors have equal contents; NaN equals NaN."""
    return torch.equal(tensor, copy) or bool(((tensor == copy) | ((tensor != tensor) & (copy != copy))).all())  # noqa: PLR0124


class NetworkSnapshot:
    """A frozen network's weights, attributes, hooks and gradients at construction, to detect and undo changes."""

    def __init__(self, network: nn.Module) -> None:
        self._tensors = [*network.parameters(), *network.buffers()]
        self._modules = list(network.modules())
        self._copies = [tensor.detach().clone() for tensor in self._tensors]
        self._attributes = [_plain_attributes(module) for module in self._modules]
        self._hooks = self._current_hooks()
        self._writes = self._count_writes()

    def changed(self, *, compare_contents: bool) -> str | None:
        """What was changed, as in "weights or statistics"; None if nothing was.

        Args:
            compare_contents: compare weights, attributes, hooks and gradients. Otherwise only the number of writes into
                the weights is compared, which costs next to nothing.
        """
        if self._count_writes() != self._writes:
            return "weights or statistics"
        if not compare_contents:
            return None
        if not all(map(_equal, self._tensors, self._copies)):
            return "weights or statistics"
        if [_plain_attributes(module) for module in self._modules] != self._attributes:
            return "mode or other attributes"
        thawed = any(tensor.requires_grad or tensor.grad is not None for tensor in self._tensors)
        return "hooks or gradients" if thawed or self._current_hooks() != self._hooks else None

    def restore(self) -> None:
        """Restore attributes, hooks and gradients. The caller has restored the weights, which are taken as they are."""
        for module, attributes in zip(self._modules, self._attributes, strict=True):
            for name in _plain_attributes(module).keys() - attributes.keys():
                delattr(module, name)
            vars(module).update(attributes)
        for module, kept in zip(self._modules, self._hooks, strict=True):
            for kind, keys in zip(_HOOKS, kept, strict=True):
                _remove_other_hooks(getattr(module, kind), keys)
        for tensor in self._tensors:
            tensor.requires_grad = False
            tensor.grad = None
        self._writes = self._count_writes()

    def _count_writes(self) -> int:
        return sum(tensor._version for tensor in self._tensors)

    def _current_hooks(self) -> list[tuple[tuple[int, ...], ...]]:
        return [tuple(tuple(getattr(module, kind)) for kind in _HOOKS) for module in self._modules]


def _plain_attributes(module: nn.Module) -> dict[str, Any]:
    """A module's attributes of plain types: its mode, numbers, strings and tuples."""
    return {name: value for name, value in vars(module).items() if isinstance(value, _PLAIN)}


_PLAIN = (bool, int, float, complex, str, tuple, type(None))
