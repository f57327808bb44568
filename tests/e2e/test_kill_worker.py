"""kill -9 any worker at any moment: no client notices."""
import contextlib
import os
import random
import re
import signal
import time

import pytest

import harness

STORM = {"keepalive": 16, "close": 8, "idle": 100, "download": 2, "slow": 2, "pipeline": 8, "trickle": 8}


def kill_many(server, times, numbers=(signal.SIGKILL,)):
    """Kill workers, now this and now that, each as soon as the one before is succeeded."""
    chance = random.Random(3)
    slots = [worker["slot"] for worker in server.workers()]
    for _ in range(times):
        slot = chance.choice(slots)
        server.wait_succeeded(slot, server.kill_worker(slot, chance.choice(numbers)))


@pytest.mark.parametrize("workers", [1, 2])
def test_sixty_kills_under_load_are_not_noticed(loaded_server, workers):
    server = loaded_server(workers=workers)
    with harness.Judge(server.address, server.root, **STORM) as judge:
        kill_many(server, 60)
    assert judge.figures["responses"] > 1000
    assert sum(server.successions().values()) >= 60
    assert server.status()["lost_connections"] == 0


def test_crashes_are_not_noticed(loaded_server):
    server = loaded_server()
    crashes = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)
    with harness.Judge(server.address, server.root, **STORM):
        kill_many(server, 12, crashes)
    assert server.status()["lost_connections"] == 0


def test_idle_connections_are_not_closed(loaded_server):
    server = loaded_server(workers=2, listing=True)
    clients = [server.connect() for _ in range(200)]
    for client in clients:
        assert client.get("/1024.bin").status == 200
    for _ in range(10):
        for slot in (0, 1):
            server.wait_succeeded(slot, server.kill_worker(slot))
    assert all(client.is_quiet() for client in clients)
    for client in clients:
        assert client.get("/1024.bin").status == 200
        client.close()


def test_half_a_request_survives(loaded_server):
    server = loaded_server(workers=1)
    whole = (server.root / "999.bin").read_bytes()
    with server.connect() as client:
        for piece in (b"GET /99", b"9.bin HTTP/1", b".1\r\nHost:", b" a\r\n", b"\r", b"\n"):
            server.wait_succeeded(0, server.kill_worker(0))
            client.send(piece)
        assert client.read().body == whole


def test_half_a_body_survives(loaded_server):
    server = loaded_server(workers=1)
    with server.connect() as client:
        client.request("/1.bin", "Transfer-Encoding: chunked")
        for piece in (b"5\r\n123", b"45\r", b"\n0\r\n", b"\r\n"):
            server.wait_succeeded(0, server.kill_worker(0))
            client.send(piece)
        assert client.read().status == 200
        assert client.get("/1.bin").status == 200


def has_open(pid, path):
    for fd in harness.open_descriptors(pid):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/{pid}/fd/{fd}").startswith(str(path)):
                return True
    return False


def test_a_small_file_on_its_way_survives_without_the_file(loaded_server):
    """Its bytes are in the cell: neither worker nor successor has it open, and it may be gone."""
    asked = 2000
    server = loaded_server(workers=1, file_cache_valid="0s")
    small = server.root / "small.txt"
    small.write_bytes(random.Random(5).randbytes(4096))
    whole = small.read_bytes()
    harness.wait_until(lambda: time.time() > small.stat().st_ctime + 0.5, "the file does not grow older")
    with server.connect(receive_buffer=4096) as client:
        client.send(f"GET /small.txt HTTP/1.1\r\nHost: {client.host}\r\n\r\n" * asked)
        assert client.wait_readable(harness.PATIENCE_S)
        pid = server.workers()[0]["pid"]
        harness.wait_until(lambda: harness.proc_status(pid)["State"][0] == "S", "the client is not waited for")
        assert not has_open(pid, small)
        small.unlink()
        server.wait_succeeded(0, server.kill_worker(0))
        bodies = []
        for number in range(asked):
            if number in (1, 3, 10, 100):
                server.wait_succeeded(0, server.kill_worker(0))
            response = client.read()
            bodies.append(response.body if response.status == 200 else None)
    kept = bodies.index(None)
    assert 0 < kept < asked and set(bodies[:kept]) == {whole} and set(bodies[kept:]) == {None}


