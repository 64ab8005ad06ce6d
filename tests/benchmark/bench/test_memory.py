"""Peak memory."""

import subprocess
import sys

# In a process of its own: other tests of this process may have had a higher peak.
PEAKS = """
import numpy as np, torch
from benchmark.bench import memory

def peak():
    return memory.peaks(torch.device("cpu"))["memory"]

before = peak()
held = np.ones(2**25)
during = peak()
del held
memory.release()
print(before, during, peak())
"""


def test_the_peak_keeps_what_was_given_back(pytestconfig):
    done = subprocess.run(
        [sys.executable, "-c", PEAKS], cwd=pytestconfig.rootpath, capture_output=True, text=True, check=True
    )
    before, during, after = map(int, done.stdout.split())
    assert during > before + 0.5 * 8 * 2**25
    assert after > before + 0.5 * (during - before)
