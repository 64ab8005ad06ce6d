"""Loads trained networks from folders that ``--export`` wrote."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse
from torch import Tensor

from models.features import Network
from models.plugins import VARIABLE
from models.published_weights import unusable
from models.registry import UnknownNetworkError, create
from models.wrapping import rewrap

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_BUILT_FROM = ("network", "num_classes", "in_size", "width")


class ExportError(ValueError):
    """A folder does not hold a valid network; the message is one line."""


def load(folder: Path | str) -> Network:
    """The network of a folder that ``run_all.py export`` wrote.

    Args:
        folder: with ``config.json`` and ``model.safetensors``.

    Returns:
        The network in evaluation mode, in float32, on the CPU.

    Raises:
        ExportError: a file is missing or unreadable, or the weights are not finite, do not fit the network, or do not
            have the SHA-256 in ``config.json``.
        UnknownNetworkError: no family has a network of that name.
        ValueError: a value of the network is out of range.
    """
    root = Path(folder)
    config = _config(root / CONFIG)
    try:
        network = create(*(config[key] for key in _BUILT_FROM))
    except UnknownNetworkError as error:
        raise UnknownNetworkError(f"{error}; to find one of your own, let {VARIABLE} name its file") from None
    network = _rewrapped(network, config.get("wrapping"), root / CONFIG)
    state, own = _state(root / WEIGHTS, config.get("sha256")), network.state_dict()
    wrong = unusable((name, state[name], own[name]) for name in own if name in state)
    try:
        if not wrong:
            network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        wrong = [" ".join(str(error).split())]
    if wrong:
        raise ExportError(f"{root / WEIGHTS} are no weights of {network.name}: {wrong[0]}")
    return network.eval()


def _rewrapped(network: Network, wrapping: Any, path: Path) -> Network:
    """The network with what ``wrapping`` of a file describes around it, if it describes anything."""
    if wrapping is not None and not isinstance(wrapping, dict):
        raise ExportError(f"{path}: 'wrapping' is no object: export the network again")
    try:
        return rewrap(network, wrapping)
    except ValueError as error:
        raise ExportError(f"{path}: {error}: export the network again, or update this clone") from None


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"{path} cannot be read ({error}): name a folder that run_all.py export wrote") from None
    missing = [key for key in _BUILT_FROM if not isinstance(config, dict) or key not in config]
    if missing:
        raise ExportError(f"{path} lacks '{missing[0]}': name a folder that run_all.py export wrote")
    return dict(config)


def _state(path: Path, stated: Any) -> dict[str, Tensor]:
    """The tensors of a file, whose SHA-256 must be ``stated`` unless that is None."""
    try:
        content = path.read_bytes()
        if stated is not None and hashlib.sha256(content).hexdigest() != stated:
            raise ExportError(
                f"{path} is not the file that was exported: its SHA-256 is not that of {CONFIG}. Export it again, or "
                f"remove 'sha256' from {CONFIG} where it was meant to change"
            )
        return dict(parse(content))
    except (OSError, SafetensorError) as error:
        raise ExportError(f"{path} cannot be read ({error})") from None
