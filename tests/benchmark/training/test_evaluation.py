import numpy as np
import pytest
import torch
from torch import nn

from benchmark.training.evaluation import evaluate
from models import Features


class _Lookup(nn.Module):
    """Gives the logits that the first pixel of each image points to, and is wrong in train mode."""

    in_size = 8

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, images):
        logits = self.logits[images[:, 0, 0, 0].long()]
        return Features(-logits if self.training else logits, logits, images, (), ())


def _batches(count, size, targets):
    images = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(-1, 3, 8, 8)
    return zip(images.split(size), targets.split(size), strict=True)


@pytest.mark.parametrize(("size", "top_k"), [(7, 5), (50, 5), (7, 2)])
def test_equals_numpy(size, top_k):
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(50, 10, generator=generator), torch.randint(10, (50,), generator=generator)
    measured = evaluate(_Lookup(logits).train(), _batches(50, size, targets), "fp32", top_k)
    scores, labels = logits.double().numpy(), targets.numpy()
    ranks = (scores > scores[np.arange(50), labels][:, None]).sum(axis=1)
    loss = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(50), labels]
    expected = {"top1": 100 * (ranks < 1).mean(), "topk": 100 * (ranks < top_k).mean(), "loss": loss.mean()}
    assert measured == pytest.approx(expected, rel=1e-12)


def test_leaves_the_mode_as_it_was():
    network = _Lookup(torch.zeros(4, 3))
    for mode in (True, False):
        evaluate(network.train(mode), _batches(4, 4, torch.zeros(4, dtype=torch.int64)), "fp32", 5)
        assert network.training is mode
