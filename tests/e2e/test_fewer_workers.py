"""Fewer workers cut nobody off: what a surplus worker has is finished or handed over, and spread over those that stay.

One that cannot hand over yet, because a client of its takes long, is renewed by a reload or restart like any other.
"""
import os
import signal

import pytest

import harness

pytestmark = pytest.mark.sanitized


def connections(server):
    """By slot, of those that serve."""
    return {w["slot"]: w["connections"] for w in server.workers() if w["state"] == "serving"}


def connect_everywhere(server, least):
    """Open connections, each with a request answered, until every worker has at least so many."""
    clients = []
    while min(connections(server).values()) < least:
        assert len(clients) < 2000, f"some worker gets none: {connections(server)}"
        for _ in range(min(least, 2) * len(server.workers())):
            clients.append(server.connect())
        for client in clients:
            assert client.get("/").body == b"page"
    return clients


def keep_one_each(server, clients):
    """Close all but one of every worker's. Returns those."""
    ends = {harness.servers_end(client.socket): client for client in clients}
    kept = [ends[next(iter(ends.keys() & harness.links_of(worker["pid"])))] for worker in server.workers()]
    for client in clients:
        if client not in kept:
            client.close()
    harness.wait_until(lambda: set(connections(server).values()) == {1}, server.log)
    return kept


def wait_workers(server, count):
    harness.wait_until(lambda: len(server.workers()) == count, lambda: f"{server.workers()}\n{server.log()}")


@pytest.fixture
def page_server(make_server):
    def make(**options):
        server = make_server(**options)
        (server.root / "index.html").write_bytes(b"page")
        return server.start()
    return make


def test_surplus_connections_are_spread_over_those_that_stay(page_server):
    """All surplus workers handed over to the lowest that serves."""
    server = page_server(workers=4)
    clients = connect_everywhere(server, 3)
    before = connections(server)
    assert server.reload(workers=2).returncode == 0
    wait_workers(server, 2)
    for client in clients:
        assert client.get("/").body == b"page"
    after = connections(server)
    assert sum(after.values()) == sum(before.values()) == len(clients)
    gained = sorted(after[slot] - before[slot] for slot in (0, 1))
    assert gained == sorted((before[2], before[3]))
    for client in clients:
        client.close()


def test_more_givers_than_an_heir_can_watch_take_turns(page_server):
    """A ninth giver's channel was closed by the heir, and what had been put into it was answered by nobody."""
    server = page_server(workers=10, connections=16)  # whoever is full leaves the next one to others
    clients = keep_one_each(server, connect_everywhere(server, 1))
    assert server.reload(workers=1).returncode == 0
    for client in clients:
        assert client.get("/").body == b"page"
    wait_workers(server, 1)
    assert connections(server) == {0: len(clients)}
    assert "too many givers" not in server.log()
    for client in clients:
        assert client.get("/").body == b"page"
        client.close()


# ---- renewed while it hands over ----

def worker_of(server, slot):
    return next((w for w in server.workers() if w["slot"] == slot), None)


def connect_to(server, slot, **options):
    """An idle connection to the worker of SLOT. The others are stopped meanwhile, too shortly to be called hung; one of
    them may have been woken for the first connection, so that one is only there to be closed."""
    others = [w["pid"] for w in server.workers() if w["slot"] != slot]
    for pid in others:
        harness.kill(pid, signal.SIGSTOP)
    try:
        clients = [server.connect(**options) for _ in range(len(others) + 1)]
        for client in clients:
            assert client.get("/").body == b"page"
    finally:
        for pid in others:
            harness.kill(pid, signal.SIGCONT)
    for client in clients[1:]:
        client.close()
    harness.wait_until(lambda: worker_of(server, slot)["connections"] == 1, server.log)
    return clients[0]


def reload_with_header(server, value):
    server.site["headers"] = [f"X-New: {value}"]
    server.write_config()
    done = server.reload()
    assert done.returncode == 0, done.stderr


def make_giving(server, slot):
    """One worker less: that of SLOT, which is busy, is surplus. Returns what status says of it."""
    assert server.reload(workers=len(server.workers()) - 1).returncode == 0
    def look():
        worker = worker_of(server, slot)
        return worker if worker["state"] == "giving" else None
    return harness.wait_until(look, lambda: f"{server.workers()}\n{server.log()}")


