"""Finds and undoes what a job changes of that which the jobs beside it share: a process, a batch, a teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks_of_all


class SharedStateError(Exception):
    """A job changed what other jobs share; the message says what."""


class _Switch(NamedTuple):
    """Something that holds for the whole process."""

    read: Callable[[], Any]
    write: Callable[[Any], Any]


def _flag(owner: Any, name: str) -> _Switch:
    return _Switch(lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def _read_determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _write_determinism(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


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


def _read_precisions() -> tuple[str, ...]:
    return tuple(owner.fp32_precision for owner in _FLOAT32)


def _write_precisions(value: tuple[str, ...]) -> None:
    for owner, precision in zip(_FLOAT32, value, strict=True):
        owner.fp32_precision = precision


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_HOOKS_OF_ALL = tuple(getattr(hooks_of_all, f"_global{kind}") for kind in _HOOKS)


def _read_hooks() -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(hooks) for hooks in _HOOKS_OF_ALL)


def _write_hooks(value: tuple[tuple[int, ...], ...]) -> None:
    for hooks, kept in zip(_HOOKS_OF_ALL, value, strict=True):
        for key in set(hooks) - set(kept):
            del hooks[key]


def _read_autocast() -> tuple[Any, ...]:
    return tuple((torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda"))


def _write_autocast(value: tuple[Any, ...]) -> None:
    for kind, (enabled, dtype) in zip(("cpu", "cuda"), value, strict=True):
        torch.set_autocast_enabled(kind, enabled)
        torch.set_autocast_dtype(kind, dtype)


_SWITCHES: Mapping[str, _Switch] = MappingProxyType(
    {
        "the number of threads": _Switch(torch.get_num_threads, torch.set_num_threads),
        "the default dtype": _Switch(torch.get_default_dtype, torch.set_default_dtype),
        "the default device": _Switch(torch.get_default_device, torch.set_default_device),
        "deterministic algorithms": _Switch(_read_determinism, _write_determinism),
        "the gradient mode": _Switch(torch.is_grad_enabled, torch.set_grad_enabled),
        "anomaly detection": _Switch(torch.is_anomaly_enabled, torch.set_anomaly_enabled),
        "the precision of float32 operations": _Switch(_read_precisions, _write_precisions),
        "cuDNN's choice of algorithms": _flag(torch.backends.cudnn, "benchmark"),
        "cuDNN's determinism": _flag(torch.backends.cudnn, "deterministic"),
        "cuDNN": _flag(torch.backends.cudnn, "enabled"),
        "autocast": _Switch(_read_autocast, _write_autocast),
        "hooks on all modules": _Switch(_read_hooks, _write_hooks),
    }
)
"""What torch holds for a whole process and a job could change, by what people call it."""


class ProcessState:
    """The process-wide switches as they are when this is made."""

    def __init__(self) -> None:
        self._before = {name: switch.read() for name, switch in _SWITCHES.items()}

    def restore(self) -> list[str]:
        """Set the switches as they were and return the names of those that differed."""
        changed = [name for name, switch in _SWITCHES.items() if switch.read() != self._before[name]]
        for name in changed:
            _SWITCHES[name].write(self._before[name])
        return changed


class Untouched:
    """Tensors that nobody may write into from now on, each by a name for people.

    Torch counts the writes into every tensor, through all of its views, but for those by ``data`` and ``numpy()``.

    Args:
        thoroughly: keep copies, and compare the contents, too.
    """

    def __init__(self, *, thoroughly: bool = False) -> None:
        self._thoroughly = thoroughly
        self._seen: list[tuple[str, Tensor, int, Tensor | None]] = []

    def add(self, name: str, *tensors: Tensor) -> None:
        """Watch further tensors."""
        for tensor in tensors:
            copy = tensor.detach().clone() if self._thoroughly else None
            self._seen.append((name, tensor, tensor._version, copy))

    def changed(self) -> str | None:
        """The name of a tensor that was written into, if there is one."""
        found = (name for name, tensor, version, copy in self._seen if _written(tensor, version, copy))
        return next(found, None)


def _written(tensor: Tensor, version: int, copy: Tensor | None) -> bool:
    return tensor._version != version or (copy is not None and not _equal(tensor, copy))


def _equal(tensor: Tensor, copy: Tensor) -> bool:
    """Whether two tensors hold the same; what is no number is equal to itself."""
    return torch.equal(tensor, copy) or bool(((tensor == copy) | ((tensor != tensor) & (copy != copy))).all())  # noqa: PLR0124


class Frozen:
    """A network that nobody may change from now on."""

    def __init__(self, network: nn.Module) -> None:
        self._tensors = [*network.parameters(), *network.buffers()]
        self._modules = list(network.modules())
        self._copies = [tensor.detach().clone() for tensor in self._tensors]
        self._attributes = [_plain_attributes(module) for module in self._modules]
        self.take()

    def take(self) -> None:
        """Take the network as it is now for what it has to stay."""
        self._versions = sum(tensor._version for tensor in self._tensors)
        self._behaviour = list(self._read())

    def changed(self, *, thoroughly: bool) -> str | None:
        """What of the network was changed, if anything.

        Args:
            thoroughly: compare all contents, attributes, hooks and gradients, and not only how often the weights were
                written into.
        """
        if sum(tensor._version for tensor in self._tensors) != self._versions:
            return "weights or statistics"
        if not thoroughly:
            return None
        if not all(map(_equal, self._tensors, self._copies)):
            return "weights or statistics"
        if [_plain_attributes(module) for module in self._modules] != self._attributes:
            return "mode or other attributes"
        return "hooks or gradients" if list(self._read()) != self._behaviour else None

    def repair(self) -> None:
        """Set attributes, hooks and gradients as they were; the weights are for the caller to restore."""
        for module, kept in zip(self._modules, self._attributes, strict=True):
            for name in _plain_attributes(module).keys() - kept.keys():
                delattr(module, name)
            vars(module).update(kept)
        for module, hooks in zip(self._modules, self._behaviour, strict=False):
            for kind, kept in zip(_HOOKS, hooks, strict=True):
                _keep(getattr(module, kind), kept)
        for tensor in self._tensors:
            tensor.requires_grad = False
            tensor.grad = None
        self.take()

    def _read(self) -> Iterator[Any]:
        for module in self._modules:
            yield tuple(tuple(getattr(module, kind)) for kind in _HOOKS)
        yield any(tensor.requires_grad or tensor.grad is not None for tensor in self._tensors)


def _plain_attributes(module: nn.Module) -> dict[str, Any]:
    """What a module holds in Python: its mode, its numbers and words, alone and in tuples."""
    return {name: value for name, value in vars(module).items() if isinstance(value, _PLAIN)}


_PLAIN = (bool, int, float, complex, str, tuple, type(None))


def _keep(hooks: Any, kept: Iterable[int]) -> None:
    for key in set(hooks) - set(kept):
        del hooks[key]
