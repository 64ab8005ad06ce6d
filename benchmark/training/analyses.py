"""Analyses of trained networks: one forward pass over the test images each, whose outputs go to the measures."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark import analysis
from benchmark.analysis.outputs import Outputs
from benchmark.data import describe
from benchmark.runs.job import Job, Run
from benchmark.runs.measurements import Analysis
from benchmark.runs.store import DONE
from benchmark.training.context import TrainContext
from benchmark.training.evaluation import outputs
from benchmark.training.loss import ObjectiveLoss
from benchmark.training.pairs import synthetic_pair
from benchmark.training.precision import set_matmul_precision
from benchmark.training.randomness import seeded
from benchmark.training.trained_network import trained_network
from benchmark.training.weights import load_weights, new_network, read_weights
from methods import NotApplicableError


def analyse(jobs: Sequence[Analysis], context: TrainContext) -> None:
    """Run analyses that share networks, and write their records.

    Raises:
        StoppedError: the user asked to stop.
        UserError: data or weights are missing.
    """
    set_matmul_precision("fp32")
    known, weights = dict[Job, Outputs](), dict[str, str]()
    for job in jobs:
        with context.guarded(job, context.fail):
            context.check_stopped()
            for network in job.needs:
                if network not in known:
                    known[network], weights[network.id] = _outputs_of(network, job, context)
            teacher = known[job.teacher] if job.teacher else None
            classes = describe(job.recipe.dataset).num_classes
            parts = analysis.load(job.measure)(known[job.subject], teacher, classes)
            values = parts.pop("metrics")
            if not (values or parts):
                raise NotApplicableError(f"{job.measure} finds nothing to measure between {_networks(job)}")
            message = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            rests_on = {network.id: weights[network.id] for network in job.needs}
            context.write_record(job, DONE, message, rests_on=rests_on, metrics={"last": values}, **parts)


def _networks(job: Analysis) -> str:
    return " and ".join(each.network for each in job.needs)


def _outputs_of(job: Job, analysis_job: Analysis, context: TrainContext) -> tuple[Outputs, str]:
    """The outputs of a job's network on the test images, and the SHA-256 of its weights."""
    network = trained_network(job, context.source.device)
    sha = load_weights(network, context.weights(job), job)
    loss = _projecting_loss(job, context)
    with seeded("analysis", job.seed):
        return outputs(network, context.source.test_batches(analysis_job.recipe), loss.project if loss else None), sha


def _projecting_loss(job: Job, context: TrainContext) -> ObjectiveLoss | None:
    """The run's trained loss modules if they project the student's features to the teacher's, else None."""
    path = context.store.trusted_terms(job)
    if not isinstance(job, Run) or job.teacher is None or path is None:
        return None
    student, teacher = new_network(job, context.source.device), trained_network(job.teacher, context.source.device)
    pair = synthetic_pair(job, student, teacher)  # what the modules take from data is loaded
    loss = ObjectiveLoss(job.objective, pair, job.seed).to(context.source.device).eval()
    state, _ = read_weights(path, job)
    loss.load_state_dict(state)
    return loss
