"""Weights of trained networks as safetensors files with parameters in half precision; tests use them as saved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from benchmark.data import code_of, content_of, describe
from benchmark.errors import UserError
from benchmark.files import write_atomically
from benchmark.ids import canonical_json, short_id
from benchmark.registry import catalog
from benchmark.registry.plugins import loaded_code
from benchmark.runs.job import Job
from benchmark.training.randomness import seeded
from models import Network, create


def new_network(job: Job, device: torch.device) -> Network:
    """The job's network `on_device`; its initial weights depend on network and seed only.

    Raises:
        UserError: a plug-in's code, or its data set's images, have changed since the job was planned.
    """
    recipe, num_classes = job.recipe, describe(job.recipe.dataset).num_classes
    with seeded("weights", job.network, recipe.width, recipe.in_size, num_classes, job.seed):
        network = create(job.network, num_classes, recipe.in_size, recipe.width)
    _check_code(job)
    return on_device(network, device)


def on_device(network: Network, device: torch.device) -> Network:
    """The network on a device, in channels-last memory."""
    return network.to(device).to(memory_format=torch.channels_last)


def _check_code(job: Job) -> None:
    planned, known = job.spec.get("code", {}), catalog.networks().get(job.network)
    path = known.path if known else None
    # Hashed here, because the catalog may have read the file before it was changed and loaded.
    if "network" in planned and planned["network"] != (loaded_code(path) if path else ""):
        raise UserError(f"the file of network {job.network} changed after the plan was made: run the command again")
    if planned.get("dataset", "") != code_of(job.recipe.dataset):
        raise UserError(
            f"the file of data set {job.recipe.dataset} changed after the plan was made: run the command again"
        )
    if job.spec.get("data", {}).get("sha256", "") != content_of(job.recipe.dataset):
        raise UserError(f"the images of {job.recipe.dataset} changed after the plan was made: run the command again")


def save_weights(network: Network, path: Path, job: Job) -> None:
    """Save a network's state: parameters in half precision, or in float32 if they would overflow; buffers as they are.

    Buffers hold the running statistics of batch-norms: half precision would leave three digits of a variance of 1e-6,
    and none of a smaller one.
    """
    parameters = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    state = network.state_dict()
    halved = {name: _half(tensor) if name in parameters else tensor for name, tensor in state.items()}
    save_state(halved, path, job, network.wrapping)


def save_state(state: Mapping[str, Tensor], path: Path, job: Job, wrapping: Mapping[str, Any] | None = None) -> None:
    """Save tensors as they are, with the job's id, its network and how that is wrapped as metadata."""
    recipe = job.recipe
    about: dict[str, Any] = {"network": job.network, "width": recipe.width, "in_size": recipe.in_size, "run": job.id}
    if wrapping is not None:
        about["wrapping"] = dict(wrapping)
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    # One entry, since safetensors writes several in random order: equal weights would have different SHA-256.
    write_atomically(path, save(content, metadata={"about": canonical_json(about)}))


def load_weights(network: Network, path: Path, job: Job) -> str:
    """Load the weights of a job into a network and return the file's SHA-256.

    Raises:
        UserError: the file cannot be read, or holds the weights of another job.
    """
    state, sha = read_weights(path, job)
    network.load_state_dict(state)
    return sha


def read_weights(path: Path, job: Job) -> tuple[dict[str, Tensor], str]:
    """The tensors in a job's file, and the file's SHA-256.

    Raises:
        UserError: the file cannot be read, or holds the weights of another job.
    """
    advice = "remove it, and the run is trained again"
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
        content = path.read_bytes()
        state = load(content)
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"weights {path} cannot be read ({error}): {advice}") from error
    if about.get("run") != job.id:
        raise UserError(f"weights {path} are those of another run, not of {short_id(job.id)}: {advice}")
    return state, hashlib.sha256(content).hexdigest()


def _half(tensor: Tensor) -> Tensor:
    half = tensor.half()
    return half if bool(torch.isfinite(half).all()) else tensor
