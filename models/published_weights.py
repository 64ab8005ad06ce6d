"""Published weights: read without running code, and renamed to this project's parameter names.

RepDistiller and mdistiller publish the small networks under the same names, torchvision the large ones. A network's
``published_names`` map published names to its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import torch
from torch import Tensor

from models.features import Network
from models.safe_load import PublishedError, safe_load

__all__ = [
    "NETWORKS",
    "LoadedPart",
    "PublishedError",
    "decrement",
    "download",
    "load_published",
    "read_published",
    "sha256",
    "unusable",
]

# Keys under which files keep the state dict.
WRAPPERS = ("model", "state_dict")

# The prefix of all names after data-parallel training.
PARALLEL = "module."

NETWORKS = ("student", "teacher")
"""Names of the two networks in the state dict of an mdistiller run."""

# Allowed types of floating-point weights; they are converted to the network's type.
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

# A batch-norm's number of batches: unused here, and missing in old files.
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class LoadedPart:
    """Which part of a state dict was loaded.

    Attributes:
        part: ``student`` or ``teacher`` if the state dict holds networks of these names, else empty.
        other: the other one, if the state dict holds both.
        rounded: whether weights were rounded to a type of the network with fewer digits.
    """

    part: str = ""
    other: str = ""
    rounded: bool = False


def decrement(template: str) -> Callable[[re.Match[str]], str]:
    """A replacement for ``published_names``: fills the template with the numbers matched by the groups, minus one."""
    return lambda match: template.format(*(int(number) - 1 for number in match.groups()))


def read_published(path: Path) -> dict[str, Tensor]:
    """The state dict of a file of ``torch.save`` or safetensors, on the CPU and under the file's names.

    Raises:
        PublishedError: the file cannot be read, would run code, or holds no state dict.
    """
    content = safe_load(path)
    if isinstance(content, Mapping):
        content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
    state = dict(content) if isinstance(content, Mapping) else {}
    if not state or not all(isinstance(name, str) and isinstance(state[name], Tensor) for name in state):
        places = " or ".join(repr(key) for key in WRAPPERS)
        raise PublishedError(f"{path} holds no state dict: it must be one, or have one under {places}")
    return {name: tensor.detach() for name, tensor in _unparallel(state).items()}


def load_published(network: Network, state: Mapping[str, Tensor], part: str = "") -> LoadedPart:
    """Load a state dict under published or own names into a network, in place.

    If the state dict holds a ``student.`` and a ``teacher.``, the one with the network's names and shapes is loaded and
    other tensors are ignored. Batch counters may be missing or left over. On any other mismatch the network is not
    changed.

    Args:
        network: of any width.
        state: tensors by their names.
        part: ``student`` or ``teacher``; needed if both fit.

    Raises:
        PublishedError: a tensor is missing, left over, given twice, of another shape or type, or not finite; or both
            networks fit.
    """
    networks = _networks(state)
    if part and part not in networks:
        held = f"only a {next(iter(networks))}" if networks else "only one network, which has no such name"
        raise PublishedError(f"it holds no {part}, {held}: give the file without ':{part}'")
    candidates = {part: networks[part]} if part else {"": state, **networks}
    matches = {name: _match(network, tensors) for name, tensors in candidates.items()}
    fitting = [name for name, match in matches.items() if not match.wrong]
    if not fitting:
        misfits = [matches[name].summary(name) for name in matches if name or not networks]
        raise PublishedError(f"this is no {network.name}: {'; '.join(misfits)}")
    if len(fitting) > 1 and fitting[0]:
        choices = " or ".join(f"--teacher {network.name}=FILE:{name}" for name in fitting)
        raise PublishedError(f"it holds two networks that are a {network.name} each: choose one, {choices}")
    name = fitting[0]
    return replace(_fill(network, matches[name].given), part=name, other=_other(name, networks))


def unusable(tensors: Iterable[tuple[str, Tensor, Tensor]]) -> list[str]:
    """Faults in the types and values of tensors, each as a sentence that begins with the tensor's name.

    Args:
        tensors: name, tensor, and the network's own tensor of equal shape that it replaces.
    """
    faults = ((name, _fault(tensor, own)) for name, tensor, own in tensors)
    return [f"{name} {fault}" for name, fault in faults if fault]


def download(weights: str, folder: Path) -> Path:
    """The file of torchvision's weights, such as ``ResNet34_Weights.IMAGENET1K_V1``, downloaded if it is missing.

    Its name ends in the first digits of its SHA-256; a file in ``folder`` with another SHA-256 is downloaded again.

    Raises:
        PublishedError: torchvision has no such weights, or they cannot be downloaded.
    """
    url = _address(weights)
    path = folder / PurePosixPath(urlsplit(url).path).name
    match = re.search(r"-([0-9a-f]{8,})\.", path.name)
    digits = match[1] if match else ""
    try:
        if not path.is_file() or not sha256(path).startswith(digits):
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), digits, progress=False)
    # Errors of the connection, and of torch if the SHA-256 differs.
    except (OSError, HTTPException, RuntimeError, ValueError) as error:
        advice = f"fetch {url} by hand and give the file with --teacher NAME=FILE"
        raise PublishedError(f"{weights} cannot be downloaded ({_line(error)}): {advice}") from error
    return path


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class _Match:
    """A state dict compared with a network's own.

    Attributes:
        given: published name and tensor by the network's own name.
        wrong: tensors that are missing, left over, given twice or of another shape, each as a sentence.
    """

    given: dict[str, tuple[str, Tensor]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def summary(self, part: str) -> str:
        """The first fault, with the tensor's name in the file, and the number of further faults."""
        return f"{part and f'{part}.'}{_first(self.wrong)}"


