"""An idle connection costs 300 bytes of the cell at most; what a burst borrows is given back to the machine."""
import contextlib
import os
import resource

import pytest

import harness

IDLE_CLIENTS = 2000
IDLE_BYTES_MOST = 300
BURST_CLIENTS = 600
HALF_A_HEAD = "GET /1024.bin HTTP/1.1\r\nHost: a\r\n" + "".join(f"X-{n}: {'x' * 250}\r\n" for n in range(32))
# Some desks stay warm: what they had on them stays, too.
STAYS_MOST = 1024 * 1024


@pytest.fixture(autouse=True)
def room_for_clients():
    """Each client is a descriptor of ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE_CLIENTS + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this process may open {hard} descriptors only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def cell_bytes(pid):
    """Memory under the cell of worker PID: its memfd's blocks, in a hole there are none."""
    for fd in harness.open_descriptors(pid):
        path = f"/proc/{pid}/fd/{fd}"
        with contextlib.suppress(FileNotFoundError):
            if "memfd:perdure-cell" in os.readlink(path):
                return os.stat(path).st_blocks * 512
    raise AssertionError(f"worker {pid} has no cell")


def worker_pid(server):
    return server.wait_serving()[0]["pid"]


def in_request(server, count):
    """So many clients, each with half a head sent, which has arrived on a desk of the worker's."""
    pid = worker_pid(server)
    before = cell_bytes(pid)
    clients = [server.connect() for _ in range(count)]
    for client in clients:
        client.send(HALF_A_HEAD)
    expected = before + count * len(HALF_A_HEAD)
    harness.wait_until(lambda: cell_bytes(pid) >= expected, lambda: f"{cell_bytes(pid)} of {expected} bytes")
    return clients


def finish(clients):
    """Every one gets its answer, and is idle then."""
    for client in clients:
        client.send("\r\n")
    for client in clients:
        assert client.read().status == 200


def close(clients):
    for client in clients:
        client.close()


def wait_given_back(pid, before, burst):
    most = before + STAYS_MOST
    harness.wait_until(lambda: cell_bytes(pid) <= most,
                       lambda: f"{before} bytes became {burst}, and of those {cell_bytes(pid)} stay", seconds=5)


def test_an_idle_connection_costs_300_bytes_at_most(loaded_server):
    server = loaded_server(workers=1)
    server.get("/1024.bin")
    pid = worker_pid(server)
    before = cell_bytes(pid)
    clients = [server.connect() for _ in range(IDLE_CLIENTS)]
    for client in clients:
        assert client.get("/1024.bin").status == 200
    assert server.workers()[0]["connections"] == IDLE_CLIENTS
    grown = cell_bytes(pid) - before
    print(f"{grown / IDLE_CLIENTS:.0f} bytes for each")
    assert grown <= IDLE_CLIENTS * IDLE_BYTES_MOST
    close(clients)


def test_a_bursts_memory_is_given_back(loaded_server):
    server = loaded_server(workers=1)
    server.get("/1024.bin")
    pid = worker_pid(server)
    before = cell_bytes(pid)
    clients = in_request(server, BURST_CLIENTS)
    burst = cell_bytes(pid)
    finish(clients)
    wait_given_back(pid, before, burst)
    close(clients)


def test_a_burst_that_outlives_its_worker_is_given_back(loaded_server):
    server = loaded_server(workers=1)
    server.get("/1024.bin")
    pid = worker_pid(server)
    before = cell_bytes(pid)
    clients = in_request(server, BURST_CLIENTS)
    burst = cell_bytes(pid)
    pid = server.wait_succeeded(0, server.kill_worker(0))["pid"]
    finish(clients)
    wait_given_back(pid, before, burst)
    close(clients)


def test_a_burst_that_is_over_when_its_worker_dies_is_given_back(loaded_server):
    """The successor finds the memory of desks that no connection speaks of any more."""
    server = loaded_server(workers=1)
    server.get("/1024.bin")
    before = cell_bytes(worker_pid(server))
    clients = in_request(server, BURST_CLIENTS)
    burst = cell_bytes(worker_pid(server))
    finish(clients)
    pid = server.wait_succeeded(0, server.kill_worker(0))["pid"]
    wait_given_back(pid, before, burst)
    for client in clients:
        assert client.get("/1024.bin").status == 200
    close(clients)
