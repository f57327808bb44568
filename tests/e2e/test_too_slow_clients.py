"""Who is slower than the least rate is let go of in bounded time; who stalls, waits or was carried over is not.

The pauses here are the clients' own: they are what is tested.
"""
import contextlib
import os
import signal
import time

import pytest

import harness
from harness import wait_until

pytestmark = pytest.mark.sanitized

LARGE = 1 << 26


@pytest.fixture
def site(make_server):
    def make(**keys):
        server = make_server(**{"workers": 1, "write_timeout": "1s", "body_timeout": "1s", "min_send_rate": "50k",
                                "min_receive_rate": "5k", "linger_timeout": "200ms", **keys})
        (server.root / "a.txt").write_bytes(b"a")
        (server.root / "page.bin").write_bytes(bytes(20_000))
        with open(server.root / "large.bin", "wb") as file:
            file.truncate(LARGE)
        return server.start()

    return make


def connections(server):
    return sum(worker["connections"] for worker in server.workers())


def too_slow(server):
    return sum(worker["too_slow"] for worker in server.workers())


def read_slowly(client, bytes_at_a_time, pause, goes_on):
    while goes_on():
        assert client.socket.recv(bytes_at_a_time), "it was let go of"
        time.sleep(pause)


def read_until_gone(server, client, bytes_at_a_time, pause):
    """What the kernel still holds for it when the server lets go of it may be much."""
    wait_until(lambda: connections(server) == 1, "it does not come")
    deadline = time.monotonic() + harness.PATIENCE_S
    read_slowly(client, bytes_at_a_time, pause, lambda: connections(server) == 1 and time.monotonic() < deadline)
    assert connections(server) == 0, "it stays"


def send_slowly(client, bytes_at_a_time, pause, seconds):
    """Seconds until something came from the server, at most SECONDS."""
    began = time.monotonic()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while time.monotonic() < began + seconds and not client.wait_readable(pause):
            client.send("x" * bytes_at_a_time)
    return time.monotonic() - began


# ---- shed ----

def test_a_slow_reader_is_let_go_of(site):
    """It took something every now and then, and so was waited for without end."""
    server = site()
    with server.connect(receive_buffer=4096) as client:
        client.request("/large.bin")
        read_until_gone(server, client, 200, 0.02)  # 10 kB/s at most
    assert too_slow(server) == 1


def test_a_pipeline_that_is_read_slowly_is_let_go_of(site):
    server = site(min_send_rate="1m")
    with server.connect(receive_buffer=16384) as client:
        client.send("GET /page.bin HTTP/1.1\r\nHost: a\r\n\r\n" * 700)
        read_until_gone(server, client, 10_000, 0.05)


def test_a_pipeline_that_is_never_read_is_let_go_of(site):
    server = site()
    with server.connect(receive_buffer=4096) as client:
        client.send(b"GET /page.bin HTTP/1.1\r\nHost: a\r\n\r\n" * 700)
        wait_until(lambda: connections(server) == 1, "it does not come")
        wait_until(lambda: connections(server) == 0, "it stays")
    assert server.get("/a.txt").status == 200


def test_a_byte_of_a_body_now_and_then_is_408(site):
    server = site()
    with server.connect() as client:
        client.request("/a.txt", "Content-Length: 100000")
        assert 0.9 <= send_slowly(client, 1, 0.05, harness.PATIENCE_S) < 4
        assert client.read().status == 408
        client.assert_closed()
    assert too_slow(server) == 1


def test_a_byte_of_a_chunked_body_now_and_then_is_408(site):
    server = site()
    with server.connect() as client:
        client.request("/a.txt", "Transfer-Encoding: chunked")
        client.send("1000\r\n")
        assert send_slowly(client, 1, 0.05, harness.PATIENCE_S) < 4
        assert client.read().status == 408


def test_a_byte_of_a_head_now_and_then_is_408(site):
    server = site(head_timeout="1s")
    with server.connect() as client:
        client.send("GET /a.txt HTTP/1.1\r\nHost: a\r\nX: ")
        assert send_slowly(client, 1, 0.05, harness.PATIENCE_S) < 4
        assert client.read().status == 408


