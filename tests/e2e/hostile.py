"""hostile.py — clients that mean no good, each kind a function of (server address, when to stop), and all at once in threads.

They hold what they can get and use next to no processor, so that who suffers beside them suffers of the server.
"""
import contextlib
import random
import re
import resource
import select
import socket
import subprocess
import threading
import time

import harness

LARGE = "/large.dat"
SMALL = "/1024.bin"


@contextlib.contextmanager
def descriptors(wanted):
    """This process may have so many open. Yields how many more it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    try:
        yield max(soft, most) - 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(address, receive_buffer=None):
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(5)
    connection.connect(address)
    return connection


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def silent(address, count):
    """COUNT connections that say nothing; to be closed by the caller."""
    return [connect(address) for _ in range(count)]


def is_over(connection):
    """The server has ended it: there is an end, or a reset, behind what it sent."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    if not poll.poll(0):
        return False
    try:
        return connection.recv(1 << 16, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


# ---- kinds: each makes one connection and does its harm on it, a piece at each call of what it yields ----

def byte_a_second_of_a_head(address):
    connection = connect(address)
    for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000:
        yield connection.send(bytes([byte]))


def byte_a_second_of_a_body(address):
    connection = connect(address)
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
    while True:
        yield connection.send(b"x")


def byte_a_second_of_a_chunk(address):
    connection = connect(address)
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for byte in b"fffffff\r\n" + b"x" * 1000:
        yield connection.send(bytes([byte]))


def reader_of_hundred_bytes_a_second(address):
    connection = connect(address, receive_buffer=4096)
    connection.send(f"GET {LARGE} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    while connection.recv(100):
        yield 100


def pipeline_that_never_reads(address):
    connection = connect(address, receive_buffer=4096)
    connection.send(f"GET {LARGE} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 500)
    while True:
        yield connection.fileno()


def chunk_sizes(address):
    """Zeros, the largest there are, one byte each, and what is none."""
    chance = random.Random(5)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for size in (b"0" * 5000, b"f" * 16, b"f" * 17, b"-1", b"0x10", b"1;" + b"e" * 5000, b"7fffffffffffffff", b"\r\n"):
        connection = connect(address)
        connection.send(head + size + b"\r\n")
        yield connection.close()
    connection = connect(address)
    connection.send(head)
    for _ in range(200):
        yield connection.send(b"1;" + chance.randbytes(8).hex().encode() + b"\r\nx\r\n")


def ranges(address):
    """A hundred thousand of them, and as many as a head holds."""
    for count in (100_000, 5000):
        connection = connect(address)
        with contextlib.suppress(OSError):
            connection.sendall(f"GET {LARGE} HTTP/1.1\r\nHost: a\r\nRange: bytes=".encode() + b"0-," * count + b"1-2\r\n\r\n")
        yield connection.close()


def header_flood(address):
    connection = connect(address)
    with contextlib.suppress(OSError):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 5000)
    yield connection.close()


def resets(address):
    """At each step of a connection's life."""
    request = f"GET {LARGE} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    for sent in (b"", b"G", request[:-2], request, request * 20,
                 b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1234",
                 b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
                 request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")):
        for wait in (0, 0.05):
            connection = connect(address)
            connection.send(sent)
            if wait and sent.endswith(b"\r\n\r\n"):
                connection.recv(1000)
            yield reset(connection)


HOLDERS = [byte_a_second_of_a_head, byte_a_second_of_a_body, byte_a_second_of_a_chunk, reader_of_hundred_bytes_a_second,
           pipeline_that_never_reads]
COMERS = [chunk_sizes, ranges, header_flood, resets]


def do_harm(kind, address, stopped, pause):
    """KIND over and over until STOPPED, a piece each PAUSE seconds."""
    while not stopped.is_set():
        with contextlib.suppress(OSError):
            for _ in kind(address):
                if stopped.wait(pause):
                    break
        stopped.wait(pause)


@contextlib.contextmanager
def crowd(address, holders=8, comers=2, pause=1):
    """So many of each kind while this lasts: those that hold on move once in PAUSE seconds."""
    stopped = threading.Event()
    threads = [threading.Thread(target=do_harm, args=(kind, address, stopped, pause)) for kind in HOLDERS * holders]
    threads += [threading.Thread(target=do_harm, args=(kind, address, stopped, 0.05)) for kind in COMERS * comers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


# ---- slowhttptest ----

MODES = {
    "headers": ["-H", "-i", "1"],
    "body": ["-B", "-i", "1", "-s", "8192"],
    "ranges": ["-R", "-a", "1", "-b", "3000"],
    "read": ["-X", "-n", "1", "-z", "5", "-w", "16", "-y", "64", "-k", "3"],
}


def slowhttptest(url, mode, connections, seconds):
    """The process, under way; SECONDS at most."""
    return subprocess.Popen(["slowhttptest", *MODES[mode], "-c", str(connections), "-r", str(connections), "-l", str(seconds),
                             "-p", "3", "-u", url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def slowhttptest_said(process):
    """(seconds, words) of how it ended: "No open connections left" when it was let go of altogether."""
    said = re.sub("\x1b\\[[0-9;]*m", "", process.communicate(timeout=120)[0])
    return int(re.search(r"Test ended on (\d+)", said)[1]), re.search(r"Exit status: *(.*)", said)[1].strip()


def wait_over(connections, seconds):
    """Until the server has ended all of them; how many it has not, after SECONDS."""
    left, until = list(connections), time.monotonic() + seconds
    while left and time.monotonic() < until:
        left = [connection for connection in left if not is_over(connection)]
        time.sleep(0.1)  # between two looks
    return len(left)


def connections_of(server):
    return sum(worker["connections"] for worker in server.workers())


def wait_empty(server, seconds):
    harness.wait_until(lambda: connections_of(server) == 0, lambda: f"{connections_of(server)} stay", seconds)
