"""A worker that makes no progress is noticed, killed and succeeded; its clients only waited."""
import os
import signal

import pytest

import harness

HANG_MS = 200


def test_a_stopped_worker_is_succeeded(loaded_server):
    server = loaded_server(workers=1, hang_timeout=f"{HANG_MS}ms")
    with server.connect() as client:
        assert client.get("/1.bin").status == 200
        pid = server.kill_worker(0, signal.SIGSTOP)
        client.request("/1024.bin")
        assert client.read().body == (server.root / "1024.bin").read_bytes()
    successor = server.wait_succeeded(0, pid)
    assert successor["successions"]["hang"] == 1
    assert not harness.is_alive(pid)


def test_clients_of_hung_workers_only_wait(loaded_server):
    server = loaded_server(workers=2, hang_timeout=f"{HANG_MS}ms")
    with harness.Judge(server.address, server.root, keepalive=16, close=8, idle=50, download=2, pipeline=4) as judge:
        for turn in range(10):
            server.wait_succeeded(turn % 2, server.kill_worker(turn % 2, signal.SIGSTOP))
    assert server.successions()["hang"] >= 10
    assert judge.figures["longest_pause_ms"] < 15 * HANG_MS


@pytest.mark.parametrize("slot", [0, 1])
def test_a_connection_that_wakes_a_stopped_worker_is_taken_by_another(loaded_server, slot):
    """It waited until somebody else connected, or the stopped one was found hung."""
    server = loaded_server(workers=2, hang_timeout="1m")
    pid = server.workers()[slot]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        with server.connect() as client:
            assert client.get("/1.bin").status == 200
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_worker_with_nothing_to_do_is_not_taken_for_hung(loaded_server):
    server = loaded_server(workers=2, hang_timeout=f"{HANG_MS}ms")
    before = [worker["pid"] for worker in server.workers()]
    with server.connect() as client:
        assert not client.wait_readable(5 * HANG_MS / 1000)  # nothing is to happen meanwhile
    assert [worker["pid"] for worker in server.workers()] == before


def test_a_busy_worker_is_not_taken_for_hung(loaded_server):
    server = loaded_server(workers=1, hang_timeout=f"{HANG_MS}ms")
    pid = server.workers()[0]["pid"]
    with harness.Judge(server.address, server.root, seconds=2, keepalive=64, download=4) as judge:
        judge.wait()
        assert server.workers()[0]["pid"] == pid


def test_a_stopped_keeper_holds_nobody_up(loaded_server):
    server = loaded_server(workers=1)
    worker = server.workers()[0]
    os.kill(worker["keeper_pid"], signal.SIGSTOP)
    with server.connect() as client:
        assert client.get("/1.bin").status == 200
    os.kill(worker["keeper_pid"], signal.SIGCONT)
    server.wait_succeeded(0, server.kill_worker(0))
