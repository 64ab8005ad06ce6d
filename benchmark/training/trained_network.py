"""The network whose weights a finished job leaves."""

from __future__ import annotations

import torch

import methods
from benchmark.runs.job import Job, Run
from benchmark.training.loss import ObjectiveLoss, wraps
from benchmark.training.pairs import synthetic_pair
from benchmark.training.weights import new_network, on_device
from models import Network


def trained_network(job: Job, device: torch.device) -> Network:
    """A network of the form that a job leaves, with initial weights: where a method wraps the student, the whole of it.

    Raises:
        UserError: as `new_network`.
    """
    network = new_network(job, device)
    if not isinstance(job, Run) or not any(wraps(methods.load(term.name)) for term in job.objective.terms):
        return network
    teacher = trained_network(job.teacher, device) if job.teacher else None
    loss = ObjectiveLoss(job.objective, synthetic_pair(job, network, teacher), job.seed)
    return on_device(loss.wrap(network), device)
