"""Measurements of trained networks, against what follows from their saved weights."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import log_softmax
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE
from sklearn.metrics import normalized_mutual_info_score
from threadpoolctl import threadpool_limits
from torch.nn import functional

from benchmark.config.teachers import TeacherChoice
from benchmark.errors import UserError
from benchmark.training import analyses
from benchmark.training.failures import StoppedError
from benchmark.training.weights import new_network

TEACHER = TeacherChoice("C100", "wrn-16-2")


@pytest.fixture
def seen(source):
    """Logits, embedding, map and labels of a network on the test images, from the file of its weights."""

    def forward(lab, job):
        network = new_network(job, source.device).eval()
        network.load_state_dict(load_file(lab.store.weights(job)))
        found = []
        for images, labels in source.test_batches(job.recipe):
            with torch.no_grad():
                resized = functional.interpolate(images, size=(network.in_size, network.in_size), mode="bilinear")
                features = network(resized)
            found.append((features.logits.double(), features.embedding.double(), features.map.double(), labels))
        return [torch.cat(parts).numpy() for parts in zip(*found, strict=True)]

    return forward


def _embedded(lab, job, maps):
    """The embedding after the connector of `srrl`, from the file of what was trained beside the network."""
    state = load_file(lab.store.terms_path(job))
    prefix = "terms.srrl.connectors.last."
    weight, scale, shift, mean, variance = (
        state[prefix + name].double().numpy()
        for name in ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var")
    )
    mixed = np.einsum("oi,nihw->nohw", weight[:, :, 0, 0], maps)
    columns = (slice(None), None, None)
    normed = (mixed - mean[columns]) / np.sqrt(variance + 1e-5)[columns] * scale[columns] + shift[columns]
    return np.maximum(normed, 0).mean(axis=(2, 3))


def test_similarity(trained, resolver, cohort_jobs, teacher_job, seen):
    jobs = [resolver.analysis("similarity", cohort_jobs[name], TEACHER) for name in ("kd", "srrl", "kd+srrl")]
    trained.train(*jobs)
    for job in jobs:
        (mine, _, _, labels), (theirs, *_) = seen(trained, job.subject), seen(trained, teacher_job)
        log_q, log_p = log_softmax(mine, axis=1), log_softmax(theirs, axis=1)
        expected = {
            "kl_teacher": (np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean(),
            "kl_student": (np.exp(log_q) * (log_q - log_p)).sum(axis=1).mean(),
            "cross_entropy": -log_q[np.arange(len(labels)), labels].mean(),
        }
        record = trained.record(job)
        assert (record["kind"], record["status"]) == ("analyse", "done")
        assert record["metrics"] == {"last": pytest.approx(expected, rel=1e-4)}
        assert record["spec"]["subject"] == {"network": job.network, "id": job.subject.id}
        assert record["provenance"]["rests_on"] == {each.id: trained.sha(each) for each in (job.subject, teacher_job)}
        assert trained.store.settled(job) == "done"
        loss = trained.record(job.subject)["metrics"]["last"]["loss"]
        assert record["metrics"]["last"]["cross_entropy"] == pytest.approx(loss, rel=1e-5)
    assert [event["event"] for event in trained.events] == ["done"] * 3


def test_distance_with_and_without_a_connector(trained, resolver, cohort_jobs, teacher_job, seen):
    jobs = {name: resolver.analysis("distance", cohort_jobs[name], TEACHER) for name in ("kd", "srrl", "kd+srrl", "at")}
    trained.train(*jobs.values())
    target = seen(trained, teacher_job)[1]
    for name, job in jobs.items():
        _, embedding, maps, _ = seen(trained, job.subject)
        units = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (embedding, target)]
        expected = {
            "l2": np.square(embedding - target).sum(axis=1).mean(),
            "l2_normalised": np.square(units[0] - units[1]).sum(axis=1).mean(),
        }
        if "srrl" in name:
            connected = _embedded(trained, cohort_jobs[name], maps)
            expected["l2_connected"] = np.square(connected - target).sum(axis=1).mean()
        assert trained.record(job)["metrics"]["last"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["srrl", "teacher"])
def test_clusters(name, trained, resolver, cohort_jobs, teacher_job, seen):
    job = resolver.analysis("clusters", cohort_jobs.get(name, teacher_job), None)
    trained.train(job)
    logits, embedding, _, labels = seen(trained, job.subject)
    with threadpool_limits(1):
        found = KMeans(10, init="k-means++", n_init=10, random_state=0).fit(embedding).labels_
    metrics = trained.record(job)["metrics"]["last"]
    assert metrics["nmi"] == pytest.approx(100 * normalized_mutual_info_score(labels, found), abs=1e-6)
    predicted = 100 * normalized_mutual_info_score(labels, logits.argmax(axis=1))
    assert metrics["nmi_predicted"] == pytest.approx(predicted, abs=1e-6)


def test_picture(lab, resolver, make_job, leave_network, seen):
    subject = make_job("student", holdout=90)  # of as many images, for the time that it takes
    leave_network(subject)
    job = resolver.analysis("tsne", subject, None)
    lab.train(job)
    _, embedding, _, labels = seen(lab, subject)
    picture = TSNE(perplexity=(90 - 1) / 3, init="pca", random_state=0)
    with threadpool_limits(1):
        points = picture.fit_transform(embedding)
    record = lab.record(job)
    assert record["points"]["label"] == labels.tolist()
    assert record["metrics"]["last"]["kl_divergence"] == pytest.approx(picture.kl_divergence_, rel=1e-4)
    np.testing.assert_allclose(record["points"]["x"], points[:, 0], atol=0.02)
    np.testing.assert_allclose(record["points"]["y"], points[:, 1], atol=0.02)


def test_every_network_runs_once_and_stays_as_it_was(trained, resolver, cohort_jobs, teacher_job, monkeypatch):
    files = [trained.store.weights(job) for job in (teacher_job, cohort_jobs["srrl"])]
    files += [trained.store.terms_path(cohort_jobs["srrl"]), trained.store.record_path(cohort_jobs["srrl"])]
    before = [path.read_bytes() for path in files]
    runs, outputs = [], analyses.outputs

    def count(network, *rest):
        runs.append(network.name)
        return outputs(network, *rest)

    monkeypatch.setattr(analyses, "outputs", count)
    jobs = [resolver.analysis("similarity", cohort_jobs[name], TEACHER) for name in ("kd", "srrl")]
    trained.train(*jobs, resolver.analysis("distance", cohort_jobs["srrl"], TEACHER))
    assert sorted(runs) == ["wrn-10-2", "wrn-10-2", "wrn-16-2"]
    assert [path.read_bytes() for path in files] == before


def test_failing_measure_ends_alone(trained, resolver, cohort_jobs, monkeypatch):
    outputs = analyses.outputs

    def break_one(network, batches, project):
        if project is None and network.name == "wrn-10-2":
            raise LookupError("no such map")
        return outputs(network, batches, project)

    monkeypatch.setattr(analyses, "outputs", break_one)
    bad, good = (resolver.analysis("distance", cohort_jobs[name], TEACHER) for name in ("kd", "srrl"))
    trained.train(bad, good)
    assert trained.record(bad)["failure"] == {"reason": "LookupError: no such map"}
    assert trained.record(good)["status"] == "done"


@pytest.mark.parametrize(
    ("metrics", "status", "reason"),
    [
        ({}, "not_applicable", "distance finds nothing to measure between wrn-10-2 and wrn-16-2"),
        ({"l2": float("nan")}, "failed", "NaN is no number"),
    ],
)
def test_no_result_and_no_number_are_no_metrics(metrics, status, reason, trained, resolver, cohort_jobs, monkeypatch):
    monkeypatch.setattr("benchmark.analysis.distance.measure", lambda *_: {"metrics": metrics})
    job = resolver.analysis("distance", cohort_jobs["kd"], TEACHER)
    trained.train(job)
    assert trained.store.settled(job) == status
    assert reason in trained.store.read(job).reason


def test_missing_weights_are_the_users_error(lab, resolver, cohort_jobs):
    with pytest.raises(UserError, match=r"the weights of wrn-16-2:wrn-10-2 kd seed 0 \(.*\) are gone"):
        lab.train(resolver.analysis("similarity", cohort_jobs["kd"], TEACHER))


def test_analysis_stops_when_told(trained, resolver, cohort_jobs, stop_after):
    jobs = [resolver.analysis("similarity", cohort_jobs[name], TEACHER) for name in ("kd", "srrl")]
    with pytest.raises(StoppedError):
        trained.train(*jobs, stopped=stop_after(1))
    assert [trained.store.record_path(job).exists() for job in jobs] == [True, False]
