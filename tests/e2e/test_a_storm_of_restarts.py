"""A short run of scripts/storm: restarts, deaths of the supervisor and rollbacks, mixed with deaths of workers."""
import pathlib
import re
import subprocess

STORM = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "storm"


def test_a_storm_of_restarts_is_not_noticed():
    done = subprocess.run([STORM, "--restarts=6", "--kills=12", "--rollbacks=5", "--connections=200"], text=True,
                          capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 restarts" in done.stdout and "12 kills of the supervisor" in done.stdout
    assert int(re.search(r"([\d,]+) responses", done.stdout)[1].replace(",", "")) > 1000
    assert done.stdout.endswith("trouble: 0\n")
