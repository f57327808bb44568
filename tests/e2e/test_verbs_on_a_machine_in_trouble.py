"""Whatever fails during a start, reload, restart or take-over: it is done, or refused with the reason, and what ran goes
on. A sample of scripts/faults, which tries every call."""
import re

import pytest

import faults
import harness

pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers have a malloc of their own")

CRASHES = re.compile(r"SIG(SEGV|ABRT|BUS|FPE|ILL)|can't happen|are lost")


@pytest.fixture
def served(make_faulty_server):
    """A server of two workers, under the judge, which is content in the end."""
    server = make_faulty_server(workers=2)
    harness.fill_corpus(server.root, 1 << 20)
    server.start()
    with harness.Judge(server.address, server.root, idle=16, slow=2):
        yield server
        server.faults.lift_all()
    assert not CRASHES.search(server.log())


def some(count):
    return sorted({1, 2, 3, count // 2, count})


# ---- start ----

START = [("malloc", 300), ("calloc", 60), ("mmap", 2), ("memfd_create", 4), ("open", 20), ("socket", 4), ("bind", 3),
         ("listen", 3), ("epoll_ctl", 6), ("epoll_create1", 2), ("fork", 4), ("pipe2", 3), ("socketpair", 3),
         ("dup3", 1), ("setsockopt", 8), ("fstat", 11)]


@pytest.mark.parametrize("call, count", START)
def test_a_start_succeeds_or_says_why_not_and_leaves_nothing(make_faulty_server, call, count):
    """A failed dup3 let `perdure start` wait for ever; a control socket stayed behind; a worker that could not be born was
    mourned with its "0 connections"; without memory for the first string nothing was said."""
    server = make_faulty_server(workers=1)
    for first in some(count):
        server.faults.fail("supervisor", call, faults.usual_error(call), first=first)
        done = server.verb("start", seconds=harness.PATIENCE_S)
        server.faults.lift_all()
        if done.returncode == 0:
            assert server.get("/").status in (403, 404)
            server.stop("--now")
        else:
            assert done.returncode == 1 and "perdure: " in done.stderr
        assert not harness.processes_of(server.directory, server.token)
        assert {path.name for path in server.run_dir.glob("*")} <= harness.MAY_STAY
    assert not CRASHES.search(server.log())


# ---- reload, restart, reopen ----

VERBS = [("reload", "fcntl", 1), ("reload", "memfd_create", 1), ("reload", "fork", 1), ("reload", "pipe2", 1),
         ("reload", "malloc", 60), ("reload", "socketpair", 4), ("reload", "sendmsg", 6), ("restart", "execv", 1),
         ("restart", "epoll_create1", 4), ("restart", "epoll_ctl", 14), ("restart", "fork", 4), ("restart", "mmap", 2),
         ("restart", "open", 10), ("reopen", "open", 2), ("reopen", "dup2", 1)]


@pytest.mark.parametrize("verb, call, count", VERBS)
def test_a_verb_is_carried_out_or_refused(served, verb, call, count):
    """Without a descriptor for the worker program, a reload went on with none, and no worker could be born any more; a
    restart's new image without an epoll set forgot who waited for its answer."""
    for number, first in enumerate(some(count)):
        served.write_config(idle_timeout=f"{60 + number}s")
        served.faults.fail("supervisor", call, faults.usual_error(call), first=first)
        done = served.verb(verb, seconds=harness.PATIENCE_S * 2)
        served.faults.lift_all()
        assert done.returncode == 0 or "\n" in done.stdout + done.stderr, done
        served.wait_serving()
        assert served.verb(verb).returncode == 0


# ---- take-over ----

@pytest.mark.parametrize("role, call", [("supervisors_keeper", "fork"), ("supervisors_keeper", "execv"),
                                        ("supervisors_keeper", "pidfd_open"), ("supervisors_keeper", "poll"),
                                        ("supervisor", "epoll_create1"), ("supervisor", "mmap"),
                                        ("supervisor", "clone"), ("supervisor", "calloc"), ("supervisor", "epoll_ctl")])
def test_a_dead_supervisor_is_succeeded_when_that_is_possible(served, role, call):
    for first in (1, 2):
        served.faults.fail(role, call, faults.usual_error(call), first=first, times=2)
        pid = harness.wait_until(served.status, served.log)["supervisor"]["pid"]
        assert harness.kill(pid, 9)
        harness.wait_until(lambda: (served.status() or {"supervisor": {"pid": pid}})["supervisor"]["pid"] != pid,
                           served.log)
        served.faults.lift_all()
        served.wait_serving()
