"""Weights that others have published: read without running any code, and loaded under this project's names.

Files of RepDistiller and mdistiller hold the small networks, which both name alike; torchvision holds the large ones.
How their names become a network's is told by the network's ``published_names``.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.features import Network

# Where files keep the state dict, if it is not all that they hold.
WRAPPERS = ("model", "state_dict")

# What data-parallel training puts before all names.
PARALLEL = "module."

# Batches that a batch-norm has seen. Nothing depends on their number here, and old files have none.
COUNTER = "num_batches_tracked"


class PublishedError(ValueError):
    """Weights that cannot be had, or are not those of the network; the message is one line."""


class Unread:
    """Stands for what lies beside a state dict, such as an accuracy or options: its parts are taken and forgotten."""

    def __init__(self, *parts: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# The only names that a file may call for besides those that torch trusts: accuracies as numpy's scalars, and options.
# None of the named things is made; what is unread stands in for them.
STOOD_FOR: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
    (Unread, "numpy.core.multiarray.scalar"),
    (Unread, "numpy._core.multiarray.scalar"),
    (Unread, "numpy.dtype"),
    (Unread, "argparse.Namespace"),
]


def one_less(template: str) -> Callable[[re.Match[str]], str]:
    """A replacement for ``published_names``: numbers that the pattern's groups matched, less one, in the braces."""
    return lambda match: template.format(*(int(number) - 1 for number in match.groups()))


def read_published(path: Path) -> dict[str, Tensor]:
    """The state dict of a file that ``torch.save`` or safetensors wrote, on the CPU and under the file's names.

    Raises:
        PublishedError: the file cannot be read, needs code to run, or holds no state dict.
    """
    content = _content(path)
    if isinstance(content, Mapping):
        content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
    state = dict(content) if isinstance(content, Mapping) else {}
    if not state or not all(isinstance(name, str) and isinstance(state[name], Tensor) for name in state):
        places = " or ".join(repr(key) for key in WRAPPERS)
        raise PublishedError(f"{path} holds no state dict: it must be one, or have one under {places}")
    prefix = PARALLEL if all(name.startswith(PARALLEL) for name in state) else ""
    return {name.removeprefix(prefix): tensor.detach() for name, tensor in state.items()}


def load_published(network: Network, state: Mapping[str, Tensor]) -> None:
    """Fill a network, in place, with a state dict under published names or the network's own.

    Counts of batches may be missing or left over. Where anything else does not fit, the network stays as it was.

    Raises:
        PublishedError: a tensor is missing, left over, given twice or of another shape.
    """
    own, given, wrong = network.state_dict(), dict[str, Tensor](), list[str]()
    for name, tensor in state.items():
        ours = _renamed(name, network)
        if ours not in own:
            wrong += [] if name.endswith(COUNTER) else [f"{name} is left over"]
        elif ours in given:
            wrong.append(f"{name} is given twice")
        elif tensor.shape != own[ours].shape:
            wrong.append(f"{name} is {tuple(tensor.shape)}, it must be {tuple(own[ours].shape)}")
        given[ours] = tensor
    wrong += [f"{name} is missing" for name in own if name not in given and not name.endswith(COUNTER)]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise PublishedError(f"this is no {network.name}: {wrong[0]}{more}")
    network.load_state_dict({name: given.get(name, tensor) for name, tensor in own.items()})


def download(weights: str, folder: Path) -> Path:
    """The file of torchvision's weights, such as ``ResNet34_Weights.IMAGENET1K_V1``, fetched where it is missing.

    Its name ends in the first digits of its SHA-256; a file in ``folder`` that does not agree is fetched again.

    Raises:
        PublishedError: torchvision knows no such weights, or they cannot be fetched.
    """
    url = _address(weights)
    path = folder / PurePosixPath(urlsplit(url).path).name
    match = re.search(r"-([0-9a-f]{8,})\.", path.name)
    digits = match[1] if match else ""
    try:
        if not path.is_file() or not sha256(path).startswith(digits):
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), digits, progress=False)
    # What the connection raises, and torch where the digits do not agree.
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


def _content(path: Path) -> object:
    try:
        path.open("rb").close()
    except OSError as error:
        raise PublishedError(f"{path} cannot be read: {error.strerror}") from error
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(STOOD_FOR), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    # A damaged file can break the reader anywhere. Its messages are left out: they advise to run the file's code.
    except Exception as error:
        needed = re.search(r"GLOBAL (\S+)", str(error))
        if needed:
            advice = "save its state dict alone, torch.save(network.state_dict(), FILE)"
            raise PublishedError(f"{path} is refused, as it calls for {needed[1]} of Python: {advice}") from error
        raise PublishedError(f"{path} is no file of weights, or it is damaged") from error


def _renamed(name: str, network: Network) -> str:
    for pattern, replacement in network.published_names:
        name = re.sub(pattern, replacement, name)
    return name


def _address(weights: str) -> str:
    # Slow to import, and of no use to those who only build networks.
    from torchvision.models import get_weight

    try:
        return str(get_weight(weights).url)
    except (ValueError, KeyError, TypeError) as error:
        hint = "they are named as in ResNet34_Weights.IMAGENET1K_V1"
        raise PublishedError(f"torchvision has no weights '{weights}': {hint}") from error


def _line(error: Exception) -> str:
    """The first line of an error's message, or its kind where it has none."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
