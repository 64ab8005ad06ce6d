"""Weights that somebody else trained: read safely, mapped by name, measured, and left as a teacher for others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import UserError
from benchmark.jobs import Given
from benchmark.store import DONE
from benchmark.training.evaluation import evaluate
from benchmark.training.precision import set_matmul_precision
from benchmark.training.setting import Setting
from benchmark.training.weights import new_network, save_state
from models.published import PublishedError, download, load_published, read_published, sha256


def measure_given(jobs: Sequence[Given], setting: Setting) -> None:
    """Take over given weights and measure them; each job leaves a record and the weights, as they are.

    Raises:
        UserError: the weights cannot be had, are not the ones that were asked for, or do not fit the network.
    """
    for job in jobs:
        with setting.guarded(job, setting.fail):
            _measure(job, setting)


def _measure(job: Given, setting: Setting) -> None:
    recipe = job.recipe
    set_matmul_precision(recipe.precision)
    network = new_network(job, setting.source.device)
    try:
        path = _file(job, setting.store.checkpoints.parent / "downloads")
        state = read_published(path)
    except (PublishedError, OSError) as error:
        raise UserError(f"teacher {job.network}: {error}") from error
    try:
        load_published(network, state)
    except PublishedError as error:
        raise UserError(f"teacher {job.network} from {path}: {error}") from error
    save_state(network.state_dict(), setting.store.weights_path(job), job)
    last = evaluate(network, setting.source.test_batches(recipe), recipe.precision, recipe.top_k)
    metrics = {"params": sum(parameter.numel() for parameter in network.parameters()), "last": last}
    setting.leave(job, DONE, f"top-1 {last['top1']:.2f}", metrics=metrics, given={"file": path.name})


def _file(job: Given, folder: Path) -> Path:
    path = job.source if isinstance(job.source, Path) else download(job.source, folder)
    if not sha256(path).startswith(job.weights):
        raise UserError(f"{path} is not the file any more that it was: its SHA-256 does not begin with {job.weights}")
    return path
