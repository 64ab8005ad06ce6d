"""Peak memory."""

import numpy as np
import torch

from benchmark.bench import memory


def test_the_peak_keeps_what_was_given_back():
    before = memory.peaks(torch.device("cpu"))["memory"]
    held = np.ones(2**24)
    during = memory.peaks(torch.device("cpu"))["memory"]
    del held
    memory.release()
    after = memory.peaks(torch.device("cpu"))["memory"]
    assert during > before
    assert after > before + 0.5 * (during - before)
