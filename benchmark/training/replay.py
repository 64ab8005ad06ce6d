"""An emulation of CUDA graphs on any device: logs operations once and repeats them on the same memory, without Python.

A step that depends on Python (reads a number that changes, keeps a counter, replaces a tensor by a new one) gives wrong
numbers in a replay here, as it does in a CUDA graph on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import BaseTorchDispatchMode, TorchDispatchMode
from torch.utils._pytree import tree_flatten

from benchmark.training.capture import CaptureDevice, replay_obstacles

_SYNCHRONISING = frozenset({"_local_scalar_dense", "nonzero", "masked_select", "bincount", "_unique2", "unique_dim"})
"""Operations whose result or output shape the host needs."""
_INDEXING = frozenset({"index", "index_put", "index_put_", "_index_put_impl_"})
_UNLIMITED = 2**50


class _Operation(NamedTuple):
    """One logged operation."""

    function: Any
    arguments: Sequence[Any]
    keywords: Mapping[str, Any]
    outputs: Any

    def repeat(self) -> None:
        """Run the operation again, with its outputs in the same memory."""
        returns = self.function._schema.returns
        if returns and all(result.alias_info and not result.alias_info.is_write for result in returns):
            return  # the output is a view of memory that other operations write
        again = self.function(*self.arguments, **self.keywords)
        for old, new in zip(tree_flatten(self.outputs)[0], tree_flatten(again)[0], strict=True):
            if isinstance(old, Tensor) and old is not new:
                old.copy_(new)


class _Log(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Logs every operation below autograd, also of the backward pass, and copies the memory that existed before."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operations: list[_Operation] = []
        self._allocated: dict[int, torch.UntypedStorage] = {}
        self._existing: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        if reason := _synchronises(function, args):
            raise RuntimeError(f"operation not permitted while a step is captured: {reason}")
        keywords = kwargs or {}
        for storage in _storages((args, keywords)):
            if storage.data_ptr() not in self._allocated and storage.data_ptr() not in self._existing:
                self._existing[storage.data_ptr()] = storage, storage.clone()  # type: ignore[no-untyped-call]
        outputs = function(*args, **keywords)
        self._allocated |= {storage.data_ptr(): storage for storage in _storages(outputs)}
        self._operations.append(_Operation(function, args, keywords, outputs))
        return outputs

    def undo(self) -> None:
        """Restore the contents of all memory that existed before."""
        for storage, before in self._existing.values():
            storage.copy_(before)
        self._existing.clear()

    def replay(self) -> None:
        """Repeat all operations in order."""
        with torch.no_grad():
            for operation in self._operations:
                operation.repeat()


def _storages(values: Any) -> Iterator[torch.UntypedStorage]:
    return (value.untyped_storage() for value in tree_flatten(values)[0] if isinstance(value, Tensor))


class _SynchronisationLog(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lists the operations for which the host would wait."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        if reason := _synchronises(function, args):
            self.found.append(reason)
        return function(*args, **(kwargs or {}))


class _GpuOneHot(TorchFunctionMode):
    """Replaces ``one_hot``, which reads values on a CPU but not on a GPU, by operations that read none."""

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        if function is functional.one_hot:
            return _one_hot(function, *args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def _one_hot(function: Any, tensor: Tensor, num_classes: int = -1) -> Tensor:
    if num_classes < 0:  # the largest label has to be read, on any device
        hot: Tensor = function(tensor, num_classes)
        return hot
    return (tensor[..., None] == torch.arange(num_classes, device=tensor.device)).long()


@contextmanager
def host_waits() -> Iterator[list[str]]:
    """A context that yields a list; at its end the list names operations for which the host would wait for a GPU."""
    found: list[str] = []
    with _GpuOneHot(), (mode := _SynchronisationLog()):
        yield found
    found += mode.found


@contextmanager
def gradients_as_logged() -> Iterator[None]:
    """A context in which eager steps sum gradients as logged ones do: out of place.

    A sum in place may have another memory format, and a convolution of it other last bits.
    """
    with BaseTorchDispatchMode():  # type: ignore[no-untyped-call]
        yield


def _synchronises(function: Any, arguments: Sequence[Any]) -> str | None:
    name = function.overloadpacket.__name__
    if name in _SYNCHRONISING:
        return f"{name} needs a value on the host"
    if name in _INDEXING and any(index is not None and index.dtype == torch.bool for index in arguments[1]):
        return f"{name} by a mask has a shape that depends on values"
    return None


class OperationLog(CaptureDevice):
    """Emulates CUDA graphs by logging operations; memory is neither measured nor limited.

    Attributes:
        captured: number of captures.
        replayed: number of replays.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        del device
        self.captured = 0
        self.replayed = 0

    def capture(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        drawn = [generator.get_state() for generator in generators]
        with _GpuOneHot(), (log := _Log()):
            work()
        log.undo()
        for generator, state in zip(generators, drawn, strict=True):
            generator.set_state(state)
        self.captured += 1

        def replay() -> None:
            self.replayed += 1
            log.replay()

        return replay

    def replay_obstacles(self) -> AbstractContextManager[list[str]]:
        return replay_obstacles(host_waits())

    @contextmanager
    def peak_memory(self) -> Iterator[list[int]]:
        yield [0]  # memory is not measured

    def free_bytes(self) -> int:
        return _UNLIMITED

    def drop_graphs(self) -> None:
        pass
