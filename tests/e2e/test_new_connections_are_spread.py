"""New connections are spread over the workers, also those that come one after the other, when any worker could take it."""
import pytest

import harness

CONNECTIONS = 120


@pytest.mark.parametrize("workers", [2, 4])
def test_connections_that_come_one_by_one_are_spread_evenly(make_server, workers):
    """The kernel wakes the first that waits: of 1,000 connections one worker of four had 994."""
    server = make_server(workers=workers)
    (server.root / "index.html").write_bytes(b"page")
    server.start()
    clients = []
    for _ in range(CONNECTIONS):
        clients.append(server.connect())
        assert clients[-1].get("/").body == b"page"
    shares = [w["connections"] for w in server.workers()]
    assert sum(shares) == CONNECTIONS and len(shares) == workers
    assert max(shares) <= 1.5 * CONNECTIONS / workers, shares
    for client in clients:
        client.close()
    harness.wait_until(lambda: sum(w["connections"] for w in server.workers()) == 0, server.log)
