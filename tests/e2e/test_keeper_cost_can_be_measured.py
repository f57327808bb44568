"""tests/bench/keeper_cost still measures what a keeper costs: it once found no worker without one, and gave up."""
import os
import shutil
import subprocess

import pytest

import harness


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
@pytest.mark.skipif(not {0, 1} <= os.sched_getaffinity(0), reason="needs processors 0 and 1")
def test_with_a_keeper_and_without():
    """Two pairs say nothing about the cost, so no limit is asked for."""
    bench = harness.REPOSITORY / "tests/bench/keeper_cost"
    done = subprocess.run([bench, "--pairs=2", "--limit=100"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 pairs: median with the keeper" in done.stdout
