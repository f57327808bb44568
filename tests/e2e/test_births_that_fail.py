"""Whatever call fails while a worker is being succeeded, clients only wait, and there is one warning."""
import pytest

import faults
import harness

pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers have a malloc of their own")

CRASHES = ("can't happen", "SIGSEGV", "SIGABRT", "SIGBUS", "are lost")


@pytest.fixture(params=[{"pipeline": 1}], ids=[""])
def served(request, make_faulty_server):
    """A server of one worker, under the judge, which is content in the end. The parameter: who asks all the time."""
    server = make_faulty_server(workers=1)
    harness.fill_corpus(server.root, 1 << 20)
    server.write_config(access_log=str(server.access_log))
    server.start()
    with harness.Judge(server.address, server.root, idle=16, slow=2, **request.param):
        yield server
        server.faults.lift_all()
    for words in CRASHES:
        assert words not in server.log()


def succeed(server):
    pid = server.kill_worker()
    server.wait_succeeded(0, pid)


# ---- the keeper ----

def test_an_order_whose_descriptors_were_lost_is_given_again(served):
    """The keeper kept silent about it, and was shot for that after ready_timeout, with all its connections."""
    rule = served.faults.fail("keeper", "descriptors", "EMFILE")
    succeed(served)
    assert rule.failed == 1
    assert "keeper 0: cannot fork a successor: Too many open files; trying again" in served.log()


@pytest.mark.parametrize("call, error", [("clone", "EAGAIN"), ("execveat", "ENOMEM"), ("malloc", "ENOMEM"),
                                         ("dup2", "EBUSY"), ("sendmsg", "ENOBUFS")])
def test_a_keeper_that_cannot_start_a_successor_tries_until_it_can(served, call, error):
    """Clients wait for as long as the machine has no room for a process."""
    rule = served.faults.fail("keeper", call, error, times=3)
    succeed(served)
    assert rule.failed >= 1


# ---- the successor ----

# Nobody asks meanwhile: a call that fails while a worker answers may cost that answer.
@pytest.mark.parametrize("served", [{}], indirect=True, ids=[""])
@pytest.mark.parametrize("call", ["malloc", "calloc", "realloc", "mmap", "open", "epoll_ctl", "pread", "clone"])
def test_a_successor_that_cannot_be_born_is_followed_by_one_that_can(served, call):
    for first in (1, 2, 5, 60):
        served.faults.fail("worker", call, faults.usual_error(call), first=first)
        succeed(served)
        served.faults.lift_all()


# ---- the supervisor ----

@pytest.mark.parametrize("error", ["EINTR", "ENOMEM"])
def test_connections_are_not_given_up_because_poll_failed(served, error):
    """The supervisor asks by poll(2) whether a keeper is there; what it could not find out it took for a no."""
    rule = served.faults.fail("supervisor", "poll", error, times=2)
    succeed(served)
    assert rule.failed == 2


@pytest.mark.parametrize("call", ["socketpair", "setsockopt", "epoll_ctl", "sendmsg", "recvmsg", "read", "fopen"])
def test_a_supervisor_without_room_for_a_channel_tries_again(served, call):
    served.faults.fail("supervisor", call, faults.usual_error(call), times=2)
    succeed(served)
