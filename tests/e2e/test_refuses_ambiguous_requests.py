"""What could be read in two ways is refused with 400 and a close: no request is smuggled past a proxy before us."""
import pytest

pytestmark = pytest.mark.sanitized

HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def with_fields(*lines, request=b"GET / HTTP/1.1"):
    return b"\r\n".join([request, b"Host: a", *lines]) + b"\r\n\r\n"


def chunked(body):
    return with_fields(b"Transfer-Encoding: chunked", request=b"POST / HTTP/1.1") + body


# name: (bytes, expected status). Each is followed by HIDDEN, which must not be answered.
REFUSED = {
    # two ways to find the body's end
    "both lengths": (with_fields(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    "both lengths, other order": (with_fields(b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
    "two lengths": (with_fields(b"Content-Length: 5", b"Content-Length: 6"), 400),
    "two equal lengths": (with_fields(b"Content-Length: 5", b"Content-Length: 5"), 400),
    "a list of lengths": (with_fields(b"Content-Length: 5, 5"), 400),
    "a length with a sign": (with_fields(b"Content-Length: +5"), 400),
    "a negative length": (with_fields(b"Content-Length: -1"), 400),
    "a hexadecimal length": (with_fields(b"Content-Length: 0x5"), 400),
    "an empty length": (with_fields(b"Content-Length: "), 400),
    "a length with a blank": (with_fields(b"Content-Length: 5 5"), 400),
    "a length beyond 64 bits": (with_fields(b"Content-Length: 18446744073709551621"), 400),
    "chunked twice": (with_fields(b"Transfer-Encoding: chunked, chunked"), 400),
    "chunked in two fields": (with_fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
    "a coding after chunked": (with_fields(b"Transfer-Encoding: chunked, gzip"), 400),
    "a coding before chunked": (with_fields(b"Transfer-Encoding: gzip, chunked"), 501),
    "an unknown coding": (with_fields(b"Transfer-Encoding: xchunked"), 400),
    "identity": (with_fields(b"Transfer-Encoding: identity"), 400),
    "an empty coding": (with_fields(b"Transfer-Encoding: "), 400),
    "chunked in quotes": (with_fields(b'Transfer-Encoding: "chunked"'), 400),
    "chunked with a parameter": (with_fields(b"Transfer-Encoding: chunked;a=b"), 400),
    "chunked with a vertical tab": (with_fields(b"Transfer-Encoding: \x0bchunked"), 400),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    # fields
    "a blank before the colon": (with_fields(b"Content-Length : 5"), 400),
    "a tab before the colon": (with_fields(b"Transfer-Encoding\t: chunked"), 400),
    "an obs-fold": (with_fields(b"X-A: b", b" c"), 400),
    "an obs-fold by tab": (with_fields(b"X-A: b", b"\tContent-Length: 5"), 400),
    "a blank before the first field": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "a field without a colon": (with_fields(b"Content-Length"), 400),
    "an empty name": (with_fields(b": value"), 400),
    "a NUL in a value": (with_fields(b"X-A: b\0c"), 400),
    "a NUL in a name": (with_fields(b"X\0A: b"), 400),
    "a bare CR in a value": (with_fields(b"X-A: b\rContent-Length: 5"), 400),
    "a bare LF between fields": (b"GET / HTTP/1.1\r\nHost: a\nContent-Length: 5\r\n\r\n", 400),
    "bare LFs only": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "a DEL in a value": (with_fields(b"X-A: \x7f"), 400),
    "a blank in a name": (with_fields(b"X A: b"), 400),
    "a byte beyond ASCII in a name": (with_fields(b"X\xe4: b"), 400),
    # Host
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (with_fields(b"Host: b"), 400),
    "two equal hosts": (with_fields(b"Host: a"), 400),
    "an empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "a host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "a host with a user": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "a host with a blank": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "a list of hosts": (b"GET / HTTP/1.1\r\nHost: a, b:x\r\n\r\n", 400),
    "a host with a bad port": (b"GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n", 400),
    # the request line
    "two blanks": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a tab for a blank": (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a blank in the target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a blank at the end": (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    "no version": (b"GET /\r\nHost: a\r\n\r\n", 400),
    "a long version": (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
    "a version in small letters": (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "HTTP/0.9 by number": (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    "a fragment": (b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target without a slash": (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a star for GET": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a NUL in the target": (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a byte beyond ASCII in the target": (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a user in the target": (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no method": (b" / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a blank line, and a bare LF": (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    # chunks
    "a chunk size that is no number": (chunked(b"x\r\nabc\r\n0\r\n\r\n"), 400),
    "a chunk size with 0x": (chunked(b"0x3\r\nabc\r\n0\r\n\r\n"), 400),
    "a chunk size with a sign": (chunked(b"+3\r\nabc\r\n0\r\n\r\n"), 400),
    "a chunk size of 17 digits": (chunked(b"00000000000000003\r\nabc\r\n0\r\n\r\n"), 400),
    "a chunk size beyond 64 bits": (chunked(b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"), 400),
    "an empty chunk size": (chunked(b"\r\nabc\r\n0\r\n\r\n"), 400),
    "a blank before the chunk size": (chunked(b" 3\r\nabc\r\n0\r\n\r\n"), 400),
    "a blank after the chunk size": (chunked(b"3 \r\nabc\r\n0\r\n\r\n"), 400),
    "a chunk longer than its size": (chunked(b"3\r\nabcd\r\n0\r\n\r\n"), 400),
    "a chunk without its CR": (chunked(b"3\r\nabc\n0\r\n\r\n"), 400),
    "a chunk size ended by LF": (chunked(b"3\nabc\r\n0\r\n\r\n"), 400),
    "a bare CR in an extension": (chunked(b"3;a\rb\r\nabc\r\n0\r\n\r\n"), 400),
    "an LF in an extension": (chunked(b"3;a\nb\r\nabc\r\n0\r\n\r\n"), 400),
    "a malformed trailer": (chunked(b"3\r\nabc\r\n0\r\nX : a\r\n\r\n"), 400),
    "a trailer folded": (chunked(b"3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n"), 400),
}


@pytest.fixture(scope="module")
def site():
    import harness
    server = harness.Server(workers=1)
    (server.root / "index.html").write_bytes(b"home")
    (server.root / "smuggled").write_bytes(b"smuggled")
    server.start()
    yield server
    server.close()


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_and_closed(site, name):
    data, status = REFUSED[name]
    with site.connect() as client:
        client.send(data + HIDDEN)
        response = client.read()
        # POST is answered 405 only if its body could be followed to its end.
        assert response.status == status
        assert response["Connection"] == "close"
        client.assert_closed()


@pytest.mark.parametrize("name", ["both lengths", "an obs-fold", "two hosts", "a bare CR in a value", "no host",
                                  "a blank before the colon", "a chunk size with 0x", "HTTP/2.0"])
def test_is_refused_also_byte_by_byte(site, name):
    data, status = REFUSED[name]
    with site.connect() as client:
        try:
            for at in range(len(data)):
                client.send(data[at:at + 1])
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it was all sent
        assert client.read().status == status


ACCEPTED = {
    "a blank line before": (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    "no host in HTTP/1.0": (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200),
    "blanks around a value": (with_fields(b"Content-Length: \t 0 \t "), 200),
    "no blank after the colon": (b"GET / HTTP/1.1\r\nHost:a\r\n\r\n", 200),
    "obs-text in a value": (with_fields(b"X-A: \xe4\xff"), 200),
    "an empty value": (with_fields(b"X-A:"), 200),
    "leading zeros": (with_fields(b"Content-Length: 0003") + b"abc", 200),
    "chunks": (chunked(b"3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nX: y\r\n\r\n"), 405),
    "chunked in capitals": (with_fields(b"Transfer-Encoding: CHUNKED") + b"0\r\n\r\n", 200),
    "an absolute target": (b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    "HTTP/1.7 is spoken to as 1.1": (b"GET / HTTP/1.7\r\nHost: a\r\n\r\n", 200),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_is_not_refused_for_nothing(site, name):
    data, status = ACCEPTED[name]
    with site.connect() as client:
        client.send(data)
        assert client.read().status == status
        assert client.get("/smuggled").body == b"smuggled"
