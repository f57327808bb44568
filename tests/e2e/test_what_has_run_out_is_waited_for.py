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


# ---- memory and descriptors of a worker ----

@pytest.mark.parametrize("call", ["malloc", "calloc", "realloc", "openat2", "memfd_create", "fdopendir"])
def test_a_worker_without_memory_says_503_and_lives(make_faulty_server, call):
    """It aborted, and the request was taken for the culprit and answered with 500."""
    server = make_faulty_server(workers=1, listing=True)
    server.write_config(access_log=str(server.access_log), file_cache_valid="0s")
    (server.root / "directory").mkdir()
    for number in range(40):
        (server.root / f"{number}.txt").write_bytes(b"x" * number)
        (server.root / "directory" / f"{number}.txt").touch()
    server.start()
    pid = server.workers()[0]["pid"]
    statuses = set()
    with server.connect() as client:
        for first in range(1, 14):
            for target in (f"/{first}.txt", "/directory/"):
                server.faults.fail("worker", call, faults.usual_error(call), first=first)
                statuses.add(client.get(target).status)
                server.faults.lift_all()
                assert client.get(target).status == 200
    assert statuses <= {200, 503}
    assert server.workers()[0]["pid"] == pid


def test_a_file_is_found_though_its_compressed_sibling_cannot_be_opened(make_faulty_server):
    """Where the sibling could not be opened, and then the file itself neither, the answer was 404."""
    server = make_faulty_server(workers=1)
    server.write_config(file_cache_valid="0s")
    (server.root / "a.txt").write_bytes(b"a" * 100)
    (server.root / "a.txt.gz").write_bytes(b"b")
    server.start()
    with server.connect() as client:
        for first in range(1, 10):
            server.faults.fail("worker", "openat2", "EMFILE", first=first, times=0)
            assert client.get("/a.txt", "Accept-Encoding: gzip").status in (200, 503)
            server.faults.lift_all()
            assert client.get("/a.txt").status == 200


# ---- connections ----

@pytest.mark.parametrize("call, error", [("epoll_ctl", "ENOSPC"), ("epoll_ctl", "ENOMEM"), ("sendmsg", "ENOBUFS"),
                                         ("sendfile", "ENOMEM"), ("recv", "ENOMEM")])
def test_a_connection_that_the_machine_has_no_room_for_waits(served, call, error):
    """It was closed: reset before its first answer, or cut in the middle of one."""
    with served.connect() as client:
        assert client.get("/1.bin").status == 200
        served.faults.fail("worker", call, error, first=1, times=1, step=1)
        with served.connect() as other:
            for each in (client, other):
                response = each.get("/200000.bin")
                assert response.body == (served.root / "200000.bin").read_bytes()
    assert served.log().count("some wait") == 1
    assert served.workers()[0]["dropped"] == 0


def test_many_connections_that_nobody_could_watch_are_all_served(served):
    rule = served.faults.fail("worker", "epoll_ctl", "ENOSPC", times=0)
    clients = [served.connect() for _ in range(20)]
    for client in clients:
        client.request("/999.bin")
    rule.wait_failed(3)
    pid = served.kill_worker()  # its successor must try again what it could not watch
    harness.wait_until(lambda: served.workers()[0]["pid"] not in (0, pid), served.log)
    rule.lift()
    for client in clients:
        assert client.read().status == 200
        client.close()
    assert "0 dropped" in served.log()


def test_a_shortage_that_lasts_is_no_turning_in_a_circle(served):
    with served.connect() as client:
        rule = served.faults.fail("worker", "sendmsg", "ENOBUFS", times=0)
        client.request("/1.bin")
        assert failures_within(rule, 0.5) <= 8
        rule.lift()
        assert client.read().status == 200


# ---- listeners ----

@pytest.mark.parametrize("error", ["EMFILE", "ENFILE", "ENOMEM", "EPERM"])
def test_accept_rests(served, error):
    """With an error that nobody thought of (a filter says EPERM) the worker turned in a circle."""
    rule = served.faults.fail("worker", "accept4", error, times=0)
    with served.connect() as client:
        client.request("/1.bin")
        assert failures_within(rule, 0.5) <= 3
        rule.lift()
        assert client.read().status == 200
    assert served.log().count("accepting: resting") == 1


def test_a_listener_that_found_no_room_in_the_epoll_set_gets_one(make_faulty_server):
    """It was looked at once a second from then on, for ever."""
    server = make_faulty_server(workers=1)
    server.start()
    server.faults.fail("worker", "epoll_ctl", "ENOSPC", times=2)
    pid = server.kill_worker()
    server.wait_succeeded(0, pid)
    harness.wait_until(lambda: quick(server), "a listener stays unwatched")


def quick(server):
    """Ten connections, one after another, in less time than one look takes."""
    began = time.monotonic()
    for _ in range(10):
        server.get("/")
    return time.monotonic() - began < 0.5
