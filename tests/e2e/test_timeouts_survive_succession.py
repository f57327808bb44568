"""A deadline lies in the slot: a succession neither shortens a client's patience nor gives it a new one."""
import time

from harness import wait_until


def closed_after(client, began):
    """Seconds from BEGAN until the server closes; the connection has nothing to say."""
    assert client.socket.recv(1) == b""
    return time.monotonic() - began


def kill_now_and_then(server, began, until):
    """Kill the only worker again and again until UNTIL seconds after BEGAN. Returns how often."""
    kills = 0
    while time.monotonic() < began + until:
        server.wait_succeeded(0, server.kill_worker(0))
        kills += 1
    return kills


def test_an_idle_connection_is_closed_on_time(make_server):
    server = make_server(workers=1, idle_timeout="3s").start()
    with server.connect() as client:
        client.get("/nothing")
        began = time.monotonic()
        assert kill_now_and_then(server, began, 2.5) >= 3
        assert 2.5 < closed_after(client, began) < 4.5


def test_half_a_request_is_answered_with_408_on_time(make_server):
    server = make_server(workers=1, head_timeout="3s").start()
    with server.connect() as client:
        client.send("GET / HTTP/1.1\r\nHo")
        wait_until(lambda: server.workers()[0]["connections"] == 1, server.log)
        began = time.monotonic()
        assert kill_now_and_then(server, began, 2.5) >= 3
        assert client.read().status == 408
        assert 2.0 < time.monotonic() - began < 4.5


def test_half_a_body_is_answered_with_408_on_time(make_server):
    """A successor looks at every body under way; that look once passed for a byte of it, and patience began anew."""
    server = make_server(workers=1, body_timeout="3s").start()
    with server.connect() as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        wait_until(lambda: server.workers()[0]["connections"] == 1, server.log)
        began = time.monotonic()
        assert kill_now_and_then(server, began, 2.5) >= 3
        assert client.read().status == 408
        assert 2.0 < time.monotonic() - began < 4.5


def test_a_client_that_does_not_close_first_is_closed_on_time(make_server):
    server = make_server(workers=1, client_close_timeout="3s").start()
    with server.connect() as client:
        client.get("/nothing", "Connection: close")
        began = time.monotonic()
        assert kill_now_and_then(server, began, 2.5) >= 3
        assert 2.5 < closed_after(client, began) < 4.5


def test_a_client_that_lingers_is_cut_off_on_time(make_server):
    server = make_server(workers=1, linger_timeout="3s").start()
    with server.connect() as client:
        client.send("NOTHING\r\n\r\n")
        assert client.read().status == 400
        client.assert_closed()
        began = time.monotonic()
        assert kill_now_and_then(server, began, 2.5) >= 3
        assert server.workers()[0]["connections"] == 1
        wait_until(lambda: server.workers()[0]["connections"] == 0, server.log)
        assert 2.5 < time.monotonic() - began < 4.5


def test_a_client_that_takes_nothing_is_cut_off_though_a_reload_has_taken_its_time_to_close_first(make_server):
    """No time at all, however often it was granted anew, never came to write_timeout."""
    server = make_server(workers=1, client_close_timeout="1m", linger_timeout="1s", write_timeout="2s").start()
    (server.root / "page").write_bytes(bytes(200_000))
    with server.connect(receive_buffer=4096) as client:
        client.request("/page", "Connection: close")
        assert client.read_head().status == 200
        wait_until(lambda: server.workers()[0]["requests"] == 1, server.log)  # all of it is with the kernel
        assert server.reload(client_close_timeout="0s").returncode == 0
        wait_until(lambda: server.workers()[0]["connections"] == 0, server.log)
