"""A connection serves request after request, however they are cut into segments, and ends when the client says so."""
import time

import pytest

pytestmark = pytest.mark.sanitized


@pytest.fixture
def site(make_server):
    server = make_server(workers=1)
    for number in range(50):
        (server.root / f"{number}.txt").write_bytes(b"%d;" % number * (number + 1))
    (server.root / "large.bin").write_bytes(bytes(range(256)) * 8192)
    return server.start()


def body_of(number):
    return b"%d;" % number * (number + 1)


def request(number, *fields):
    return "\r\n".join([f"GET /{number}.txt HTTP/1.1", "Host: a", *fields]).encode() + b"\r\n\r\n"


def test_many_requests_on_one_connection(site):
    with site.connect() as client:
        for round_trip in range(500):
            assert client.get(f"/{round_trip % 50}.txt").body == body_of(round_trip % 50)
    assert site.wait_serving()[0]["accepted"] == 1


def test_pipelined_requests_are_answered_in_order(site):
    with site.connect() as client:
        client.send(b"".join(request(number) for number in range(50)))
        for number in range(50):
            assert client.read().body == body_of(number)
        assert client.is_quiet()


@pytest.mark.parametrize("piece", [1, 7, 61, 1000])
def test_requests_may_be_cut_anywhere(site, piece):
    data = b"".join(request(number) for number in range(12))
    with site.connect() as client:
        for at in range(0, len(data), piece):
            client.send(data[at:at + piece])
        for number in range(12):
            assert client.read().body == body_of(number)


def test_more_pipelined_than_buffers_hold(site):
    """The requests alone are more than the server reads ahead; the client sends them all before it reads."""
    import threading
    count = 4000
    data = b"".join(request(number % 50, "X-Padding: " + "x" * 60) for number in range(count))
    with site.connect() as client:
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        for number in range(count):
            assert client.read().body == body_of(number % 50)
        sender.join()


def test_large_responses_pipelined_behind_each_other(site):
    large = bytes(range(256)) * 8192
    with site.connect() as client:
        client.send((b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n" + request(3)) * 4)
        for _ in range(4):
            assert client.read().body == large
            assert client.read().body == body_of(3)


def test_http_1_1_is_kept_alive_until_told(site):
    with site.connect() as client:
        assert client.get("/1.txt")["Connection"] is None
        response = client.get("/1.txt", "Connection: close")
        assert response["Connection"] == "close" and response.body == body_of(1)
        client.assert_closed()


def test_http_1_0_is_closed_unless_told(site):
    with site.connect() as client:
        client.request("/1.txt", version="HTTP/1.0")
        response = client.read()
        assert response.body == body_of(1) and response["Connection"] == "close"
        client.assert_closed()
    with site.connect() as client:
        for _ in range(3):
            client.request("/1.txt", "Connection: Keep-Alive", version="HTTP/1.0")
            response = client.read()
            assert response.body == body_of(1) and response["Connection"].lower() == "keep-alive"


def test_nothing_behind_close_is_answered(site):
    with site.connect() as client:
        client.send(request(1, "Connection: close") + request(2))
        assert client.read().body == body_of(1)
        client.assert_closed()


@pytest.mark.parametrize("field", ["Connection: CLOSE", "Connection: te, close", "Connection: close, TE"])
def test_close_is_found_in_a_list(site, field):
    with site.connect() as client:
        assert client.get("/1.txt", field)["Connection"] == "close"
        client.assert_closed()


def test_half_closed_by_the_client_is_still_answered(site):
    """As `printf … | nc` does: the request's end is the end of the client's side."""
    import socket
    with site.connect() as client:
        client.send(request(5) + request(6))
        client.socket.shutdown(socket.SHUT_WR)
        assert client.read().body == body_of(5)
        assert client.read().body == body_of(6)
        client.assert_closed()


# ---- for how long it is kept ----

KEPT = [("/1.txt", "HTTP/1.1", []), ("/nowhere", "HTTP/1.1", []), ("/1.txt", "HTTP/1.1", ["Range: bytes=0-0"]),
        ("/1.txt", "HTTP/1.0", ["Connection: keep-alive"])]


@pytest.mark.parametrize("target, version, fields", KEPT)
def test_a_response_on_a_kept_connection_says_how_long_it_may_rest(make_server, target, version, fields):
    """A second less than it really may, for what the client sends last must arrive, too."""
    server = make_server(workers=1, idle_timeout="2999ms")
    (server.root / "1.txt").write_bytes(body_of(1))
    server.start()
    with server.connect() as client:
        client.request(target, *fields, version=version)
        assert client.read()["Keep-Alive"] == "timeout=1"


def test_who_asks_again_within_the_time_that_was_said_is_answered(make_server):
    server = make_server(workers=1, idle_timeout="2s").start()
    with server.connect() as client:
        for _ in range(3):
            said = client.get("/nowhere")["Keep-Alive"]
            assert said == "timeout=1"
            time.sleep(1)  # as long as it may
        client.get("/nowhere")
        began = time.monotonic()
        client.assert_closed()
        assert time.monotonic() - began > 1


@pytest.mark.parametrize("fields", [["Connection: close"], ["Connection: close, keep-alive"]])
def test_a_response_that_is_the_last_says_nothing_of_resting(site, fields):
    with site.connect() as client:
        assert client.get("/1.txt", *fields)["Keep-Alive"] is None


def test_a_time_too_short_to_be_used_is_not_said(make_server):
    server = make_server(workers=1, idle_timeout="1999ms").start()
    with server.connect() as client:
        assert client.get("/nowhere")["Keep-Alive"] is None
