"""Reports on files given as teachers; faults themselves are tested with `pretrained`, which finds them."""

import hashlib
from dataclasses import replace

import pytest
import torch

from benchmark.config.teachers import TeacherChoice, Weights
from benchmark.planning import teacher_files
from benchmark.planning.check_process import Report
from benchmark.training.teacher_check import check
from models import published_weights

TEACHER = TeacherChoice("C100", "wrn-16-2")


@pytest.fixture
def state(teacher_job, leave_network):
    return leave_network(teacher_job).state_dict()


@pytest.fixture
def wanted(tmp_path, resolver):
    """Saves a file and gives the job that wants it."""

    def make(content, part=""):
        path = tmp_path / "latest"
        torch.save(content, path)
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        return replace(resolver, given={TEACHER.network: Weights(sha, path, part)}).teacher(TEACHER)

    return make


def named(prefix, state):
    return {f"{prefix}.{name}": tensor for name, tensor in state.items()}


def test_both_sides_know_the_same_networks():
    assert teacher_files.PARTS == published_weights.NETWORKS


def test_a_file_that_fits_passes_in_silence(wanted, state):
    assert check(wanted({"model": named("module.student", state)})) == Report()


def test_what_was_chosen_for_the_user_is_told(wanted, state):
    two = {**named("student", {"weight": torch.zeros(1)}), **named("teacher", state)}
    told = "its file holds a student and a teacher: the teacher is taken, as the student does not fit"
    assert check(wanted({"model": two})) == Report(remarks=(told,))
    assert check(wanted({"model": two}, "teacher")) == Report()


def test_that_weights_are_rounded_is_told(wanted, state):
    doubled = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    [told] = check(wanted(doubled)).remarks
    assert told == "its file has float64 weights, which are rounded to the network's precision"


def test_a_narrowed_network_is_told_of(wanted, state):
    fault = check(wanted({name: tensor for name, tensor in state.items() if name != "conv1.weight"})).fault
    scale = "at this scale networks have 0.25 of their width: see --profile and --set"
    assert fault.endswith(f"conv1.weight is missing; {scale}")
