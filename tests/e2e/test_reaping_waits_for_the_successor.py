"""The dead are reaped when their successors stand: it may take the kernel milliseconds, and clients wait meanwhile."""
import contextlib
import os
import re
import signal
import subprocess

import pytest

import harness


@contextlib.contextmanager
def traced(pid, said):
    """What PID reaps, sends and writes while this lasts is appended to the list SAID, a line for each call."""
    command = ["strace", "-s", "200", "-e", "signal=none", "-e", "trace=wait4,sendmsg,write", "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        first = tracer.stderr.readline()
        if "Operation not permitted" in first:
            pytest.skip(f"who runs the tests may not trace: {first}")
        assert "attached" in first, first
        yield
        tracer.send_signal(signal.SIGINT)
        said.extend(tracer.communicate(timeout=harness.PATIENCE_S)[1].splitlines())
    finally:
        tracer.kill()
        tracer.wait()


def place_of(pattern, lines):
    """The number of the first line with PATTERN."""
    found = [number for number, line in enumerate(lines) if re.search(pattern, line)]
    assert found, (pattern, lines)
    return found[0]


def is_reaped(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_reaped(pids):
    harness.wait_until(lambda: all(map(is_reaped, pids)), f"{pids} are not reaped")


def test_a_dead_worker_is_reaped_when_its_successor_stands(loaded_server):
    server = loaded_server(workers=1)
    lines = []
    with traced(server.supervisor_pid(), lines):
        dead = server.kill_worker(0)
        server.wait_succeeded(0, dead)
        wait_reaped([dead])
    assert place_of(rf"wait4\({dead},", lines) > place_of(r"write.*succeeded after kill -9", lines)


def test_a_dead_worker_that_is_not_reaped_yet_hides_no_other(loaded_server):
    """waitid(2) gives the first of the dead again and again."""
    server = loaded_server(workers=2)
    workers = [worker["pid"] for worker in server.workers()]
    lines = []
    supervisor = server.supervisor_pid()
    with traced(supervisor, lines):
        os.kill(supervisor, signal.SIGSTOP)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        os.kill(supervisor, signal.SIGCONT)
        for slot, pid in enumerate(workers):
            server.wait_succeeded(slot, pid)
        wait_reaped(workers)
    orders = [number for number, line in enumerate(lines) if "sendmsg(" in line and "SCM_RIGHTS" in line]
    assert len(orders) >= 2, lines
    assert orders[1] < place_of(r"write.*succeeded after kill -9", lines)
