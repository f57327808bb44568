"""The clock that people read may jump, and any call may be interrupted: nothing is lost, and nobody is late."""
import re
import time

import pytest

import faults
import harness

pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers have a malloc of their own")

DAY = 24 * 3600
YEAR = 365 * DAY


@pytest.fixture
def make_served(make_faulty_server):
    def make(**keys):
        server = make_faulty_server(**keys)
        harness.fill_corpus(server.root, 1 << 20)
        server.write_config(access_log=str(server.access_log))
        return server.start()

    return make


def judge_of(server):
    return harness.Judge(server.address, server.root, idle=16, slow=2, pipeline=1, keepalive=1, close=2)


# ---- the clock ----

@pytest.mark.parametrize("jump", [YEAR, -YEAR, 40 * YEAR, 3600], ids=["year", "year_back", "forty_years", "hour"])
def test_no_deadline_is_moved_by_a_jump_of_the_clock(make_served, jump):
    """Every key of patience is short enough that it would have passed, and long enough that it does not."""
    server = make_served(workers=2, idle_timeout="30s", head_timeout="30s", write_timeout="30s", hang_timeout="10s",
                         ready_timeout="10s")
    before = {worker["pid"] for worker in server.workers()}
    with judge_of(server), server.connect() as client:
        client.send("GET / HTTP/1.1\r\n")  # a head under way
        server.faults.jump(jump)
        harness.wait_until(lambda: server.requests_counted() > 500, server.log)
        assert {worker["pid"] for worker in server.workers()} == before
        assert server.reload(idle_timeout="31s").returncode == 0
        pid = server.kill_worker()
        server.wait_succeeded(0, pid)
        assert sum(worker["ended_by_timeout"] for worker in server.workers()) == 0
        client.send("Host: a\r\n\r\n")
        assert client.read().status in (403, 404)
    assert "hung" not in server.log() and "not ready" not in server.log()
    year = str(time.gmtime(time.time() + jump).tm_year)
    assert re.search(rf"^{year}-.* succeeded for reload", server.log(), re.MULTILINE), "the clock did not jump"


def test_a_deadline_passes_though_the_clock_stands_still(make_served):
    """The clock is moved back as fast as it runs."""
    server = make_served(workers=1, idle_timeout="300ms", head_timeout="300ms")
    with server.connect() as idle, server.connect() as slow:
        idle.get("/1.bin")
        slow.send("GET / HTTP/1.1\r\n")
        for step in range(1, 6):
            server.faults.jump(-step * DAY)
        assert idle.read_to_end() == b""
        assert b"408" in slow.read_to_end()


# ---- interruptions ----

@pytest.mark.parametrize("role", list(faults.ROLES))
@pytest.mark.parametrize("step", [3, 5])
def test_nobody_minds_an_interruption(make_served, role, step):
    """Every third, or fifth, of the calls that a signal may interrupt is: in service, at a succession, a reload, a
    restart and a take-over."""
    server = make_served(workers=2)
    with judge_of(server):
        rule = server.faults.fail(role, faults.INTERRUPTIBLE, "EINTR", times=0, step=step)
        pid = server.kill_worker()
        server.wait_succeeded(0, pid)
        assert server.reload(idle_timeout="31s").returncode == 0
        assert server.verb("restart").returncode == 0
        pid = server.supervisor_pid()
        harness.kill(pid, 9)
        harness.wait_until(lambda: (server.status() or {"supervisor": {"pid": pid}})["supervisor"]["pid"] != pid,
                           server.log)
        server.wait_serving()
        rule.wait_failed()
        assert server.successions() | {"hang": 0, "crash": 0} == server.successions()
    for words in ("are lost", "can't happen", "warning: worker", "not ready", "could not be written"):
        assert words not in server.log()


@pytest.mark.parametrize("role", ["supervisor", "worker"])
def test_an_interrupted_start_is_one(make_faulty_server, role):
    server = make_faulty_server(workers=1)
    rule = server.faults.fail(role, faults.INTERRUPTIBLE, "EINTR", times=0, step=3)
    server.start()
    assert server.get("/").status in (403, 404)
    assert rule.failed > 0
    rule.lift()
