"""A request that kills its worker gets one more try and then 500, on its own connection; everybody else is served.

The programs of `make targets` have targets that crash, hang, or eat memory; those that people run have nothing of it.
"""
import re
import signal

import pytest

from harness import BUILD, Server, wait_until


class TargetServer(Server):
    def command(self, verb, *arguments):
        return [str(BUILD / "targets" / "perdure"), verb, "-c", str(self.config_path), *arguments]


@pytest.fixture
def targets(request):
    """Its parameter, if there is one, is hang_timeout."""
    server = TargetServer(workers=1, hang_timeout=getattr(request, "param", "300ms"))
    server.write_config(access_log=str(server.access_log))
    (server.root / "index.html").write_text("still here")
    server.start()
    yield server
    server.close()


@pytest.mark.parametrize("target, death", [("crash", "SIGABRT"), ("segv", "SIGSEGV"), ("exit", "exit 0")])
def test_it_gets_500_and_an_idle_neighbour_notices_nothing(targets, target, death):
    with targets.connect() as neighbour:
        assert neighbour.get("/").body == b"still here"
        answer = targets.get(f"/.test/{target}")
        assert answer.status == 500
        assert answer["connection"] == "close"
        assert neighbour.get("/").body == b"still here"
    targets.wait_serving()
    assert targets.successions()["crash"] == 2
    log = targets.log()
    assert f"GET /.test/{target} HTTP/1.1, from 127." in log
    assert death in log
    assert "twice: answered with 500" in log


def test_a_request_that_hangs_its_worker_gets_500_too(targets):
    assert targets.get("/.test/hang").status == 500
    assert targets.get("/").body == b"still here"
    targets.wait_serving()
    assert targets.successions()["hang"] == 2
    assert re.search(r'from 127\.\S+: "GET /.test/hang HTTP/1.1" was in hand when a worker hung, twice: '
                     r'answered with 500', targets.log())


@pytest.mark.parametrize("targets", ["2s"], indirect=True)
def test_a_death_from_outside_blames_no_request(targets):
    """Whoever sent the signals of a program's fault to a busy worker, twice, cut a download off."""
    in_hand = "in hand was: GET /.test/hang HTTP/1.1"
    with targets.connect() as client:
        client.send("GET /.test/hang HTTP/1.1\r\nHost: x\r\n\r\n")
        while targets.log().count(in_hand) < 3:
            targets.wait_succeeded(0, targets.kill_worker(0, signal.SIGSEGV))
        assert "twice" not in targets.log() and "after kill -11 (SIGSEGV)" in targets.log()
        assert targets.successions()["kill"] >= 3 and targets.successions()["crash"] == 0
        for stops in (1, 2):  # one that somebody stopped has not hung by itself
            targets.kill_worker(0, signal.SIGSTOP)
            wait_until(lambda: targets.log().count("hung, because somebody stopped it") == stops, targets.log)
            targets.wait_serving()
        assert "twice" not in targets.log()
        assert client.read().status == 500  # after two hangs of its own
    targets.wait_serving()
    assert targets.log().count("hung: no turn") == 2


def logged(server):
    """The first line of the access log that is not about index.html, once it is there."""
    def look():
        lines = server.access_log.read_text().splitlines() if server.access_log.exists() else []
        return next((line for line in lines if "index.html" not in line), None)
    return wait_until(look, server.log)


def test_both_logs_keep_its_first_line_its_client_and_how_it_ended(targets):
    """The access log had "-" where the request line belongs, and the error log named a descriptor."""
    with targets.connect(source=targets.host) as client:
        client.send("\r\nGET /.test/segv HTTP/1.1\r\nHost: x\r\nUser-Agent: \"evil\r\n\r\n")
        assert client.read().status == 500
    assert re.match(re.escape(targets.host) + r' - - \[[^]]+\] "GET /.test/segv HTTP/1.1" 500 \d+ "-" "-"$',
                    logged(targets))
    targets.wait_serving()  # the successor answers, and then its supervisor says that it is there
    log = targets.log()
    assert re.search(f'from {targets.host}: "GET /.test/segv HTTP/1.1" was in hand when a worker crashed '
                     r'\(SIGSEGV\), twice: answered with 500', log)
    assert log.count("crash (SIGSEGV)") == 2
    assert log.count(f"in hand was: GET /.test/segv HTTP/1.1, from {targets.host}") == 2


def test_its_first_line_forges_nothing_in_the_logs_and_is_bounded(targets):
    """The path comes first, so that a build without the target would answer 404; then what would end a field or a line,
    and more than a log line has room for."""
    target = '/.test/crash?%22"\\' + "x" * 6000
    with targets.connect() as client:
        client.request(target)
        assert client.read().status == 500
    line = logged(targets)
    assert '"GET /.test/crash?%22\\x22\\x5cxxx' in line and len(line) < 4096
    assert '%22\\x22\\x5cxxx' in targets.log() and "x" * 2000 not in targets.log()


def test_a_head_that_kills_gets_a_500_without_a_body(targets):
    with targets.connect() as client:
        client.request("/.test/crash", method="HEAD")
        assert client.read_head().status == 500
        client.assert_closed()
    assert '"HEAD /.test/crash HTTP/1.1" 500 0 ' in logged(targets)


def test_status_names_the_request_that_was_in_hand(targets):
    targets.get("/.test/segv")
    wait_until(targets.is_serving, targets.log)
    death = targets.workers()[0]["last_death"]
    assert death["signal"] == 11
    assert death["request"] == "GET /.test/segv HTTP/1.1"


def test_the_programs_that_people_run_have_no_such_targets(server):
    pid = server.workers()[0]["pid"]
    for target in ("crash", "segv", "exit", "hang", "eat"):
        assert server.get(f"/.test/{target}").status == 404
    assert server.workers()[0]["pid"] == pid
    assert b"/.test/" not in (BUILD / "perdure-worker").read_bytes()
    assert b"/.test/" in (BUILD / "targets" / "perdure-worker").read_bytes()


def test_in_a_pipeline_those_before_it_are_answered_and_the_log_names_the_right_one(targets):
    """Requests that lie whole in the buffer are answered together; the log once named the first of them."""
    with targets.connect() as client:
        client.send(b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
                             for path in ("/index.html", "/none", "/.test/crash", "/index.html")))
        assert [client.read().status for _ in range(3)] == [200, 404, 500]
    assert "in hand was: GET /.test/crash HTTP/1.1" in targets.log()
    assert "in hand was: GET /index.html" not in targets.log()


def test_however_many_it_stands_behind_it_kills_two_workers(targets):
    """It once killed one more for each request that was to be answered together with it: a pipeline of a dozen held its
    worker up for 25 s of back-off, one of some hundreds would have for an hour."""
    with targets.connect() as client:
        client.send(b"".join(b"GET /none?%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(12)) +
                    b"GET /.test/crash HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [client.read().status for _ in range(13)] == [404] * 12 + [500]
    assert targets.successions()["crash"] == 2


def test_two_of_them_in_a_pipeline_are_two(targets):
    """The first costs its connection; the second is then nobody's business."""
    with targets.connect() as client:
        client.send(b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n" + 2 * b"GET /.test/segv HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [client.read().status for _ in range(2)] == [404, 500]
        client.assert_closed()
    assert targets.successions()["crash"] == 2


def test_one_that_comes_with_a_body_is_found_out_too(targets):
    with targets.connect() as client:
        client.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\nGET /.test/crash HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        assert client.read().status == 404
        client.send("12345")
        assert client.read().status == 500
    assert targets.successions()["crash"] == 2
