"""A file that is replaced, removed, shortened or grown while it is served: one file's bytes, or a cut that shows."""
import os
import threading
import time

import pytest

import harness

pytestmark = pytest.mark.sanitized

LARGE = 24 * 1024 * 1024
RACE_S = 2


def write(path, byte, count=LARGE):
    path.write_bytes(bytes([byte]) * count)
    path.chmod(0o644)
    return path


@pytest.fixture
def served(make_server):
    """A Server, started, that believes nothing it has found before, of a large file of "a"."""
    server = make_server(workers=1, file_cache_valid="0s")
    write(server.root / "large.bin", ord("a"))
    return server.start()


def begin(server, target="/large.bin"):
    """A client in the midst of a response: head read, and so little of the body that the rest is not even sent."""
    client = server.connect(receive_buffer=32768)
    client.request(target)
    head = client.read_head()
    assert head.status == 200 and head["Content-Length"] == str(LARGE)
    return client


def test_who_is_in_the_midst_of_a_file_gets_the_rest_of_that_one(served):
    path = served.root / "large.bin"
    with begin(served) as replaced:
        os.replace(write(served.root / "new.bin", ord("b"), 100), path)
        assert served.get("/large.bin").body == b"b" * 100
        assert replaced.take(LARGE) == b"a" * LARGE
        assert replaced.get("/large.bin").body == b"b" * 100  # on the same connection
    write(path, ord("a"))
    with begin(served) as removed:
        path.unlink()
        assert served.get("/large.bin").status == 404
        assert removed.take(LARGE) == b"a" * LARGE


def test_a_file_that_is_shortened_meanwhile_is_cut_off_and_never_filled_up(served):
    """What is in the socket's queue are the file's own pages, of which the kernel clears what truncate(2) takes away:
    there can be NULs in what was on its way, as with every server that uses sendfile(2)."""
    for left in (LARGE // 2, 1, 0):
        with begin(served) as client:
            os.truncate(served.root / "large.bin", left)
            body = client.read_to_end()
        assert not body.strip(b"a\0") and left <= len(body) < LARGE, len(body)
        assert len(served.get("/large.bin").body) == left
        write(served.root / "new.bin", ord("a")).replace(served.root / "large.bin")
    assert served.workers()[0]["successions"]["crash"] == 0


def test_a_file_that_grows_meanwhile_is_served_to_the_length_that_was_said(served):
    with begin(served) as client:
        with open(served.root / "large.bin", "ab") as file:
            file.write(b"more")
        assert client.take(LARGE) == b"a" * LARGE
        response = client.get("/large.bin", "Range: bytes=-4")
        assert response.status == 206 and response.body == b"more"


def test_a_file_that_becomes_a_directory_or_a_pipe_is_what_it_is_then(served):
    path = served.root / "large.bin"
    with begin(served) as client:
        path.unlink()
        path.mkdir()
        assert served.get("/large.bin").status == 301
        path.rmdir()
        os.mkfifo(path)
        assert served.get("/large.bin").status == 403
        assert client.take(LARGE) == b"a" * LARGE


def whirl(path, over, sizes):
    """Put files of one letter each, of these SIZES, in the place of PATH, until it is OVER."""
    number = 0
    while not over.is_set():
        os.replace(write(path.with_name("next"), ord("a") + number % 26, sizes[number % len(sizes)]), path)
        number += 1


def test_whatever_takes_the_place_of_a_small_file_each_response_is_of_one(make_server):
    """Small files are kept in memory, so what is kept must be one state of the file, and its length the head's."""
    server = make_server(workers=1, file_cache_valid="0s")
    path, over, sizes = server.root / "small.txt", threading.Event(), (10, 3000, 1, 40_000)
    write(path, ord("a"), 10)
    server.start()
    mover = threading.Thread(target=whirl, args=(path, over, sizes))
    mover.start()
    try:
        seen, enough = set(), time.monotonic() + RACE_S
        with server.connect() as client:
            while time.monotonic() < enough or len(seen) < len(sizes):
                assert time.monotonic() < enough + harness.PATIENCE_S, seen
                response = client.get("/small.txt")
                assert response.status == 200 and len(set(response.body)) == 1, response
                seen.add(len(response.body))
        assert seen == set(sizes)
    finally:
        over.set()
        mover.join()
    assert server.workers()[0]["successions"]["crash"] == 0
