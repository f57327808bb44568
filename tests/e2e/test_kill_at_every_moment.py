"""kill -9 in the middle of one thing at a time: a head, a series of requests, a body, a gigabyte, a storm of accepts.

Unlike the judge, which does all of it at once, each test here makes sure that the kills come while just that goes on.
"""
import contextlib
import mmap
import random
import socket
import threading

import pytest

import harness
from test_kill_worker import kill_many

pytestmark = pytest.mark.sanitized

KILLS = 12
GIGABYTE = 1 << 30


class Killing(threading.Thread):
    """Kills worker 0, each time as soon as it is succeeded, until told to end. COUNT: how often, so far."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.count = 0
        self.fault = None
        self.over = threading.Event()

    def run(self):
        try:
            while not self.over.is_set():
                self.server.wait_succeeded(0, self.server.kill_worker(0))
                self.count += 1
        except BaseException as fault:  # pylint: disable=broad-except  (told to who waits for us)
            self.fault = fault

    def goes_on(self):
        """Not killed often enough yet."""
        assert self.fault is None, self.fault
        return self.count < KILLS


@contextlib.contextmanager
def killing(server):
    """Meanwhile its only worker is killed again and again, KILLS times at least."""
    thread = Killing(server)
    thread.start()
    try:
        yield thread
    finally:
        thread.over.set()
        thread.join()
    assert not thread.goes_on()
    assert server.status()["lost_connections"] == 0


def test_a_byte_that_is_called_urgent_costs_no_connection(loaded_server):
    """It was left out of what was read, but not of what the kernel had counted: so a successor dropped the connection."""
    server = loaded_server(workers=1)
    with server.connect() as client:
        client.send("GET /999.bin HTTP/1.1\r\nHost: a\r\nX-Urgent: ")
        client.socket.send(b"!", socket.MSG_OOB)
        server.wait_succeeded(0, server.kill_worker(0))
        client.send("\r\n\r\n")
        assert client.read().body == (server.root / "999.bin").read_bytes()
        server.wait_succeeded(0, server.kill_worker(0))
        assert client.get("/1.bin").status == 200


def bodies_of(server, names):
    return {name: (server.root / name).read_bytes() for name in names}


def test_a_head_survives_a_kill_at_each_of_its_bytes(loaded_server):
    server = loaded_server(workers=1)
    request = b"GET /999.bin HTTP/1.1\r\nHost: a\r\nX-Empty:\r\n\r\n"
    with server.connect() as client:
        for at in range(len(request)):
            client.send(request[at:at + 1])
            server.wait_succeeded(0, server.kill_worker(0))  # perhaps before it read that byte, perhaps after
        assert client.read().body == (server.root / "999.bin").read_bytes()
        assert client.is_quiet()
    assert server.deaths() == len(request)


def test_pipelined_series_are_answered_whole_and_in_order(loaded_server):
    server = loaded_server(workers=1)
    chance = random.Random(11)
    bodies = bodies_of(server, ("0.bin", "1.bin", "1024.bin", "4097.bin", "65536.bin", "200000.bin"))
    with server.connect(receive_buffer=16384) as client, killing(server) as kills:
        while kills.goes_on():
            names = [chance.choice(list(bodies)) for _ in range(64)]
            client.send("".join(f"GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n" for name in names))
            for name in names:
                assert client.read().body == bodies[name]
        assert client.is_quiet()


def some_chunks():
    """A megabyte or so of them, of all sizes."""
    chance = random.Random(12)
    sizes = chance.choices((1, 15, 16, 255, 4096, 50_000), k=100)
    return b"".join(b"%x;a=b\r\n%b\r\n" % (size, chance.randbytes(size)) for size in sizes)


def test_a_chunked_body_is_discarded_to_its_last_byte(loaded_server):
    """Were one byte of it counted twice or not at all, the next request would not be found behind it."""
    server = loaded_server(workers=1, body_limit="1024g")
    chunks = some_chunks()
    with server.connect() as client, killing(server) as kills:
        client.request("/1.bin", "Transfer-Encoding: chunked")
        while kills.goes_on():
            client.send(chunks)
        client.send(b"0\r\nX-Trailer: 0\r\n\r\nGET /999.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read().body == (server.root / "1.bin").read_bytes()
        assert client.read().body == (server.root / "999.bin").read_bytes()
        assert client.is_quiet()


def make_gigabyte(path):
    """Hardly a block of it is on the disk, and yet every part of it is different."""
    with open(path, "wb") as file:
        file.truncate(GIGABYTE + 4099)
        for offset in range(0, GIGABYTE, 1 << 22):
            file.seek(offset + offset // 9973)
            file.write(b"this is at %d" % offset)


def test_a_gigabyte_by_sendfile_comes_whole(loaded_server):
    server = loaded_server(workers=1)
    path = server.root / "gigabyte.bin"
    make_gigabyte(path)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole, \
            server.connect() as client, killing(server) as kills:
        while kills.goes_on():
            client.request("/gigabyte.bin")
            assert client.read_head()["Content-Length"] == str(len(whole))
            for at in range(0, len(whole), 1 << 20):
                part = whole[at:at + (1 << 20)]
                assert client.take(len(part)) == part, f"wrong between {at} and {at + len(part)}"
        assert client.get("/1.bin").status == 200


def test_a_storm_of_accepts_loses_no_connection(loaded_server):
    """The judge's clients ask once and go, so that a kill finds connections that no slot speaks of yet."""
    server = loaded_server(workers=1)
    with harness.Judge(server.address, server.root, close=48) as judge:
        kill_many(server, 3 * KILLS)
    assert judge.figures["responses"] > 100
    assert server.status()["lost_connections"] == 0
