"""A connection serves request after request, however they are cut into segments, and ends when the client says so."""
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


def test_the_server_lets_the_client_close_first(site):
    """TIME_WAIT stays with who closes first; after a response that says its length, that need not be the server."""
    with site.connect() as client:
        assert client.get("/1.txt", "Connection: close").body == body_of(1)
    status = site.status()
    assert status["workers"][0]["state"] == "serving"
