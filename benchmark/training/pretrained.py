"""Weights that somebody else trained: read safely, mapped by name, measured, and left as a teacher for others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from benchmark.errors import UserError
from benchmark.runs.job import Pretrained
from benchmark.runs.store import DONE
from benchmark.training.context import TrainContext
from benchmark.training.evaluation import evaluate
from benchmark.training.precision import set_matmul_precision
from benchmark.training.weights import new_network, save_state
from models import Network
from models.published import PublishedError, Taken, download, load_published, read_published, sha256


def measure_given(jobs: Sequence[Pretrained], context: TrainContext) -> None:
    """Take over given weights and measure them; each job leaves a record and the weights, as they are.

    Raises:
        UserError: the weights cannot be had, are not the ones that were asked for, or do not fit the network.
    """
    for job in jobs:
        set_matmul_precision(job.recipe.precision)
        with context.guarded(job, context.fail):
            _measure(job, context)


def fill_given(network: Network, job: Pretrained, path: Path) -> Taken:
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


def _state(job: Pretrained, path: Path) -> dict[str, Tensor]:
    if not sha256(path).startswith(job.weights):
        raise PublishedError(
            f"{path} is not the file any more that it was: its SHA-256 does not begin with {job.weights}"
        )
    return read_published(path)


def _measure(job: Pretrained, context: TrainContext) -> None:
    recipe = job.recipe
    network = new_network(job, context.source.device)
    path = _file(job, context.store.checkpoints.parent / "downloads")
    taken = fill_given(network, job, path)
    save_state(network.state_dict(), context.store.weights_path(job), job)
    last = evaluate(network, context.source.test_batches(recipe), recipe.precision, recipe.top_k)
    metrics = {"params": sum(parameter.numel() for parameter in network.parameters()), "last": last}
    source = {"file": path.name} | ({"network": taken.part} if taken.part else {})
    context.write_record(job, DONE, f"top-1 {last['top1']:.2f}", metrics=metrics, given=source)


def _file(job: Pretrained, folder: Path) -> Path:
    try:
        return job.source if isinstance(job.source, Path) else download(job.source, folder)
    except PublishedError as error:
        raise UserError(f"teacher {job.network}: {error}") from error


def _scale(job: Pretrained) -> str:
    """What to consider where the network is narrower than the one that people publish weights of."""
    width = job.recipe.width
    return "" if width == 1 else f"; at this scale networks have {width:g} of their width: see --profile and --set"
