"""Hostile clients are let go of in bounded time; good ones beside them see no trouble, and no worker dies of it."""
import contextlib
import shutil
import time

import pytest

import harness
import hostile
import tcp
import test_memory

PATIENCE = {"head_timeout": "2s", "body_timeout": "2s", "write_timeout": "2s", "idle_timeout": "4s", "linger_timeout": "1s"}
# The longest of these, those that a slow one buys back, and a machine that others use, too.
GONE_S = 20
SILENT = 10_000


@pytest.fixture
def site(loaded_server):
    def make(**keys):
        return loaded_server(**{"workers": 2, **PATIENCE, **keys})

    return make


def good_clients(server):
    """They ask often enough to rest for less than idle_timeout."""
    return harness.Judge(server.address, server.root, keepalive=8, close=4, idle=8, pipeline=2)


def assert_nobody_died(server):
    assert set(server.successions().values()) == {0}, server.log()


needs_slowhttptest = pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="slowhttptest is not installed")


@needs_slowhttptest
@pytest.mark.parametrize("mode", ["headers", "body", "ranges"])
def test_slowhttptest_has_no_connection_left(site, mode):
    server = site()
    with good_clients(server):
        process = hostile.slowhttptest(f"{server.url}{hostile.LARGE}", mode, connections=200, seconds=60)
        seconds, ended = hostile.slowhttptest_said(process)
        assert ended == "No open connections left" and seconds < GONE_S, (seconds, ended)
    assert_nobody_died(server)


@needs_slowhttptest
def test_slowhttptest_that_reads_slowly_is_let_go_of(site):
    """It does not notice: what its kernel and ours hold for it lasts for hours, at five bytes a second."""
    server = site()
    with good_clients(server):
        process = hostile.slowhttptest(f"{server.url}{hostile.LARGE}", "read", connections=200, seconds=60)
        harness.wait_until(lambda: sum(worker["ended_by_timeout"] for worker in server.workers()) >= 200,
                           lambda: f"they stay: {server.workers()}", GONE_S)
        process.terminate()
        process.communicate()
    assert_nobody_died(server)


@pytest.mark.sanitized
def test_a_crowd_of_every_kind_costs_good_clients_nothing(site):
    server = site()
    with good_clients(server), hostile.crowd((server.host, server.port), pause=0.5):
        time.sleep(8)  # that is how long they go on
    hostile.wait_empty(server, GONE_S)
    assert sum(worker["too_slow"] for worker in server.workers()) > 0
    assert_nobody_died(server)


def test_ten_thousand_silent_connections_cost_good_clients_nothing_and_end(site):
    server = site(idle_timeout="6s")
    with hostile.descriptors(SILENT + 1000) as room, contextlib.ExitStack() as stack:
        if room < SILENT:
            pytest.skip(f"this process may open {room} descriptors only")
        with good_clients(server):
            connections = hostile.silent((server.host, server.port), SILENT)
            for connection in connections:
                stack.enter_context(connection)
            assert hostile.wait_over(connections, GONE_S + 10) == 0
    hostile.wait_empty(server, GONE_S)
    assert_nobody_died(server)


def kernel_queues(server):
    """Bytes that the kernel has for each client of SERVER and was not told that it has."""
    mine = tcp.hexadecimal((server.host, server.port))
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    return [int(row[4].split(":")[0], 16) for row in rows if row[1] == mine and row[3] == "01"]


def test_a_client_that_takes_nothing_has_little_of_the_kernels_memory(site):
    """It had megabytes, on fast lines; a few hundred such, and every other client waited for seconds."""
    server = site(write_timeout="1m")
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            client = stack.enter_context(server.connect(receive_buffer=65536))
            client.request(hostile.LARGE)
        harness.wait_until(lambda: len(kernel_queues(server)) == 16 and min(kernel_queues(server)) > 100_000,
                           "they are sent nothing")
        assert max(kernel_queues(server)) <= 512 * 1024


def test_memory_of_requests_is_bounded_by_what_the_manual_says(site):
    server = site(workers=1, connections=200, head_timeout="1m")
    desk, slot, rest = 88 * 1024, 120, 1024 * 1024
    pid = server.wait_serving()[0]["pid"]
    long_head = b"GET /1024.bin HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"x" * 15_000
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(hostile.connect((server.host, server.port)))
            connection.sendall(long_head)
        harness.wait_until(lambda: test_memory.cell_bytes(pid) > 200 * 15_000, "what they sent does not come")
        assert hostile.connections_of(server) == 200
        assert test_memory.cell_bytes(pid) <= 200 * (desk + slot) + rest
