"""What a CUDA graph does, on any device: operations are logged once and repeated on the same memory, without Python.

So a step that does in Python what has to happen in every step (reads a number that changes, keeps a counter, puts a new
tensor in the place of an old one) gives wrong numbers after a replay here, as it does on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from benchmark.training.capture import obstacles

_WAITING = frozenset({"_local_scalar_dense", "nonzero", "masked_select", "bincount", "_unique2", "unique_dim"})
"""Operations whose result or shape the host has to know."""
_INDEXING = frozenset({"index", "index_put", "index_put_", "_index_put_impl_"})
_PLENTY = 2**50


class _Operation(NamedTuple):
    """One operation as it was done."""

    function: Any
    arguments: Sequence[Any]
    keywords: Mapping[str, Any]
    outputs: Any

    def repeat(self) -> None:
        """Do it again, with the results in the same memory."""
        returns = self.function._schema.returns
        if returns and all(result.alias_info and not result.alias_info.is_write for result in returns):
            return  # a view stays the view that it is
        again = self.function(*self.arguments, **self.keywords)
        for old, new in zip(tree_flatten(self.outputs)[0], tree_flatten(again)[0], strict=True):
            if isinstance(old, Tensor) and old is not new:
                old.copy_(new)


class _Log(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Logs every operation below autograd, those of the backward pass too, and keeps what was there before."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operations: list[_Operation] = []
        self._made: dict[int, torch.UntypedStorage] = {}
        self._found: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        if reason := _waits(function, args):
            raise RuntimeError(f"operation not permitted while a step is captured: {reason}")
        keywords = kwargs or {}
        for storage in _storages((args, keywords)):
            if storage.data_ptr() not in self._made and storage.data_ptr() not in self._found:
                self._found[storage.data_ptr()] = storage, storage.clone()  # type: ignore[no-untyped-call]
        outputs = function(*args, **keywords)
        self._made |= {storage.data_ptr(): storage for storage in _storages(outputs)}
        self._operations.append(_Operation(function, args, keywords, outputs))
        return outputs

    def undo(self) -> None:
        """Fill all memory that was there before with what it held."""
        for storage, before in self._found.values():
            storage.copy_(before)
        self._found.clear()

    def replay(self) -> None:
        """Repeat all operations in their order."""
        with torch.no_grad():
            for operation in self._operations:
                operation.repeat()


def _storages(values: Any) -> Iterator[torch.UntypedStorage]:
    return (value.untyped_storage() for value in tree_flatten(values)[0] if isinstance(value, Tensor))


class _Waits(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lists the operations for which the host waits."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        if reason := _waits(function, args):
            self.found.append(reason)
        return function(*args, **(kwargs or {}))


class _AsOnADevice(TorchFunctionMode):
    """Does on the host what would not wait on a GPU in a way that does not wait either."""

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        if function is functional.one_hot:
            return _one_hot(function, *args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def _one_hot(function: Any, tensor: Tensor, num_classes: int = -1) -> Tensor:
    if num_classes < 0:  # the largest label has to be known, on any device
        hot: Tensor = function(tensor, num_classes)
        return hot
    return (tensor[..., None] == torch.arange(num_classes, device=tensor.device)).long()


@contextmanager
def waiting() -> Iterator[list[str]]:
    """A context whose list says, after its end, which operations in it would make the host wait for a GPU."""
    found: list[str] = []
    with _AsOnADevice(), (mode := _Waits()):
        yield found
    found += mode.found


def _waits(function: Any, arguments: Sequence[Any]) -> str | None:
    name = function.overloadpacket.__name__
    if name in _WAITING:
        return f"{name} needs a value on the host"
    if name in _INDEXING and any(index is not None and index.dtype == torch.bool for index in arguments[1]):
        return f"{name} by a mask has a shape that depends on values"
    return None


class OperationLog:
    """Captures by logging operations: in place of a CUDA device, where there is none.

    Args:
        device: where the operations are done; any.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        del device
        self.captured = 0
        self.replayed = 0

    def capture(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """Log work and undo it; return a function that repeats it."""
        drawn = [generator.get_state() for generator in generators]
        with _AsOnADevice(), (log := _Log()):
            work()
        log.undo()
        for generator, state in zip(generators, drawn, strict=True):
            generator.set_state(state)
        self.captured += 1

        def replay() -> None:
            self.replayed += 1
            log.replay()

        return replay

    def obstacles(self) -> AbstractContextManager[list[str]]:
        """A context whose list says, after its end, what in it a replay would not repeat."""
        return obstacles(waiting())

    @contextmanager
    def peak(self) -> Iterator[list[int]]:
        """A context whose list says that nothing was taken: memory is not measured here."""
        yield [0]

    def free_bytes(self) -> int:
        """More than anybody takes."""
        return _PLENTY

    def forget(self) -> None:
        """Nothing is shared by what was captured."""
