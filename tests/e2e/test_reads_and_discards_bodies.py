"""A request's body is read, bounded and forgotten, so that the next request is found."""
import pytest

pytestmark = pytest.mark.sanitized


@pytest.fixture
def site(make_server):
    server = make_server(workers=1, body_limit="10k")
    (server.root / "a.txt").write_bytes(b"a")
    return server.start()


def with_length(body, *fields, method="GET", target="/a.txt"):
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *fields])
    return head.encode() + b"\r\n\r\n" + body


def in_chunks(body, size, trailer=b""):
    head = b"GET /a.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailer + b"\r\n"


BODY = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" * 40


@pytest.mark.parametrize("data", [
    with_length(BODY), with_length(b""), in_chunks(BODY, 1), in_chunks(BODY, 100), in_chunks(BODY, 100000),
    in_chunks(b"", 1), in_chunks(BODY, 30, b"X-Trailer: a\r\nY-Trailer: b\r\n"),
], ids=["length", "no length", "chunks of one", "chunks", "one chunk", "no chunks", "trailers"])
@pytest.mark.parametrize("piece", [1 << 20, 64, 3])
def test_the_next_request_is_found_behind_a_body(site, data, piece):
    whole = (data + with_length(b"", target="/a.txt")) * 2
    with site.connect() as client:
        for at in range(0, len(whole), piece):
            client.send(whole[at:at + piece])
        for _ in range(4):
            response = client.read()
            assert (response.status, response.body) == (200, b"a")
        assert client.is_quiet()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "BREW"])
def test_a_refused_method_may_bring_a_body(site, method):
    with site.connect() as client:
        client.send(with_length(BODY, method=method))
        assert client.read().status in (405, 501)
        assert client.get("/a.txt").body == b"a"


def test_a_body_is_waited_for(site):
    data = with_length(BODY)
    with site.connect() as client:
        client.send(data[:-1])
        assert not client.wait_readable(0.2)
        client.send(data[-1:])
        assert client.read().body == b"a"


def test_100_continue_is_said_before_the_body(site):
    with site.connect() as client:
        client.request("/a.txt", "Expect: 100-continue", "Content-Length: 5")
        assert client.read_head().status == 100
        client.send(b"12345")
        assert client.read().body == b"a"
        assert client.get("/a.txt").body == b"a"


def test_100_continue_is_not_said_for_nothing(site):
    with site.connect() as client:  # the body is there already
        client.send(with_length(b"12345", "Expect: 100-continue"))
        response = client.read_head()
        if response.status == 100:
            response = client.read_head()
        assert response.status == 200
    with site.connect() as client:  # there is no body
        client.request("/a.txt", "Expect: 100-continue")
        assert client.read_head().status == 200
    with site.connect() as client:  # HTTP/1.0 knows nothing of it
        client.request("/a.txt", "Expect: 100-continue", "Content-Length: 5", version="HTTP/1.0")
        client.send(b"12345")
        assert client.read_head().status == 200


def test_too_large_a_body_is_413(site):
    with site.connect() as client:
        client.request("/a.txt", "Content-Length: 10241")
        response = client.read()
        assert response.status == 413 and response["Connection"] == "close"
        client.assert_closed()


def test_too_large_a_body_is_refused_before_100_continue(site):
    with site.connect() as client:
        client.request("/a.txt", "Content-Length: 10241", "Expect: 100-continue")
        assert client.read_head().status == 413


def test_too_large_a_chunked_body_is_413(site):
    with site.connect() as client:
        client.send(in_chunks(b"x" * 10241, 1000))
        response = client.read()
        assert response.status == 413 and response["Connection"] == "close"


def test_the_largest_body_is_taken(site):
    with site.connect() as client:
        client.send(with_length(b"x" * 10240))
        assert client.read().status == 200
        client.send(in_chunks(b"x" * 10240, 1000))
        assert client.read().status == 200


def test_a_refusal_reaches_a_client_that_is_still_sending(site):
    """Closed with unread bytes, a socket sends RST, and the refusal may be lost: half-close and drain instead."""
    with site.connect() as client:
        client.request("/a.txt", "Content-Length: 500000")
        try:
            client.send(b"x" * 500000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert client.read().status == 413
