"""A reload whose workers cannot live is put back on the last good configuration, without an operator.

Workers of the new generation are made to fault: as far as the supervisor can know, it is the new configuration that
they cannot live with.
"""
import contextlib
import os
import signal
import subprocess

import pytest

import harness

# No downloads: one is in hand most of the time, and a request that was in hand at two crashes is refused.
STORM = {"keepalive": 12, "close": 8, "idle": 50, "pipeline": 4, "trickle": 4}
CRASHES = 5  # of young workers; the last one is one too many (ROLL_CRASHES_MAX in supervisor/roll.h)


def end_young(server, slot, generation, times, end=harness.crash):
    """END(its pid) the worker of SLOT as soon as it serves in GENERATION, TIMES times."""
    killed = set()
    for _ in range(times):
        def ready():
            return next((w["pid"] for w in server.workers() if w["slot"] == slot and w["generation"] == generation
                         and w["state"] == "serving" and w["pid"] not in killed), 0)
        pid = harness.wait_until(ready, lambda: f"no worker {slot} of {generation}: {server.workers()} {server.log()}")
        killed.add(pid)
        assert end(pid)


def assert_put_back(server, reason):
    """Generation 1 serves again, and the status keeps saying what became of the other."""
    harness.wait_until(lambda: server.is_serving() and not server.status()["supervisor"]["rolling"], server.log)
    status = server.status()
    assert status["generation"] == status["good_generation"] == 1
    assert all(worker["generation"] == 1 for worker in status["workers"])
    assert status["last_result"]["exit_code"] == 1 and reason in status["last_result"]["text"]
    assert "generation 2 is given up, generation 1 serves on" in server.verb("status").stdout
    assert status["lost_connections"] == 0
    assert server.get("/1.bin")["X-New"] is None


@contextlib.contextmanager
def held_at(server, slot):
    """A roll cannot get beyond the worker of SLOT meanwhile: it is stopped, and does not read the order to retire."""
    pid = next(w["pid"] for w in server.workers() if w["slot"] == slot)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        harness.kill(pid, signal.SIGCONT)


def test_who_asked_is_told_why_and_clients_notice_nothing(loaded_server):
    server = loaded_server(workers=2)
    server.site["headers"] = ["X-New: yes"]
    with harness.Judge(server.address, server.root, **STORM):
        with held_at(server, 1):
            server.write_config()
            reload = subprocess.Popen(server.command("reload"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True, env=server.environment())
            end_young(server, 0, 2, CRASHES)
            harness.wait_until(lambda: "is given up" in server.log(), server.log)
        said = reload.communicate(timeout=harness.PATIENCE_S)[0]
        assert reload.returncode == 1
        assert said.startswith("refused: generation 2 is given up, generation 1 serves on: "), said
        assert "worker 0: signal 11 (SIGSEGV)" in said
        assert_put_back(server, "SIGSEGV")


def test_that_it_cannot_live_may_show_after_the_reload_was_accepted(loaded_server):
    server = loaded_server(workers=2)
    server.site["headers"] = ["X-New: yes"]
    later = harness.free_address()
    server.listeners.append(harness.host_port(later))
    with harness.Judge(server.address, server.root, **STORM):
        assert server.reload(idle_timeout="50s").returncode == 0
        assert server.get("/1.bin")["X-New"] == "yes"
        end_young(server, 0, 2, CRASHES - 1)
        server.wait_serving()
        assert server.status()["generation"] == 2
        end_young(server, 1, 2, 1, lambda pid: harness.crash(pid, signal.SIGILL))  # they are counted together
        assert_put_back(server, "worker 1: signal 4 (SIGILL)")
    assert "generation 2 is given up after its roll, back to generation 1" in server.log()
    with pytest.raises(ConnectionRefusedError):
        harness.Client(later)  # only the other generation listened there


def test_the_next_reload_is_a_new_attempt(loaded_server):
    server = loaded_server(workers=1)
    server.site["headers"] = ["X-New: yes"]
    assert server.reload(idle_timeout="50s").returncode == 0
    end_young(server, 0, 2, CRASHES)
    assert_put_back(server, "SIGSEGV")
    assert server.verb("reload").returncode == 0
    assert server.get("/1.bin")["X-New"] == "yes"
    assert server.status()["generation"] == 3
    assert server.status()["last_result"]["exit_code"] == 0


def test_kills_from_outside_are_not_held_against_it(loaded_server):
    server = loaded_server(workers=1)
    server.site["headers"] = ["X-New: yes"]
    assert server.reload(idle_timeout="50s").returncode == 0
    end_young(server, 0, 2, 2 * CRASHES, lambda pid: harness.kill(pid, signal.SIGKILL))
    server.wait_serving()
    assert server.status()["generation"] == 2
    assert server.get("/1.bin")["X-New"] == "yes"


@pytest.mark.skipif(not harness.IS_ROOT, reason="only then are workers other users than the supervisor")
def test_a_generation_that_does_not_get_ready_is_put_back_at_once(loaded_server):
    server = loaded_server(workers=2)
    closed = server.directory / "closed"
    closed.mkdir(mode=0o700)
    good, server.root = server.root, closed
    with harness.Judge(server.address, good, **STORM):
        done = server.reload(idle_timeout="50s")
        assert done.returncode == 1
        assert f"root {closed}: Permission denied" in done.stdout + done.stderr
        assert_put_back(server, f"root {closed}: Permission denied")
    assert server.log().count("died before it was ready") == 1
