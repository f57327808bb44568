"""What lets calls fail on order is in the build `make faults` alone."""
import subprocess

import pytest

import faults
import harness

pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers have a malloc of their own")

PROGRAMS = ("perdure", "perdure-worker")


def holds(program):
    """What of the injector is in PROGRAM."""
    symbols = subprocess.run(["nm", str(program)], capture_output=True, text=True, check=True).stdout
    words = ["__wrap_", "share_plan"]
    return [word for word in words if word in symbols] + (["PERDURE_FAULTS"] * (b"PERDURE_FAULTS" in program.read_bytes()))


@pytest.mark.parametrize("name", PROGRAMS)
def test_other_builds_hold_nothing_of_it(name):
    for build in (harness.BUILD, harness.BUILD / "targets"):
        assert holds(build / name) == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_its_own_build_does(name):
    """Else this would look for the wrong thing."""
    assert "PERDURE_FAULTS" in holds(faults.BUILD / name)
    assert "__wrap_" in holds(faults.BUILD / name)
