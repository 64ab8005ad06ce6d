"""What others take of the machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.bench import load
from benchmark.bench.load import Ticks


def test_others_took_what_was_busy_and_not_ours():
    assert load.others(Ticks(1000, 400, 100), Ticks(1200, 560, 200)) == pytest.approx(0.3)
    assert load.others(Ticks(1000, 400, 100), Ticks(1200, 490, 200)) == 0.0


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="reads /proc")
def test_what_a_child_does_is_our_own():
    before = load.ticks()
    busy = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"
    child = subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    after = load.ticks()
    child.communicate(b"\n")
    hundredths = os.sysconf("SC_CLK_TCK") / 100
    assert after.own - before.own >= 45 * hundredths
    assert after.busy >= before.busy