def test_deaths_of_its_worker_give_a_slow_client_no_time(site):
    server = site(body_timeout="3s")
    with server.connect() as client:
        client.request("/a.txt", "Content-Length: 100000")
        began = time.monotonic()
        while time.monotonic() < began + 2.2:
            client.send("x")
            server.wait_succeeded(0, server.kill_worker(0))
        send_slowly(client, 1, 0.05, harness.PATIENCE_S)
        assert client.read().status == 408
        assert 2.5 < time.monotonic() - began < 6


def test_no_rate_is_no_rate(site):
    server = site(min_send_rate=0, min_receive_rate=0)
    with server.connect() as client:
        client.request("/a.txt", "Content-Length: 1000")
        assert send_slowly(client, 1, 0.1, 3) >= 3
        assert client.is_quiet()


# ---- not shed ----

def test_a_client_above_the_rate_is_served_to_the_end(site):
    server = site(min_send_rate="20k")
    with server.connect(receive_buffer=16384) as client:
        client.request("/large.bin")
        until = time.monotonic() + 5  # times write_timeout
        read_slowly(client, 8192, 0.05, lambda: time.monotonic() < until)  # 160 kB/s at most
        assert connections(server) == 1
    with server.connect() as client:
        client.request("/a.txt", f"Content-Length: {70 * 600}")
        for _ in range(70):
            client.send("x" * 600)
            time.sleep(0.05)
        assert client.read().status == 200


def test_a_client_that_stalls_and_goes_on_is_served(site):
    server = site()
    with server.connect(receive_buffer=16384) as client:
        client.request("/large.bin")
        head = client.read_head()
        body = 0
        for _ in range(5):
            time.sleep(0.7)  # of a second
            body += len(client.take(300_000))
        assert (head.status, body) == (200, 1_500_000)
    assert too_slow(server) == 0


def test_a_client_that_only_waits_is_none_of_the_rates_business(site):
    server = site()
    with server.connect() as client:
        assert client.get("/page.bin").status == 200
        assert not client.wait_readable(2.5)
        assert client.get("/page.bin").status == 200


def test_time_that_the_worker_lost_is_not_held_against_clients(site):
    """They have done all that they could; the worker was stopped for longer than they had time."""
    server = site(hang_timeout="1m")
    with contextlib.ExitStack() as stack:
        sender = stack.enter_context(server.connect())
        sender.request("/a.txt", "Content-Length: 100000")
        taker = stack.enter_context(server.connect(receive_buffer=65536))
        taker.request("/large.bin")
        rest = LARGE - len(taker.take(int(taker.read_head()["Content-Length"]) // 16))
        idler = stack.enter_context(server.connect())
        assert idler.get("/a.txt").status == 200
        pid = server.workers()[0]["pid"]
        os.kill(pid, signal.SIGSTOP)
        sender.send("x" * 50_000)
        idler.request("/a.txt")
        taker.seconds, got = 0.3, 0
        taker.socket.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while True:
                got += len(taker.socket.recv(1 << 20))
        time.sleep(1.5)
        os.kill(pid, signal.SIGCONT)
        sender.send("x" * 50_000)
        taker.socket.settimeout(harness.PATIENCE_S)
        assert sender.read().status == 200
        assert len(taker.take(rest - got)) == rest - got
        assert idler.read().status == 200


def test_a_client_carried_over_many_successions_is_served(site):
    server = site()
    with server.connect(receive_buffer=16384) as taker, server.connect() as sender:
        taker.request("/large.bin")
        sender.request("/a.txt", "Content-Length: 100000")
        sent = 0
        began = time.monotonic()
        while time.monotonic() < began + 3:
            server.wait_succeeded(0, server.kill_worker(0))
            taker.socket.recv(1 << 18)
            sender.send("x" * 10_000 if sent < 90_000 else "")
            sent += 10_000 if sent < 90_000 else 0
            if sent == 90_000:
                break
        sender.send("x" * (100_000 - sent))
        assert sender.read().status == 200
        assert connections(server) == 2
