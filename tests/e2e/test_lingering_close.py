"""Who is still sending when its connection ends gets the end of its response all the same; within bounds."""
import socket
import time

import pytest

import harness
import tcp

MIB = 1 << 20


@pytest.fixture
def site(make_server):
    def make(**keys):
        return make_server(workers=1, **keys).start()
    return make


def begin_too_large(client, size):
    """A request whose body of SIZE bytes is more than is taken; the answer to it is there at once."""
    client.request("/", f"Content-Length: {size}", method="POST")


def read_refusal(client):
    response = client.read()
    assert response.status == 413 and response["Connection"] == "close"
    client.assert_closed()


@pytest.mark.sanitized
def test_who_sends_all_before_it_reads_is_not_reset(site):
    with site().connect() as client:
        begin_too_large(client, 20 * MIB)
        client.send(bytes(20 * MIB))
        read_refusal(client)


def test_nor_when_workers_are_killed_meanwhile(site):
    server = site()
    with server.connect() as client:
        begin_too_large(client, 20 * MIB)
        for _ in range(5):
            client.send(bytes(2 * MIB))
            server.wait_succeeded(0, server.kill_worker(0))
            client.send(bytes(2 * MIB))
        read_refusal(client)
    worker = server.workers()[0]
    assert server.deaths() == 5 and worker["dropped"] == 0


def send_what_goes(client, most):
    """Send up to MOST bytes; returns how many the server took within a second of the last."""
    client.socket.settimeout(1)
    sent, piece = 0, bytes(MIB)
    try:
        while sent < most:
            sent += client.socket.send(piece)
    except TimeoutError:
        pass
    client.socket.settimeout(client.seconds)
    return sent


def test_who_sends_without_end_is_read_to_a_bound_and_has_its_answer(site):
    server = site(linger_timeout="20s")
    with server.connect() as client:
        begin_too_large(client, 1 << 40)
        sent = send_what_goes(client, 200 * MIB)
        assert 32 * MIB <= sent < 64 * MIB
        server.wait_succeeded(0, server.kill_worker(0))
        assert send_what_goes(client, 200 * MIB) < MIB  # its successor has not forgotten how much it was
        read_refusal(client)


def test_who_is_read_no_more_may_go(site):
    server = site(linger_timeout="20s")
    with server.connect() as client:
        begin_too_large(client, 1 << 40)
        send_what_goes(client, 200 * MIB)
        name = client.socket.getsockname()
        client.reset()
    harness.wait_until(lambda: server.workers()[0]["connections"] == 0, lambda: server.workers())
    assert tcp.state_of((server.host, server.port), name) is None


def test_what_fits_into_the_socket_behind_the_bound_and_then_ends_is_drained(site):
    server = site(linger_timeout="20s")
    with server.connect() as client:
        begin_too_large(client, 1 << 40)
        client.send(bytes(32 * MIB + 100_000))
        client.socket.shutdown(socket.SHUT_WR)
        read_refusal(client)
        harness.wait_until(lambda: server.workers()[0]["connections"] == 0, lambda: server.workers())


@pytest.mark.sanitized
def test_the_deadline_is_not_renewed_by_bytes(site):
    server = site(linger_timeout="1500ms")
    with server.connect() as client:
        begin_too_large(client, 1 << 40)
        began = time.monotonic()
        assert client.read().status == 413
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while time.monotonic() < began + harness.PATIENCE_S:
                client.send(b"x")
                time.sleep(0.01)  # it is slow
        assert 1 < time.monotonic() - began < 5
