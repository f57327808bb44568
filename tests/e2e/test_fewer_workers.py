"""Fewer workers cut nobody off: what a surplus worker has is finished or handed over, and spread over those that stay."""
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
        for _ in range(2 * len(server.workers())):
            clients.append(server.connect())
        for client in clients:
            assert client.get("/").body == b"page"
    return clients


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
    server = page_server(workers=10)
    clients = connect_everywhere(server, 1)
    assert server.reload(workers=1).returncode == 0
    for client in clients:
        assert client.get("/").body == b"page"
    wait_workers(server, 1)
    assert connections(server) == {0: len(clients)}
    assert "too many givers" not in server.log()
    for client in clients:
        assert client.get("/").body == b"page"
        client.close()
