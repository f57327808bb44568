"""Descriptors and memory that have run out are waited for: no turning, one warning, and it goes on by itself."""
import subprocess
import time

import pytest

import faults
import harness

pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers have a malloc of their own")


@pytest.fixture
def served(make_faulty_server):
    server = make_faulty_server(workers=1)
    harness.fill_corpus(server.root, 1 << 20)
    return server.start()


def ask_status(server):
    return subprocess.Popen(server.command("status", "--json"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def failures_within(rule, seconds):
    """How many calls fail by RULE in that time: the measure of who turns in a circle."""
    rule.wait_failed()
    before = rule.failed
    time.sleep(seconds)
    return rule.failed - before


# ---- the control socket ----

@pytest.mark.parametrize("error", ["EMFILE", "ENFILE", "ENOMEM"])
def test_who_cannot_be_accepted_at_the_control_socket_waits(served, error):
    """The supervisor tried again at once, as long as somebody waited: it used a processor whole."""
    rule = served.faults.fail("supervisor", "accept4", error, times=0)
    with ask_status(served) as caller:
        assert failures_within(rule, 0.5) <= 8
        rule.lift()
        assert caller.wait(harness.PATIENCE_S) == 0
    assert served.log().count("control socket: nobody can be accepted now") == 1


def test_who_cannot_be_watched_at_the_control_socket_is_tried_again(served):
    """It was neither heard nor told, and gave up after five seconds."""
    rule = served.faults.fail("supervisor", "epoll_ctl", "ENOSPC", times=3)
    with ask_status(served) as caller:
        assert caller.wait(harness.PATIENCE_S) == 0
    assert rule.failed == 3
    assert served.log().count("control socket: a client cannot be watched now") == 1


def test_a_status_without_memory_is_no_empty_page(served):
    for call in ("malloc", "calloc", "realloc"):
        for first in (*range(1, 12), 20, 40):
            served.faults.fail("supervisor", call, "ENOMEM", first=first)
            done = served.verb("status", "--json")
            served.faults.lift_all()
            assert (done.returncode == 0) == done.stdout.strip().startswith("{"), done
    assert "has taken over" not in served.log()