def _match(network: Network, state: Mapping[str, Tensor]) -> _Match:
    own, match = network.state_dict(), _Match()
    for name, tensor in state.items():
        ours = _renamed(name, network)
        counter = name.endswith(COUNTER)
        if counter and (ours not in own or tensor.dtype != own[ours].dtype):
            continue
        if ours not in own:
            match.wrong.append(f"{name} is left over")
            continue
        if ours in match.given:
            match.wrong.append(f"{name} is given twice")
        elif tensor.shape != own[ours].shape:
            match.wrong.append(f"{name} is {tuple(tensor.shape)}, it must be {tuple(own[ours].shape)}")
        match.given[ours] = name, tensor
    match.wrong += [f"{name} is missing" for name in own if name not in match.given and not name.endswith(COUNTER)]
    return match


def _fill(network: Network, given: Mapping[str, tuple[str, Tensor]]) -> LoadedPart:
    own = network.state_dict()
    if wrong := unusable((name, tensor, own[ours]) for ours, (name, tensor) in given.items()):
        raise PublishedError(f"these weights cannot be used: {_first(wrong)}")
    taken = {ours: tensor for ours, (_, tensor) in given.items()}
    network.load_state_dict({**own, **taken})
    return LoadedPart(rounded=any(tensor.itemsize > own[ours].itemsize for ours, tensor in taken.items()))


def _fault(tensor: Tensor, own: Tensor) -> str:
    """Why a tensor cannot replace the network's own of equal shape; empty if it can."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        return "is not a dense tensor of numbers"
    if not (tensor.dtype in FLOATS if own.dtype in FLOATS else tensor.dtype == own.dtype):
        wanted = ", ".join(map(_named, FLOATS)) if own.dtype in FLOATS else _named(own.dtype)
        return f"is of type {_named(tensor.dtype)}, it must be one of {wanted}"
    return "" if torch.isfinite(tensor.to(own.dtype)).all() else "holds NaN or infinite values"


def _networks(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The student and teacher in the state dict of a distillation; empty for other state dicts."""
    starts = {name: f"{name}." for name in NETWORKS}
    found = {
        name: {key.removeprefix(start): tensor for key, tensor in state.items() if key.startswith(start)}
        for name, start in starts.items()
    }
    return {name: _unparallel(tensors) for name, tensors in found.items() if tensors}


def _unparallel(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = PARALLEL if all(name.startswith(PARALLEL) for name in state) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def _other(part: str, networks: Mapping[str, object]) -> str:
    return next((name for name in networks if part and name != part), "")


def _first(wrong: Sequence[str]) -> str:
    return wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else "")


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _renamed(name: str, network: Network) -> str:
    for pattern, replacement in network.published_names:
        name = re.sub(pattern, replacement, name)
    return name


def _address(weights: str) -> str:
    # Slow to import, and not needed to build networks.
    from torchvision.models import get_weight

    try:
        return str(get_weight(weights).url)
    except (ValueError, KeyError, TypeError) as error:
        hint = "they are named as in ResNet34_Weights.IMAGENET1K_V1"
        raise PublishedError(f"torchvision has no weights '{weights}': {hint}") from error


def _line(error: Exception) -> str:
    """The first line of an error's message, or its type if there is none."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
