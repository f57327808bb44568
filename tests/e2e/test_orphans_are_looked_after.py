"""Workers whose supervisor was killed are no children of the next one: what becomes of them the kernel tells only those
who ask in time. They are looked after as if they were its own.
"""
import os
import random
import signal
import time

import pytest

import harness

SOON_S = 4  # much less than ready_timeout, which helped before


def take_over(server):
    """Another supervisor, which is nobody's parent."""
    before = server.status()["supervisor"]["pid"]
    os.kill(before, signal.SIGKILL)
    harness.wait_until(lambda: (server.status() or {"supervisor": {"pid": before}})["supervisor"]["pid"] != before,
                       server.log)
    server.wait_serving()


def wait_soon(server, slot, pid):
    began = time.monotonic()
    server.wait_succeeded(slot, pid)
    assert time.monotonic() - began < SOON_S, server.log()


@pytest.fixture
def own_programs():
    server = harness.OwnPrograms(workers=2)
    (server.root / "index.html").write_bytes(b"page")
    server.start()
    server.wait_serving()
    yield server
    server.close()


def test_one_that_dies_while_a_restart_is_being_execed_is_succeeded(own_programs):
    """It was taken for hung for ever: its end had been seen by nobody."""
    server = own_programs
    take_over(server)
    victim = server.workers()[1]["pid"]
    program = server.directory / "bin" / "perdure"
    harness.replace_program(program, 'exec "$real" "$@"',
                            f'[ -z "$PERDURE_LEDGER" ] || kill -9 {victim}\nexec "$real" "$@"')
    with server.connect() as client:
        assert client.get("/").body == b"page"
        began = time.monotonic()
        done = server.verb("restart")
        assert done.returncode == 0 and time.monotonic() - began < SOON_S, done.stdout + done.stderr
        assert client.get("/").body == b"page"
    assert victim not in [w["pid"] for w in server.workers()]
    assert "hung" not in server.log()


def test_a_successor_that_dies_before_anybody_has_looked_is_succeeded(loaded_server):
    """What it had said, that it was ready, was not believed, because it was gone already."""
    server = loaded_server(workers=1)
    take_over(server)
    chance = random.Random(1)
    with harness.Judge(server.address, server.root, keepalive=4, close=4, idle=20):
        for _ in range(12):
            supervisor = server.supervisor_pid()
            known = set(harness.processes_of(server.directory, server.token))
            first = server.kill_worker(0)
            until = time.monotonic() + chance.random() * 0.002
            while time.monotonic() < until:
                pass
            os.kill(supervisor, signal.SIGSTOP)
            try:
                # Those of it that have come to be by now: a successor, or that and its keeper, or nobody.
                fresh = {pid: words for pid, words in harness.processes_of(server.directory, server.token).items()
                         if pid not in known and words.startswith("perdure: worker")}
                for pid in fresh:
                    harness.kill(pid, signal.SIGKILL)
                    harness.wait_until(lambda pid=pid: not harness.is_alive(pid), f"{pid} does not die")
            finally:
                os.kill(supervisor, signal.SIGCONT)
            wait_soon(server, 0, first)
