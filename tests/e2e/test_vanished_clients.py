"""A client whose machine is gone, without FIN or RST, is noticed within vanished_timeout, whatever the other timeouts say.

A filter that lets nothing through to the client's socket makes it vanish: its kernel answers nothing more.
"""
import ctypes
import socket
import struct
import time

import pytest

import harness
from harness import wait_until

SO_ATTACH_FILTER = 26  # asm-generic/socket.h
TCP_USER_TIMEOUT = 18
SECONDS = 5
# The clock of the kernel's timers, and of a shared machine, above what is asked for.
LATE_MOST = 6


def vanish(client):
    """Nothing that is sent to it arrives any more (BPF_RET | BPF_K with 0)."""
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    client.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(nothing)))


def connections(server):
    return sum(worker["connections"] for worker in server.workers())


@pytest.fixture
def site(make_server):
    def make(**keys):
        server = make_server(workers=1, **{"vanished_timeout": f"{SECONDS}s", "idle_timeout": "1h", "write_timeout": "4s",
                                           **keys})
        (server.root / "a.txt").write_bytes(b"a")
        return server.start()

    return make


def noticed_after(server):
    began = time.monotonic()
    wait_until(lambda: connections(server) == 0, "it stays", SECONDS + LATE_MOST)
    return time.monotonic() - began


def test_a_client_that_vanished_at_rest_is_noticed(site):
    server = site()
    with server.connect() as client:
        assert client.get("/a.txt").status == 200
        vanish(client)
        assert noticed_after(server) > SECONDS / 2


def test_a_client_that_vanished_at_rest_is_noticed_though_a_taker_may_take_its_time(site):
    server = site(write_timeout="1h")
    with server.connect() as client:
        assert client.get("/a.txt").status == 200
        vanish(client)
        noticed_after(server)


def test_a_client_that_vanished_is_noticed_by_the_successor_of_its_worker(site):
    server = site()
    with server.connect() as client:
        assert client.get("/a.txt").status == 200
        vanish(client)
        server.wait_succeeded(0, server.kill_worker(0))
        noticed_after(server)


def test_a_client_that_vanished_with_a_response_on_its_way_is_noticed(site):
    server = site(write_timeout="1s", min_send_rate=0)
    with server.connect() as client:
        assert client.get("/a.txt").status == 200
        client.request("/a.txt")
        vanish(client)
        noticed_after(server)


def test_a_client_that_only_rests_is_kept(site):
    server = site()
    with server.connect() as client:
        assert client.get("/a.txt").status == 200
        assert not client.wait_readable(2 * SECONDS)
        assert client.get("/a.txt").status == 200


def test_a_reload_changes_it_for_new_connections(site):
    server = site(vanished_timeout="0s")
    assert server.reload(vanished_timeout=f"{SECONDS}s").returncode == 0
    with server.connect() as client:
        assert client.get("/a.txt").status == 200
        vanish(client)
        noticed_after(server)
