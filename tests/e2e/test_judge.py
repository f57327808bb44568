"""The judge can fail: against servers that misbehave in one way each, it counts that way and no other."""
import contextlib
import re
import socket
import struct
import subprocess
import threading
import time

import pytest

import harness

BODY = bytes(range(256)) * 40


@pytest.fixture
def corpus():
    """A directory with one file of 10,240 bytes."""
    directory = harness.make_directory()
    (directory / "file.bin").write_bytes(BODY)
    yield directory
    (directory / "file.bin").unlink()
    directory.rmdir()


# ---- a server that behaves, but where it is told not to ----

def answer(request):
    """The right response to one request for the file."""
    head, status, part = "", "200 OK", BODY
    wanted = re.search(r"Range: bytes=(\d*)-(\d*)", request)
    if wanted:
        first, last = wanted.groups()
        start = int(first) if first else len(BODY) - int(last)
        stop = int(last) + 1 if first and last else len(BODY)
        status, part = "206 Partial Content", BODY[start:stop]
        head = f"Content-Range: bytes {start}-{stop - 1}/{len(BODY)}\r\n"
    head = f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(part)}\r\n\r\n"
    return head.encode() + (b"" if request.startswith("HEAD") else part)


class Connection:
    """The server's side: reads whole requests."""

    def __init__(self, peer):
        self.peer, self.buffered = peer, b""

    def request(self):
        """The next request's head, or None at the end."""
        while b"\r\n\r\n" not in self.buffered:
            data = self.peer.recv(65536)
            if not data:
                return None
            self.buffered += data
        head, _, self.buffered = self.buffered.partition(b"\r\n\r\n")
        return head.decode()

    def behave(self):
        while (request := self.request()) is not None:
            self.peer.sendall(answer(request))
            if "Connection: close" in request:
                return


@contextlib.contextmanager
def server_that(misbehave, times=1):
    """Serve; the first so many connections are given to misbehave(connection). Yields the address."""
    listener = socket.create_server(harness.free_address(), backlog=64)
    listener.settimeout(0.1)
    over = threading.Event()

    def converse(peer, number):
        with peer, contextlib.suppress(OSError):
            (misbehave if number < times else Connection.behave)(Connection(peer))

    def serve():
        number = 0
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                peer, _ = listener.accept()
                peer.settimeout(5)
                threading.Thread(target=converse, args=(peer, number), daemon=True).start()
                number += 1

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield "{}:{}".format(*listener.getsockname())
    finally:
        over.set()
        thread.join()
        listener.close()


def judge(address, corpus, responses=20, seconds=8, **clients):
    """Run it to its end: its figures."""
    with contextlib.closing(harness.Judge(address, corpus, seconds=seconds, wait=False, timeout=0.5,
                                          requests_max=responses, **clients)) as running:
        return running.wait()


def kinds(figures):
    return {kind: count for kind, count in figures["trouble"].items() if count}


# ---- ways to misbehave ----

def a_wrong_byte(connection):
    response = bytearray(answer(connection.request()))
    response[-1000] ^= 1
    connection.peer.sendall(response)
    connection.request()


def a_wrong_status(connection):
    connection.request()
    connection.peer.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    connection.request()


def a_shorter_body(connection):
    connection.request()
    connection.peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + BODY[:100])
    connection.request()


def a_longer_body(connection):
    connection.request()
    connection.peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
    connection.request()


def the_end_in_the_body(connection):
    connection.peer.sendall(answer(connection.request())[:-1])


def the_end_in_the_head(connection):
    connection.peer.sendall(answer(connection.request())[:20])


def the_end_before_the_answer(connection):
    connection.request()


def the_end_between_requests(connection):
    connection.peer.sendall(answer(connection.request()))


def the_end_in_a_request(connection):
    connection.peer.recv(1)
    connection.peer.shutdown(socket.SHUT_WR)
    connection.request()


def a_reset(connection):
    connection.request()
    connection.peer.sendall(answer("GET ")[:500])
    connection.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def too_many_bytes(connection):
    connection.peer.sendall(answer(connection.request()) + b"x")
    connection.request()


def a_body_for_head(connection):
    while not (request := connection.request()).startswith("HEAD"):
        connection.peer.sendall(answer(request))
    connection.peer.sendall(answer(request) + BODY)


def an_answer_before_the_question(connection):
    connection.peer.recv(1)
    connection.peer.sendall(answer("GET "))
    connection.request()


def no_length(connection):
    connection.request()
    connection.peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + BODY)
    connection.request()


def no_http(connection):
    connection.request()
    connection.peer.sendall(b"220 mail.example.org ESMTP\r\n\r\n")
    connection.request()


def an_endless_head(connection):
    connection.request()
    connection.peer.sendall(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10000)


def silence(connection):
    connection.request()
    connection.request()


def half_a_body_and_silence(connection):
    connection.peer.sendall(answer(connection.request())[:5000])
    connection.request()