def test_a_download_survives_many_kills(loaded_server):
    server = loaded_server(workers=1)
    whole = (server.root / "large.dat").read_bytes()
    with server.connect(receive_buffer=16384) as client:
        client.request("/large.dat")
        assert client.read_head()["Content-Length"] == str(len(whole))
        body = b""
        for _ in range(10):
            body += client.take(len(whole) // 11)
            server.wait_succeeded(0, server.kill_worker(0))
        assert body + client.take(len(whole) - len(body)) == whole
        assert client.get("/1.bin").status == 200


def test_a_connection_in_the_accept_queue_survives(loaded_server):
    server = loaded_server(workers=1)
    worker = server.workers()[0]
    os.kill(worker["pid"], signal.SIGSTOP)
    with server.connect() as client:
        client.request("/1.bin")
        os.kill(worker["pid"], signal.SIGKILL)
        assert client.read().status == 200
    server.wait_succeeded(0, worker["pid"])


def test_a_worker_and_then_its_successor_at_once(loaded_server):
    """Killed again while it adopts: the old keeper leaves only when the new one stands."""
    server = loaded_server(workers=1)
    chance = random.Random(5)
    with harness.Judge(server.address, server.root, **STORM):
        for _ in range(10):
            first = server.kill_worker(0)
            second = wait_for_child(server, first)
            pause = time.monotonic() + chance.random() * 0.004  # a random instant of its adopting
            while time.monotonic() < pause:
                pass
            os.kill(second, signal.SIGKILL)
            harness.wait_until(lambda: server.is_serving() and server.workers()[0]["pid"] not in (first, second),
                               server.log)
    assert server.status()["lost_connections"] == 0


def wait_for_child(server, predecessor):
    """The pid of worker 0's successor, as early as the process is there."""
    supervisor = server.supervisor_pid()

    def look():
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != predecessor:
                status = harness.proc_status(name)
                words = harness.read_proc(name, "cmdline")
                if status.get("PPid") == str(supervisor) and status["State"][0] not in "ZX" and b"worker 0" in words:
                    return int(name)
        return None
    return harness.wait_until(look, server.log)


def test_the_keeper_alone_is_renewed_unnoticed(loaded_server):
    server = loaded_server(workers=2)
    with harness.Judge(server.address, server.root, **STORM):
        for turn in range(10):
            worker = server.workers()[turn % 2]
            server.wait_new_keeper(worker["slot"], server.kill_worker(worker["slot"], keeper=True))
            assert next(w for w in server.workers() if w["slot"] == worker["slot"])["pid"] == worker["pid"]
    kill = server.kill_worker(0)
    server.wait_succeeded(0, kill)  # the new keeper is good for something


def kill_both(server, slot):
    """Kill a worker and its keeper with nobody acting in between: the supervisor is stopped meanwhile."""
    worker = next(w for w in server.workers() if w["slot"] == slot)
    supervisor = server.supervisor_pid()
    os.kill(supervisor, signal.SIGSTOP)
    try:
        harness.wait_until(lambda: harness.proc_status(supervisor)["State"][0] == "T", "the supervisor goes on")
        for pid in (worker["pid"], worker["keeper_pid"]):
            os.kill(pid, signal.SIGKILL)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    return worker["pid"]


def test_both_at_once_lose_their_connections_and_nothing_else(loaded_server):
    server = loaded_server(workers=1)
    with server.connect() as client:
        assert client.get("/1.bin").status == 200
        pid = kill_both(server, 0)
        with server.connect() as other:  # never refused
            assert other.get("/1.bin").status == 200
        with pytest.raises((ConnectionError, harness.Closed)):
            client.get("/1.bin")
    server.wait_succeeded(0, pid)
    assert server.status()["lost_connections"] == 1
    assert "worker 0 gen 1: its keeper is gone too: 1 connections are lost" in server.log()
    assert "1 connections were lost with a worker and its keeper" in server.verb("status").stdout


def assert_never_refused(figures):
    """Connections may be lost with both processes that held them; no new one is turned away, and no answer wrong."""
    trouble = figures["trouble"]
    assert not {kind for kind in trouble if trouble[kind]} - {"reset", "early_eof", "unanswered"}, trouble
    assert figures["responses"] > 100


def test_new_connections_are_never_refused(loaded_server):
    """Worker and keeper killed together, again and again: old connections are lost, new ones always get in."""
    server = loaded_server(workers=2)
    with contextlib.closing(harness.Judge(server.address, server.root, close=16)) as judge:
        for turn in range(10):
            server.wait_succeeded(turn % 2, kill_both(server, turn % 2))
        assert_never_refused(judge.finish())


def test_a_worker_killed_while_it_makes_a_new_keeper_is_replaced_at_once(loaded_server):
    """The keeper, and up to a millisecond later its worker: the supervisor once waited for a successor that nobody was
    left to fork, until ready_timeout."""
    server = loaded_server(workers=1, ready_timeout="60s")
    chance = random.Random(17)
    with contextlib.closing(harness.Judge(server.address, server.root, close=16)) as judge:
        for _ in range(100):
            worker = server.wait_serving()[0]
            harness.kill(worker["keeper_pid"], signal.SIGKILL)
            pause = time.monotonic() + chance.random() * 0.001  # a random instant of what it does now
            while time.monotonic() < pause:
                pass
            harness.kill(worker["pid"], signal.SIGKILL)
        server.wait_serving()
        assert_never_refused(judge.finish())


def test_timeouts_go_on_across_succession(loaded_server):
    server = loaded_server(workers=1, idle_timeout="1500ms")
    began = time.monotonic()
    with server.connect() as client:
        assert client.get("/1.bin").status == 200
        for _ in range(5):
            server.wait_succeeded(0, server.kill_worker(0))
        client.assert_closed()
    assert 1.4 < time.monotonic() - began < 4


def test_a_worker_that_cannot_live_long_keeps_the_port_open(loaded_server):
    """A crash loop backs off, and recovers by itself."""
    server = loaded_server(workers=1)
    deadline = time.monotonic() + 2
    kills = 0
    while time.monotonic() < deadline:
        pid = next((w["pid"] for w in server.workers() if w["state"] == "serving"), 0)
        if pid and harness.crash(pid):
            kills += 1
    with server.connect() as client:  # accepted by the kernel, served when a worker is there again
        assert client.get("/1.bin").status == 200
    server.wait_serving()
    assert kills > 3


def test_a_crash_loop_backs_off_twice_as_long_each_time_and_ends_by_itself(loaded_server):
    server = loaded_server(workers=1)
    waits = [10, 20, 40, 80, 160, 320, 640]  # BACKOFF_FIRST_MS, and on; the first crash costs nothing
    with server.connect() as idle:
        assert idle.get("/1.bin").status == 200
        pid = 0
        for _ in range(1 + len(waits)):
            pid = server.wait_succeeded(0, pid)["pid"]
            assert harness.crash(pid)
        harness.wait_until(lambda: server.workers()[0]["state"] == "backing off", lambda: server.workers())
        with server.connect() as client:  # while there is no worker at all, for more than half a second
            assert client.get("/1.bin").status == 200
        assert idle.get("/1.bin").status == 200
    assert [int(ms) for ms in re.findall(r"cannot live long .*: waiting (\d+) ms", server.log())] == waits
    assert server.wait_serving()[0]["successions"]["crash"] == 1 + len(waits)
    assert server.status()["lost_connections"] == 0


def test_the_log_has_a_line_for_each_succession(loaded_server):
    server = loaded_server(workers=1)
    for _ in range(3):
        server.wait_succeeded(0, server.kill_worker(0))
    lines = [line for line in server.log().splitlines() if "succeeded after kill -9" in line]
    assert len(lines) == 3 and all("worker 0" in line and " ms" in line for line in lines)
    death = server.workers()[0]["last_death"]
    assert death["signal"] == signal.SIGKILL
