"""A slow, silent or excessive client is told so and let go; it holds no worker, and others are served meanwhile."""
import contextlib
import time

import pytest

import harness

pytestmark = pytest.mark.sanitized


@pytest.fixture
def site(make_server):
    server = make_server(workers=1, head_timeout="400ms", body_timeout="400ms", idle_timeout="600ms",
                         write_timeout="500ms", linger_timeout="300ms", min_receive_rate=5, head_limit="4k", target_limit="1k")
    (server.root / "a.txt").write_bytes(b"a")
    (server.root / "large.bin").write_bytes(bytes(1 << 25))
    return server.start()


def seconds_until_closed(client):
    began = time.monotonic()
    with contextlib.suppress(ConnectionResetError):
        while client.more():
            client.buffered = b""
    return time.monotonic() - began


# ---- large ----

def test_a_target_at_the_limit_is_served_and_beyond_it_414(site):
    with site.connect() as client:
        assert client.get("/a.txt?" + "x" * (1024 - 7)).status == 200
        response = client.get("/a.txt?" + "x" * (1024 - 6))
        assert response.status == 414 and response["Connection"] == "close"
        client.assert_closed()


def test_a_target_without_end_is_414(site):
    with site.connect() as client:
        client.send("GET /" + "x" * 100_000)
        assert client.read().status == 414


def test_a_head_at_the_limit_is_served_and_beyond_it_431(site):
    def head(size):
        start = "GET /a.txt HTTP/1.1\r\nHost: a\r\nX-Padding: "
        return start + "x" * (size - len(start) - 4) + "\r\n\r\n"

    with site.connect() as client:
        client.send(head(4096))
        assert client.read().status == 200
        client.send(head(4097))
        response = client.read()
        assert response.status == 431 and response["Connection"] == "close"
        client.assert_closed()


def test_fields_without_end_are_431(site):
    with site.connect() as client:
        client.send("GET /a.txt HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 20_000)
        assert client.read().status == 431


def test_a_method_without_end_is_refused(site):
    with site.connect() as client:
        client.send("G" * 100_000)
        assert client.read().status in (400, 431, 501)


# ---- slow ----

def test_half_a_head_is_408_after_head_timeout(site):
    began = time.monotonic()
    with site.connect() as client:
        client.send("GET /a.txt HTTP/1.1\r\nHo")
        response = client.read()
        assert response.status == 408 and response["Connection"] == "close"
        assert 0.35 <= time.monotonic() - began < 3
        client.assert_closed()


def test_a_trickling_head_does_not_outlive_head_timeout(site):
    began = time.monotonic()
    with site.connect() as client, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        client.send("GET /a.txt HTTP/1.1\r\nX: ")
        while not client.wait_readable(0.05):
            client.send("x")
            assert time.monotonic() - began < harness.PATIENCE_S
        assert client.read().status == 408
    assert time.monotonic() - began < 3


def test_half_a_body_is_408_after_body_timeout(site):
    with site.connect() as client:
        client.request("/a.txt", "Content-Length: 10")
        client.send("12345")
        assert client.read().status == 408
        client.assert_closed()


def test_a_body_that_keeps_coming_is_waited_for(site):
    """body_timeout is about silence, not about the whole."""
    with site.connect() as client:
        client.request("/a.txt", "Content-Length: 8")
        for _ in range(8):
            assert not client.wait_readable(0.1)
            client.send("x")
        assert client.read().status == 200


def test_a_connection_that_says_nothing_is_closed_without_a_word(site):
    with site.connect() as client:
        assert client.read_to_end() == b""


def test_an_idle_connection_is_closed_after_idle_timeout(site):
    with site.connect() as client:
        assert client.get("/a.txt").status == 200
        assert 0.5 <= seconds_until_closed(client) < 3


def test_asking_in_time_starts_idle_timeout_anew(site):
    with site.connect() as client:
        for _ in range(4):
            assert client.get("/a.txt").status == 200
            assert not client.wait_readable(0.3)


def test_a_client_that_takes_nothing_is_let_go_after_write_timeout(site):
    with site.connect(receive_buffer=4096) as client:
        client.request("/large.bin")
        harness.wait_until(lambda: sum(w["connections"] for w in site.workers()) == 1, "the connection is not there")
        harness.wait_until(lambda: sum(w["connections"] for w in site.workers()) == 0, "the connection stays")
    assert site.get("/a.txt").status == 200


def test_a_client_that_takes_a_little_now_and_then_is_served(site):
    with site.connect(receive_buffer=65536) as client:
        client.request("/large.bin")
        head = client.read_head()
        assert head.status == 200
        for _ in range(10):  # longer than write_timeout in all
            assert not (client.buffered and time.sleep(0.1))
            client.buffered = b""
            assert client.more(), "it was let go"


def test_silent_clients_hold_nobody_up(site):
    with contextlib.ExitStack() as stack:
        for number in range(200):
            client = stack.enter_context(site.connect())
            client.send("GET /a.txt HTTP/1.1\r\n"[:number % 21])
        began = time.monotonic()
        with site.connect() as client:
            for _ in range(20):
                assert client.get("/a.txt").status == 200
        assert time.monotonic() - began < 0.5 * harness.PATIENCE_S / 10


# ---- many ----

def test_beyond_its_limit_of_connections_a_worker_serves_who_is_there(make_server):
    server = make_server(workers=1, connections=16)
    (server.root / "a.txt").write_bytes(b"a")
    server.start()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(16)]
        for client in clients:
            assert client.get("/a.txt").status == 200
        waiting = stack.enter_context(server.connect())  # accepted by the kernel, and waits or is refused with 503
        waiting.request("/a.txt")
        for client in clients:
            assert client.get("/a.txt").status == 200
        if waiting.wait_readable(0):
            assert waiting.read().status == 503
            return
        clients[0].close()
        assert waiting.read().status == 200
