"""Weights that somebody else trained: read safely, mapped by name, measured, and left as a teacher for others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from benchmark.errors import UserError
from benchmark.runs.job import Given
from benchmark.runs.store import DONE
from benchmark.training.context import Setting
from benchmark.training.evaluation import evaluate
from benchmark.training.precision import set_matmul_precision
from benchmark.training.weights import new_network, save_state
from models import Network
from models.published import PublishedError, Taken, download, load_published, read_published, sha256


def measure_given(jobs: Sequence[Given], setting: Setting) -> None:
    """Take over given weights and measure them; each job leaves a record and the weights, as they are.

    Raises:
        UserError: the weights cannot be had, are not the ones that were asked for, or do not fit the network.
    """
    for job in jobs:
        set_matmul_precision(job.recipe.precision)
        with setting.guarded(job, setting.fail):
            _measure(job, setting)


def fill_given(network: Network, job: Given, path: Path) -> Taken:
    """Fill a network with a file's weights.

    Raises:
        UserError: the file cannot be read, is not the one that was planned with, or does not fit the network.
    """
    try:
        state = _state(job, path)
    except (PublishedError, OSError) as error:
        raise UserError(f"teacher {job.network}: {error}") from error
    try:
        return load_published(network, state, job.part)
    except PublishedError as error:
        raise UserError(f"teacher {job.network} from {path}: {error}{_scale(job)}") from error


def _state(job: Given, path: Path) -> dict[str, Tensor]:
    if not sha256(path).startswith(job.weights):
        raise PublishedError(
            f"{path} is not the file any more that it was: its SHA-256 does not begin with {job.weights}"
        )
    return read_published(path)


def _measure(job: Given, setting: Setting) -> None:
    recipe = job.recipe
    network = new_network(job, setting.source.device)
    path = _file(job, setting.store.checkpoints.parent / "downloads")
    taken = fill_given(network, job, path)
    save_state(network.state_dict(), setting.store.weights_path(job), job)
    last = evaluate(network, setting.source.test_batches(recipe), recipe.precision, recipe.top_k)
    metrics = {"params": sum(parameter.numel() for parameter in network.parameters()), "last": last}
    source = {"file": path.name} | ({"network": taken.part} if taken.part else {})
    setting.leave(job, DONE, f"top-1 {last['top1']:.2f}", metrics=metrics, given=source)


def _file(job: Given, folder: Path) -> Path:
    try:
        return job.source if isinstance(job.source, Path) else download(job.source, folder)
    except PublishedError as error:
        raise UserError(f"teacher {job.network}: {error}") from error


def _scale(job: Given) -> str:
    """What to consider where the network is narrower than the one that people publish weights of."""
    width = job.recipe.width
    return "" if width == 1 else f"; at this scale networks have {width:g} of their width: see --profile and --set"