@pytest.mark.parametrize("misbehave, role, kind", [
    (a_wrong_byte, "download", "wrong_byte"),
    (a_wrong_byte, "slow", "wrong_byte"),
    (a_wrong_status, "download", "wrong_status"),
    (a_wrong_status, "close", "wrong_status"),
    (a_shorter_body, "download", "truncated"),
    (a_longer_body, "download", "bad_head"),
    (the_end_in_the_body, "download", "early_eof"),
    (the_end_in_the_body, "close", "early_eof"),
    (the_end_in_the_head, "download", "early_eof"),
    (the_end_before_the_answer, "download", "unanswered"),
    (the_end_before_the_answer, "trickle", "unanswered"),
    (the_end_in_a_request, "trickle", "unanswered"),
    (the_end_between_requests, "idle", "closed_idle"),
    (a_reset, "download", "reset"),
    (too_many_bytes, "download", "excess"),
    (too_many_bytes, "close", "excess"),
    (an_answer_before_the_question, "trickle", "excess"),
    (no_length, "download", "bad_head"),
    (no_http, "download", "bad_head"),
    (an_endless_head, "download", "bad_head"),
    (silence, "download", "timeout"),
    (silence, "close", "timeout"),
    (half_a_body_and_silence, "download", "timeout"),
])
def test_each_trouble_is_counted_as_itself(corpus, misbehave, role, kind):
    with server_that(misbehave) as address:
        figures = judge(address, corpus, responses=2 if role in ("idle", "trickle") else 20, **{role: 1})
    assert kinds(figures) == {kind: 1}
    assert len(figures["described"]) == 1 and role in figures["described"][0]


def test_a_body_behind_a_head_request_is_excess(corpus):
    with server_that(a_body_for_head) as address:
        figures = judge(address, corpus, responses=300, keepalive=1)
    assert kinds(figures) == {"excess": 1}


def test_a_wrong_byte_is_named(corpus):
    with server_that(a_wrong_byte) as address:
        figures = judge(address, corpus, download=1)
    assert "GET /file.bin" in figures["described"][0]
    assert f"byte {len(BODY) - 1000} of the body" in figures["described"][0]


def test_a_server_that_behaves_has_no_trouble(corpus):
    with server_that(None, times=0) as address:
        figures = judge(address, corpus, responses=400, keepalive=2, close=2, download=1, pipeline=2, slow=1)
    assert kinds(figures) == {}
    assert figures["responses"] >= 400


def test_every_trouble_is_counted_and_twenty_are_described(corpus):
    with server_that(a_wrong_status, times=30) as address:
        figures = judge(address, corpus, download=4)
    assert kinds(figures) == {"wrong_status": 30}
    assert len(figures["described"]) == 20


def test_answers_in_the_wrong_order_are_noticed(corpus):
    (corpus / "other.bin").write_bytes(BODY[::-1])

    def swap(connection):
        answers = {"/file.bin": BODY, "/other.bin": BODY[::-1]}
        pending = None
        while (request := connection.request()) is not None:
            body = answers[request.split()[1]]
            if "Range" in request or request.startswith("HEAD") or pending in (None, body):
                pending = body
                connection.peer.sendall(b"")
            if pending is not None and pending != body:
                length = f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
                connection.peer.sendall(length + body + length + pending)
                return

    with server_that(swap) as address:
        figures = judge(address, corpus, responses=0, seconds=2, pipeline=1)
    (corpus / "other.bin").unlink()
    assert figures["trouble_total"] > 0 and figures["trouble"]["wrong_byte"] + figures["trouble"]["bad_head"] \
        + figures["trouble"]["wrong_status"] + figures["trouble"]["timeout"] > 0


def test_refused_connections_are_counted(corpus):
    figures = judge("{}:{}".format(*harness.free_address()), corpus, seconds=0.3, keepalive=1)
    assert set(kinds(figures)) == {"refused"} and figures["connections"] == 0


def test_connections_nobody_accepts_are_counted(corpus):
    with socket.create_server(harness.free_address(), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):  # fill the accept queue; what comes then is dropped by the kernel
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        figures = judge("{}:{}".format(*listener.getsockname()), corpus, seconds=0.9, keepalive=1)
    assert kinds(figures) == {"connect_timeout": 1}


def test_a_close_that_was_announced_is_no_trouble_but_told(corpus):
    def announce(connection):
        response = answer(connection.request())
        connection.peer.sendall(response.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))

    with server_that(announce) as address:
        figures = judge(address, corpus, download=1)
    assert kinds(figures) == {} and figures["announced_closes"] == 1


def test_waits_are_measured(corpus):
    def hesitate(connection):
        request = connection.request()
        time.sleep(0.3)  # this is what is measured
        connection.peer.sendall(answer(request))
        connection.behave()

    with server_that(hesitate) as address:
        figures = judge(address, corpus, download=1)
    assert 300 <= figures["first_byte_ms"]["max"] < 450
    assert figures["first_byte_ms"]["median"] < 100
    assert 300 <= figures["longest_pause_ms"] < 450


def test_exit_codes_tell_a_clean_run_from_trouble_and_from_misuse(corpus):
    def run(*words):
        command = [str(harness.BUILD / "judge"), *words]
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode

    with server_that(a_wrong_byte, times=1) as address:
        ordinary = ["--connect", address, "--root", str(corpus), "--requests-max", "5"]
        assert run(*ordinary, "--download", "1") == 1
        assert run(*ordinary, "--download", "1") == 0
        assert run(*ordinary) == 2
        assert run(*ordinary, "--no-such-option") == 2
        assert run("--connect", address) == 2
        assert run("--connect", address, "--root", "/nonexistent", "--idle", "1") == 2


def test_a_signal_ends_it_with_the_summary(corpus):
    with server_that(None, times=0) as address:
        with contextlib.closing(harness.Judge(address, corpus, keepalive=4)) as running:
            figures = running.finish()
    assert kinds(figures) == {} and "responses compared byte by byte" in running.said
