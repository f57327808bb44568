"""A start succeeds at once after the end, whatever state the clients' connections are left in on that port.

Each state is made for real: the clients stop short of what would end it. /proc/net/tcp is asked whether it is there,
before the start and after it.
"""
import os
import socket
import subprocess

import pytest

import harness
import tcp
from test_broken_listener_listens_again import listener_of, take_descriptor

pytestmark = pytest.mark.sanitized


@pytest.fixture
def site(own_network, make_server):
    server = make_server(workers=1)
    (server.root / "a.txt").write_bytes(b"a")
    (server.root / "large.bin").write_bytes(b"")
    os.truncate(server.root / "large.bin", 16 << 20)
    return server.start()


@pytest.fixture
def orphan():
    """Descriptors that this process has taken of the server's: it is as good as a child that outlived it."""
    taken = []
    yield taken
    for fd in taken:
        os.close(fd)


# ---- the states, by what leads to them ----

class Left:
    """A connection whose end at the server will be in STATE, once the server is gone and THEN was called."""

    def __init__(self, server, state, client, then=lambda: None):
        self.state, self.client, self.then = state, client, then
        self.pair = (server.host, server.port), client.socket.getsockname()

    def wait(self):
        tcp.wait_state(*self.pair, self.state)

    def is_there(self):
        return tcp.state_of(*self.pair) == self.state


def idle(server):
    client = server.connect()
    assert client.get("/a.txt").body == b"a"
    return client


def stalled(server):
    """It takes nothing of a large file: its window is full, and so is the server's buffer."""
    client = server.connect(receive_buffer=4096)
    client.request("/large.bin")
    assert client.wait_readable(harness.PATIENCE_S)
    return client


def take_servers_end(server, client, orphan):
    pid = server.workers()[0]["pid"]
    wanted = harness.servers_end(client.socket)
    for fd in harness.open_descriptors(pid):
        if os.readlink(f"/proc/{pid}/fd/{fd}") == wanted:
            orphan.append(take_descriptor(pid, int(fd)))
            return
    raise AssertionError(f"{pid} does not hold {wanted}")


def time_wait(server, _orphan):
    client = server.connect()
    client.send("GET /a.txt HTTP/1.0\r\n\r\n")
    assert client.read().body == b"a"
    client.assert_closed()
    left = Left(server, "TIME_WAIT", client)
    client.close()
    return left


def fin_wait1(server, _orphan):
    return Left(server, "FIN_WAIT1", stalled(server))


def fin_wait2(server, _orphan):
    return Left(server, "FIN_WAIT2", idle(server))


def closing(server, _orphan):
    """Our FIN waits behind what the client does not take: each end has closed before it knew that the other had."""
    def then():
        tcp.wait_state(*left.pair, "FIN_WAIT1")
        client.socket.shutdown(socket.SHUT_WR)

    client = stalled(server)
    left = Left(server, "CLOSING", client, then)
    return left


def last_ack(server, _orphan):
    left = Left(server, "LAST_ACK", stalled(server))
    left.client.socket.shutdown(socket.SHUT_WR)
    tcp.wait_state(*left.pair, "CLOSE_WAIT")
    return left


def close_wait(server, orphan):
    client = idle(server)
    take_servers_end(server, client, orphan)
    return Left(server, "CLOSE_WAIT", client, client.close)


def established(server, orphan):
    client = idle(server)
    take_servers_end(server, client, orphan)
    return Left(server, "ESTABLISHED", client)


BY_CLIENTS = [time_wait, fin_wait1, fin_wait2, closing, last_ack]
BY_ORPHANS = [close_wait, established]
NEEDS_ROOT = pytest.mark.skipif(not harness.IS_ROOT, reason="only root takes descriptors")
EACH = [*BY_CLIENTS, *(pytest.param(way, marks=NEEDS_ROOT) for way in BY_ORPHANS)]


# ---- the ends, and the start ----

def stop_now(server):
    assert server.stop("--now").returncode == 0


def kill_everything(server):
    """Supervisor, workers and all keepers at once, as a machine that runs out of memory may do it."""
    server.kill_leftovers()


def assert_starts_with(server, lefts):
    for left in lefts:
        left.then()
    for left in lefts:
        left.wait()
    done = server.verb("start")
    assert done.returncode == 0, done.stderr
    assert all(left.is_there() for left in lefts), [(left.state, tcp.state_of(*left.pair)) for left in lefts]
    assert server.get("/a.txt").body == b"a"


def let_go(lefts):
    for left in lefts:
        left.client.close()


@pytest.mark.parametrize("end", [stop_now, kill_everything])
@pytest.mark.parametrize("way", EACH)
def test_one_state(site, orphan, way, end):
    left = way(site, orphan)
    end(site)
    assert_starts_with(site, [left])
    let_go([left])


@NEEDS_ROOT
def test_all_states_together_time_after_time(site, orphan):
    lefts = []
    for _ in range(3):
        new = [way(site, orphan) for way in BY_CLIENTS + BY_ORPHANS]
        stop_now(site)
        assert_starts_with(site, new)
        lefts += new
    let_go(lefts)


def test_time_wait_after_a_graceful_stop(site):
    """The server closes first what is idle then; its client, as it should, closes when it sees that."""
    client = site.connect()
    assert client.get("/a.txt").body == b"a"
    left = Left(site, "TIME_WAIT", client)
    stopping = subprocess.Popen(site.command("stop"), env=site.environment())
    client.assert_closed()
    client.close()
    assert stopping.wait(harness.PATIENCE_S) == 0
    assert_starts_with(site, [left])


# ---- what makes it so ----

def options_of(server, name):
    with listener_of(server.workers()[0]["pid"], name) as one:
        is_v6 = one.family == socket.AF_INET6
        return (one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR),
                one.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) if is_v6 else None)


@NEEDS_ROOT
def test_every_listener_is_bound_with_reuseaddr_and_v6_only(own_network, make_server):
    """In a network of its own: on every address, somebody's port for an hour's connection may be in the way."""
    server = make_server()
    port = harness.free_address_v6()[1]
    server.listeners = [f"[::]:{port}", f"0.0.0.0:{port}"]
    server.write_config()
    server.start()
    assert options_of(server, ("::", port, 0, 0)) == (1, 1)
    assert options_of(server, ("0.0.0.0", port)) == (1, None)
    second = harness.free_address_v6()[1]
    server.listeners += [f"[::1]:{second}", f"127.0.0.1:{second}"]
    assert server.reload(workers=1).returncode == 0
    assert options_of(server, ("::1", second, 0, 0)) == (1, 1)
    assert options_of(server, ("127.0.0.1", second)) == (1, None)
