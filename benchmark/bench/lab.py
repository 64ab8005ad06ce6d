"""What the measured runs need of others: a teacher and first stages, left in a folder without any training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from benchmark.bench.cohort import context
from benchmark.bench.madeup import MadeUpSource
from benchmark.runs.job import Job, Run
from benchmark.runs.store import Store
from benchmark.training.cohort import CohortTraining
from benchmark.training.weights import new_network, save_weights

_CALIBRATION = 64


def leave_needs(runs: Sequence[Run], store: Store) -> None:
    """Leave the initial weights of the runs' teacher and first stages as if they were trained."""
    source = MadeUpSource(torch.device("cpu"), None, store.checkpoints)
    for teacher in {run.teacher for run in runs if run.teacher is not None}:
        _leave_teacher(teacher, store, source)
    stages = list({stage for run in runs for stage in run.stages})
    if stages:
        for member in CohortTraining(stages, context(store, source)).members:
            member.save_weights(store)


def _leave_teacher(job: Job, store: Store, source: MadeUpSource) -> None:
    """With batch-norm statistics of some images, since the initial ones let deep networks overflow."""
    network = new_network(job, source.device).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of what was seen
    images, _ = next(iter(source.test_batches(job.recipe)))
    with torch.no_grad():
        network(images[:_CALIBRATION])
    save_weights(network, store.weights_path(job), job)
