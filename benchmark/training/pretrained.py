"""Jobs that take published weights as a teacher: load the file into a network, test it and save its weights."""

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
from models.published_weights import LoadedPart, PublishedError, download, load_published, read_published, sha256


def measure_pretrained(jobs: Sequence[Pretrained], context: TrainContext) -> None:
    """Load and test published weights; save weights and record of every job.

    Raises:
        UserError: the file cannot be downloaded or read, has changed since planning, or does not fit the network.
    """
    for job in jobs:
        set_matmul_precision(job.recipe.precision)
        with context.guarded(job, context.fail):
            _measure(job, context)


def fill_network(network: Network, job: Pretrained, path: Path) -> LoadedPart:
    """Load a file's weights into a network.

    Raises:
        UserError: the file cannot be read, has changed since planning, or does not fit the network.
    """
    try:
        state = _state(job, path)
    except (PublishedError, OSError) as error:
        raise UserError(f"teacher {job.network}: {error}") from error
    try:
        return load_published(network, state, job.part)
    except PublishedError as error:
        raise UserError(f"teacher {job.network} from {path}: {error}{_width_hint(job)}") from error


def _state(job: Pretrained, path: Path) -> dict[str, Tensor]:
    if not sha256(path).startswith(job.weights):
        raise PublishedError(
            f"{path} has changed since the plan was made: its SHA-256 does not begin with {job.weights}"
        )
    return read_published(path)


def _measure(job: Pretrained, context: TrainContext) -> None:
    recipe = job.recipe
    network = new_network(job, context.source.device)
    path = _file(job, context.store.checkpoints.parent / "downloads")
    loaded = fill_network(network, job, path)
    save_state(network.state_dict(), context.store.weights_path(job), job)
    last = evaluate(network, context.source.test_batches(recipe), recipe.precision, recipe.top_k)
    metrics = {"params": sum(parameter.numel() for parameter in network.parameters()), "last": last}
    source = {"file": path.name} | ({"network": loaded.part} if loaded.part else {})
    context.write_record(job, DONE, f"top-1 {last['top1']:.2f}", metrics=metrics, given=source)


def _file(job: Pretrained, folder: Path) -> Path:
    try:
        return job.source if isinstance(job.source, Path) else download(job.source, folder)
    except PublishedError as error:
        raise UserError(f"teacher {job.network}: {error}") from error


def _width_hint(job: Pretrained) -> str:
    """A hint for networks that the profile narrows, since published weights are of full width."""
    width = job.recipe.width
    return "" if width == 1 else f"; at this scale networks have {width:g} of their width: see --profile and --set"
