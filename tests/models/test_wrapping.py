"""What can be built around a network again, and what is refused."""

import pytest

import models
from models.reused_classifier import ReusedClassifier

DESCRIPTION = {
    "kind": "reused-classifier",
    "tap": "feat",
    "inputs": 16,
    "middle": 2,
    "outputs": 3,
    "size": [4, 4],
    "bias": True,
}


def test_a_plain_network_stays_plain(build):
    network = build("resnet8-A")
    assert network.wrapping is None
    assert models.rewrap(network, network.wrapping) is network


def test_a_description_is_built_around_the_network_and_not_changed(build):
    network, description = build("resnet8-A"), dict(DESCRIPTION)
    again = models.rewrap(network, description)
    assert isinstance(again, ReusedClassifier)
    assert again.student is network
    assert again.wrapping == description == DESCRIPTION


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"kind": "sandwich"}, "resnet8-A is wrapped as 'sandwich', but the known kinds are reused-classifier"),
        ({}, "resnet8-A is wrapped as 'None'"),
        ({"kind": "reused-classifier"}, "resnet8-A cannot be wrapped as 'reused-classifier': .*missing"),
        (DESCRIPTION | {"depth": 3}, "resnet8-A cannot be wrapped as 'reused-classifier': .*depth"),
        (DESCRIPTION | {"tap": "end"}, "tap must be among feat, map"),
        (DESCRIPTION | {"size": 4}, "resnet8-A cannot be wrapped as 'reused-classifier'"),
        (DESCRIPTION | {"outputs": "3"}, "resnet8-A cannot be wrapped as 'reused-classifier'"),
    ],
)
def test_what_is_no_description_is_refused(description, message, build):
    with pytest.raises(ValueError, match=message):
        models.rewrap(build("resnet8-A"), description)