def assert_renewed(server, before, generation, cause):
    """It is another process with another keeper, of that generation, and goes on handing over."""
    after = harness.wait_until(lambda: next((w for w in server.workers() if w["slot"] == before["slot"]
                                             and w["state"] == "giving" and w["keeper_pid"] > 0), None), server.log)
    assert {after["pid"], after["keeper_pid"]}.isdisjoint({before["pid"], before["keeper_pid"]})
    assert after["generation"] == generation
    assert after["successions"][cause] == before["successions"][cause] + 1
    assert after["connections"] == before["connections"]
    return after


@pytest.fixture
def own_programs():
    server = harness.OwnPrograms(workers=2)
    (server.root / "index.html").write_bytes(b"page")
    yield server.start()
    server.close()


def test_one_that_hands_over_is_renewed_by_a_reload_and_by_a_restart(own_programs):
    """It was left alone until its last client was done, with the old settings and the old program."""
    server = own_programs
    data = os.urandom(1 << 20) * 12
    (server.root / "large.bin").write_bytes(data)
    with connect_to(server, 1, receive_buffer=16384) as client:
        client.request("/large.bin")
        assert client.read_head()["X-New"] is None
        giver = make_giving(server, 1)
        assert client.take(1 << 20) == data[:1 << 20]
        reload_with_header(server, "reload")
        giver = assert_renewed(server, giver, 3, "reload")
        assert client.take(1 << 20) == data[1 << 20:2 << 20]
        server.upgrade()
        assert server.outdated()
        done = server.verb("restart")
        assert done.returncode == 0, done.stderr
        assert_renewed(server, giver, 4, "upgrade")
        harness.wait_until(lambda: not server.outdated(), lambda: f"{server.outdated()}\n{server.log()}")
        assert client.take(10 << 20) == data[2 << 20:]
        response = client.get("/")
        assert response.body == b"page" and response["X-New"] == "reload"
        wait_workers(server, 1)
        assert connections(server) == {0: 1}
        assert client.get("/").body == b"page"


def test_what_is_asked_behind_a_slow_response_is_answered_with_the_new_settings(page_server):
    server = page_server(workers=2)
    (server.root / "large.bin").write_bytes(bytes(12 << 20))
    with connect_to(server, 1, receive_buffer=16384) as client:
        client.request("/large.bin")
        client.request("/")
        client.request("/")
        assert client.read_head()["X-New"] is None
        make_giving(server, 1)
        reload_with_header(server, "yes")
        assert client.take(12 << 20) == bytes(12 << 20)
        for _ in range(2):
            assert client.read()["X-New"] == "yes"
        wait_workers(server, 1)


@pytest.mark.parametrize("begin, end", [
    ("GET / HTTP/1.1\r\nHo", "st: a\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n0123456789", "0123456789"),
])
def test_a_request_that_comes_slowly_is_answered_with_the_new_settings(page_server, begin, end):
    server = page_server(workers=2)
    with connect_to(server, 1) as client:
        client.send(begin)
        make_giving(server, 1)
        reload_with_header(server, "yes")
        client.send(end)
        response = client.read()
        assert response.body == b"page" and response["X-New"] == "yes"
        wait_workers(server, 1)


def test_one_that_hands_over_survives_kills_and_reloads_in_any_order(page_server):
    server = page_server(workers=2)
    data = os.urandom(1 << 20) * 24
    (server.root / "large.bin").write_bytes(data)
    with connect_to(server, 1, receive_buffer=16384) as client:
        client.request("/large.bin")
        client.read_head()
        make_giving(server, 1)
        for number in range(8):
            assert client.take(1 << 20) == data[number << 20:(number + 1) << 20]
            harness.kill(worker_of(server, number % 2)["pid"], signal.SIGKILL)
            reload_with_header(server, number)
        assert client.take(16 << 20) == data[8 << 20:]
        assert client.get("/")["X-New"] == "7"
        wait_workers(server, 1)
        assert connections(server) == {0: 1}
