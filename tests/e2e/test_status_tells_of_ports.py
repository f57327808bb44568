"""`perdure status` tells how it stands about the ports: accept queues, overflows, TIME_WAIT, resets, who closed first."""
import contextlib
import os
import signal
import socket

import pytest

import harness

pytestmark = [pytest.mark.sanitized, pytest.mark.skipif(not harness.IS_ROOT, reason="a network of its own takes root")]


@pytest.fixture
def site(own_network, make_server):
    def make(**keys):
        server = make_server(workers=1, **keys)
        (server.root / "a.txt").write_bytes(b"a")
        return server
    return make


def listener(server, address=None):
    address = address or server.address
    return next(one for one in server.status()["listeners"] if one["address"] == address)


def wait_listener(server, address=None, **wanted):
    """TIME_WAIT is counted once a second."""
    def is_so():
        one = listener(server, address)
        return all(one[name] == value for name, value in wanted.items())
    harness.wait_until(is_so, lambda: f"not {wanted}: {listener(server, address)}")


def ask_old(server, address=None):
    """HTTP/1.0: the server closes first."""
    with harness.Client(address or (server.host, server.port)) as client:
        client.send("GET /a.txt HTTP/1.0\r\n\r\n")
        assert client.read().body == b"a"
        client.assert_closed()


@contextlib.contextmanager
def nobody_accepts(server):
    pid = server.workers()[0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_time_wait_is_counted_for_each_listener(site):
    server = site()
    port = harness.free_address_v6()[1]
    server.listeners += [f"127.1.1.1:{server.port}", f"[::1]:{port}", f"0.0.0.0:{port}"]
    server.write_config()
    server.start()
    assert listener(server)["time_wait"] == 0
    for count, address in [(3, (server.host, server.port)), (1, ("127.1.1.1", server.port)), (2, ("::1", port)),
                           (4, ("127.0.0.9", port))]:
        for _ in range(count):
            ask_old(server, address)
    wait_listener(server, time_wait=3)
    wait_listener(server, f"127.1.1.1:{server.port}", time_wait=1)
    wait_listener(server, f"[::1]:{port}", time_wait=2)
    wait_listener(server, f"0.0.0.0:{port}", time_wait=4)
    status = server.status()
    assert status["time_wait_counted_all"] is True
    assert status["network_namespace"]["time_wait"] == 10


def test_it_says_who_closed_first(site):
    server = site(idle_timeout="300ms").start()
    ask_old(server)
    for fields in [], ["Connection: close"], ["Connection: close"]:
        with server.connect() as client:
            client.get("/a.txt", *fields)
    with server.connect() as client:
        client.get("/a.txt")
        client.assert_closed()  # in time
    harness.wait_until(lambda: server.status()["closed_first"] == {"clients": 3, "us": 2}, server.status)
    worker = server.workers()[0]
    assert [worker[name] for name in ("ended_by_client", "parted", "ended_by_us", "ended_by_timeout")] == [1, 2, 1, 1]


@pytest.mark.parametrize("is_unix", [False, True])
def test_the_accept_queue_and_its_limit(site, is_unix):
    server = site()
    address = f"unix:{server.directory}/http.sock" if is_unix else f"{server.host}:7777"
    server.more = f'listen "{address}" {{ backlog = 12 }}'
    server.write_config()
    server.start()
    assert (listener(server, address)["waiting"], listener(server, address)["waiting_limit"]) == (0, 12)
    with nobody_accepts(server):
        clients = [harness.Client(address[5:] if is_unix else (server.host, 7777)) for _ in range(7)]
        assert (listener(server, address)["waiting"], listener(server, address)["waiting_limit"]) == (7, 12)
    harness.wait_until(lambda: listener(server, address)["waiting"] == 0, server.status)
    for client in clients:
        client.close()


def test_a_queue_that_overflows_is_told_of(site):
    server = site()
    server.listeners = []
    server.more = f'listen "{server.address}" {{ backlog = 2 }}'
    server.write_config()
    server.start()
    before = server.status()["network_namespace"]
    assert (listener(server)["overflowed"], before["listen_overflows"], before["listen_drops"]) == (0, 0, 0)
    with nobody_accepts(server), contextlib.ExitStack() as clients:
        for _ in range(8):
            one = clients.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((server.host, server.port))
        harness.wait_until(lambda: listener(server)["overflowed"] > 0, server.status)
        counted = server.status()["network_namespace"]
        assert counted["listen_overflows"] > 0 and counted["listen_drops"] > 0
        assert listener(server)["waiting"] == 3  # the kernel lets one more than the limit in


def test_resets_are_counted(site):
    server = site().start()
    before = server.status()["network_namespace"]["resets_sent"]
    with pytest.raises(ConnectionRefusedError):
        harness.Client(("127.0.0.1", 1))
    assert server.status()["network_namespace"]["resets_sent"] == before + 1


def test_people_are_told_the_same(site):
    server = site().start()
    ask_old(server)
    wait_listener(server, time_wait=1)
    lines = server.verb("status").stdout.splitlines()
    assert ["listener", "waiting", "at", "most", "overflowed", "TIME_WAIT"] in [line.split() for line in lines]
    assert [server.address, "0", "4096", "0", "1"] in [line.split() for line in lines]
    assert "closed first: clients 0 times, perdure 1 times" in lines
    assert any(line.startswith("of all programs in this network namespace: ListenOverflows 0, ListenDrops 0, RST sent ")
               and line.endswith(", in TIME_WAIT 1") for line in lines)
