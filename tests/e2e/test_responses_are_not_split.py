"""No path, query or Host puts a line of its own into a response's head or into the access log."""
import itertools
import re

import pytest

import harness

pytestmark = pytest.mark.sanitized

# A line's end, encoded once or twice, overlong, or in a way that somebody may take for one.
ENDS = ["%0D%0A", "%0A", "%0D", "%0d%0a", "%250D%250A", "%c0%8d%c0%8a", "%c2%85", "%e2%80%a8", "%E5%98%8D%E5%98%8A"]
FIELD = "X-Injected: yes"
RAW_ENDS = ["\r\n", "\n", "\r", "\r\n ", "\0", "\x0b", "\x0c", "\x85"]


@pytest.fixture
def split(make_server):
    """A Server, started, with directories and files whose names hold what would end a line."""
    server = make_server(workers=1)
    server.write_config(access_log=str(server.access_log))
    for name in (f"dir\r\n{FIELD}", f"dir\n{FIELD}", f"dir\r{FIELD}", 'quoted"\x1b[31m'):
        (server.root / name).mkdir()
        (server.root / (name + ".a\r\nb")).write_bytes(b"a file\n")
    return server.start()


def assert_whole(response):
    """Its head has the fields that it should have, and no other."""
    assert response["X-Injected"] is None, response
    assert not re.search(rb"[^\r]\n|\r[^\n]|[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\xff]", response.head), response.head
    assert {name for name, _ in response.fields} <= {
        "date", "server", "content-type", "content-length", "location", "connection", "accept-ranges", "etag",
        "last-modified", "keep-alive"}, response


def test_a_redirect_to_a_directory_has_one_location(split):
    with split.connect() as client:
        for end, query in itertools.product(ENDS, ("", "?%0d%0aX-Injected:yes", "?a=\\r\\n%00")):
            response = client.get(f"/dir{end}X-Injected:%20yes{query}")
            assert_whole(response)
            assert response.status in (301, 404)
            if response.status == 301:
                assert response["Location"] == f"/dir{end.upper()}X-Injected%3A%20yes/{query}"
        assert client.get("/").status == 403  # and the connection is where it was


def test_no_redirect_leads_to_another_host(split):
    for name in ("b.example", "\\b.example", "%2fb.example"):
        (split.root / name).mkdir()
    redirects = 0
    for target in ("//b.example", "///b.example", "/.//b.example", "/%2fb.example", "/%5cb.example", "/\\b.example",
                   "/%252fb.example",
                   "http://a.example//b.example", "//b.example/.", "//b.example/x/..", "/%09/b.example",
                   "http://b.example/b.example"):
        response = split.get(target)
        assert_whole(response)
        redirects += response.status == 301
        assert response["Location"] is None or re.match(r"/(?![/\\])", response["Location"]), response
    assert redirects > 4


def test_what_ends_a_line_for_somebody_is_refused_in_target_and_host(split):
    forms = ("/dir{}", "a"), ("/dir?{}", "a"), ("http://a{}/", "a"), ("/", "a{}")
    for end, (target, host) in itertools.product(RAW_ENDS, forms):
        with split.connect() as client:
            client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".format(end + "X-Injected: yes"))
            response = client.read()
            assert_whole(response)
            if end == "\r\n" and host != "a":
                assert response.status == 403  # of the request, this is a field like any other
            else:
                assert response.status == 400, (target, host, end)
                client.assert_closed()


def test_a_file_with_such_a_name_is_described_in_whole_lines(split):
    response = split.get("/dir%0d%0aX-Injected:%20yes.a%0d%0ab")
    assert response.status == 200 and response.body == b"a file\n"
    assert_whole(response)


def test_a_line_of_the_access_log_is_one_request(split):
    hostile = ["/dir%0d%0aX-Injected:%20yes", "/quoted%22%1b%5b31m", '/a"b', "/%0a127.0.0.1%20-%20-%20[x]", "/?\\x0a\\"]
    with split.connect() as client:
        for target in hostile:
            client.get(target, 'User-Agent: a" 200 7 "\\\xff', 'Referer: "\t\\"')
        client.get("/a\x1b", 'User-Agent: a')  # refused, and told all the same
    lines = harness.wait_until(lambda: split.access_log.read_bytes().count(b"\n") > len(hostile) and
                               split.access_log.read_bytes().splitlines(), "lines are missing")
    assert len(lines) == len(hostile) + 1
    quoted = rb'"(?:[ !#-\[\]-~]|\\[ -~])*"'
    for line in lines:
        assert re.fullmatch(rb"127[\d.]+ - - \[[^]]+\] %b \d+ \d+ %b %b" % ((quoted,) * 3), line), line
