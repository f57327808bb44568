"""The access log: a line per completed response, in the combined format, none lost or doubled; reopened on order."""
import collections
import os
import re
import signal

import pytest

import harness

pytestmark = pytest.mark.sanitized

COMBINED = re.compile(r'(?P<host>\S+) - - \[(?P<time>[^]]+)\] "(?P<line>[^"]*)" (?P<status>\d{3}) (?P<bytes>\d+|-) '
                      r'"(?P<referer>[^"]*)" "(?P<agent>[^"]*)"$')


@pytest.fixture
def site(make_server):
    server = make_server()
    server.write_config(access_log=str(server.access_log))
    (server.root / "a.txt").write_bytes(b"12345")
    return server.start()


def lines_of(path):
    return [COMBINED.match(line) or line for line in path.read_text().splitlines()] if path.exists() else []


def wait_lines(path, count):
    """All lines of the log, as soon as there are so many; one more or one malformed is a fault."""
    harness.wait_until(lambda: len(lines_of(path)) >= count, lambda: f"{count} lines are due: {lines_of(path)}")
    lines = lines_of(path)
    assert len(lines) == count, path.read_text()
    assert all(isinstance(line, re.Match) for line in lines), path.read_text()
    return lines


def test_one_line_for_each_response(site):
    with site.connect() as client:
        client.get("/a.txt", "Referer: http://r/", "User-Agent: test/1.0")
        client.get("/a.txt", method="HEAD")
        client.get("/nothing")
        client.get("/a.txt", "Range: bytes=1-2")
        client.get("/a.txt?q=1", "If-None-Match: *")
    lines = wait_lines(site.access_log, 5)
    seen = [(line["line"], line["status"], line["bytes"]) for line in lines]
    assert seen[0] == ("GET /a.txt HTTP/1.1", "200", "5")
    assert seen[1][:2] == ("HEAD /a.txt HTTP/1.1", "200") and seen[1][2] in "0-"
    assert seen[2][:2] == ("GET /nothing HTTP/1.1", "404") and int(seen[2][2]) > 100
    assert seen[3] == ("GET /a.txt HTTP/1.1", "206", "2")
    assert seen[4][:2] == ("GET /a.txt?q=1 HTTP/1.1", "304") and seen[4][2] in "0-"
    assert (lines[0]["referer"], lines[0]["agent"]) == ("http://r/", "test/1.0")
    assert (lines[1]["referer"], lines[1]["agent"]) == ("-", "-")
    assert lines[0]["host"] == "127.0.0.1" or lines[0]["host"].startswith("127.")
    assert re.fullmatch(r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}", lines[0]["time"])


def test_each_line_names_its_own_client(make_server):
    """Connections that come one after another have the same descriptor number; the name is kept by that."""
    server = make_server(workers=1)
    server.write_config(access_log=str(server.access_log))
    server.start()
    hosts = ["127.98.0.1", "127.98.0.2", "127.98.0.3"]
    for number, host in enumerate(hosts):
        with server.connect(source=host) as client:
            client.get("/")
            client.get("/")
        wait_lines(server.access_log, 2 * number + 2)
        harness.wait_until(lambda: server.workers()[0]["connections"] == 0, "the client does not leave")
    lines = wait_lines(server.access_log, 2 * len(hosts))
    assert [line["host"] for line in lines] == [host for host in hosts for _ in range(2)]


def test_what_clients_send_cannot_forge_a_line(site):
    with site.connect() as client:
        client.get('/a.txt?"', 'User-Agent: a" 200 "b\\', "Referer: \xff\t\x80")
    line = wait_lines(site.access_log, 1)[0]
    assert '"' not in line["agent"] and "\xff" not in line["referer"]


def test_refused_requests_are_logged_too(site):
    with site.connect() as client:
        client.send("nonsense\r\n\r\n")
        assert client.read().status == 400
    assert wait_lines(site.access_log, 1)[0]["status"] == "400"


def test_pipelined_responses_have_a_line_each(site):
    with site.connect() as client:
        client.send(b"".join(b"GET /a.txt?%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(100)))
        for _ in range(100):
            assert client.read().status == 200
    lines = wait_lines(site.access_log, 100)
    assert [line["line"] for line in lines] == [f"GET /a.txt?{number} HTTP/1.1" for number in range(100)]


@pytest.mark.parametrize("how", ["verb", "signal"])
def test_reopen_after_rename(site, how):
    old = site.directory / "access.log.1"
    with site.connect() as client:
        client.get("/a.txt?before")
        wait_lines(site.access_log, 1)
        site.access_log.rename(old)
        if how == "verb":
            assert site.verb("reopen").returncode == 0
        else:
            os.kill(site.supervisor_pid(), signal.SIGUSR1)
            harness.wait_until(lambda: "reopened" in site.log(), site.log)
        client.get("/a.txt?after")
        assert wait_lines(site.access_log, 1)[0]["line"] == "GET /a.txt?after HTTP/1.1"
        assert wait_lines(old, 1)[0]["line"] == "GET /a.txt?before HTTP/1.1"


def test_reopen_renews_the_error_log_too(site):
    site.error_log.rename(site.directory / "error.log.1")
    assert site.verb("reopen").returncode == 0
    site.wait_succeeded(0, site.kill_worker(0))
    harness.wait_until(lambda: site.error_log.exists() and "succeeded" in site.error_log.read_text(), "no new log")


def test_stop_loses_no_line(site):
    with site.connect() as client:
        for number in range(50):
            client.get(f"/a.txt?{number}")
    assert site.stop().returncode == 0
    assert len(wait_lines(site.access_log, 50)) == 50


def test_kills_neither_lose_nor_double_lines(site):
    """Of completed responses; each request is asked once, and waited for."""
    asked = 0
    with site.connect() as one, site.connect() as other:
        for turn in range(20):
            for client in (one, other):
                for _ in range(5):
                    assert client.get(f"/a.txt?{asked}").status == 200
                    asked += 1
            site.kill_worker(turn % 2)
            site.wait_serving()
    harness.wait_until(lambda: len(lines_of(site.access_log)) >= asked, lambda: len(lines_of(site.access_log)))
    counts = collections.Counter(line["line"] for line in wait_lines(site.access_log, asked))
    assert set(counts.values()) == {1}


def test_the_access_log_is_off_unless_wanted(make_server):
    server = make_server().start()
    server.get("/")
    server.stop()
    assert not server.access_log.exists()


def test_error_lines_say_when_and_who(site):
    site.wait_succeeded(0, site.kill_worker(0))
    for line in site.error_log.read_text().splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d (supervisor|worker \d+|keeper \d+)", line), line
