"""A worker program whose cells are laid out in another way cannot adopt: fresh workers of it take the places, one at a
time, and the old ones hand over what is idle and finish the rest, with a deadline.

Such programs are built by `make layout`: build/layout, and in build/unnumbered one that does not admit it.
"""
import os
import signal
import subprocess
import time

import pytest

import harness

OTHER = harness.BUILD / "layout"
STORM = {"keepalive": 12, "close": 8, "idle": 50, "download": 2, "slow": 2, "pipeline": 8, "trickle": 8}
CRASHES = 5  # of young workers; the last one is one too many (ROLL_CRASHES_MAX in supervisor/roll.h)


@pytest.fixture
def make_own():
    servers = []

    def make(**options):
        server = harness.OwnPrograms(**options)
        harness.fill_corpus(server.root, large_bytes=2 * 1024 * 1024)
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        server.close()


def restart(server):
    done = server.verb("restart")
    assert done.returncode == 0, done.stdout + done.stderr


def program_of(pid):
    try:
        return os.stat(f"/proc/{pid}/exe").st_ino
    except OSError:
        return 0


def wait_renewed(server, generation, count):
    """So many workers of that generation serve, and nothing of another program is left."""
    def look():
        workers = server.workers()
        return (len(workers) == count and server.is_serving() and not server.outdated()
                and all(w["generation"] == generation for w in workers))
    harness.wait_until(look, lambda: f"{server.workers()} {server.outdated()}\n{server.log()}", 30)


def by_state(server, state):
    return [w for w in server.workers() if w["state"] == state]


def wait_state(server, state):
    return harness.wait_until(lambda: by_state(server, state), lambda: f"{server.workers()}\n{server.log()}")[0]


def begin_download(server):
    (server.root / "endless.bin").write_bytes(bytes(64 << 20))
    client = server.connect(receive_buffer=16384)
    client.request("/endless.bin")
    assert client.read_head().status == 200
    return client


# ---- there and back ----

@pytest.mark.parametrize("names", [("perdure", "perdure-worker"), ("perdure-worker",)])
def test_another_layout_takes_over_and_makes_way_again_and_nobody_notices(make_own, names):
    server = make_own(workers=2)
    with harness.Judge(server.address, server.root, **STORM) as judge:
        for generation, build in ((2, OTHER), (3, harness.BUILD), (4, OTHER)):
            before = {w["pid"] for w in server.workers()}
            server.upgrade(build, names)
            restart(server)
            wait_renewed(server, generation, 2)
            assert before.isdisjoint(w["pid"] for w in server.workers())
    assert judge.figures["responses"] > 1000
    assert server.status()["lost_connections"] == 0
    assert server.successions()["upgrade"] == 0  # nobody was succeeded: there was nothing to adopt


def test_idle_connections_are_handed_to_the_new_program(make_own):
    server = make_own(workers=3)
    clients = [server.connect() for _ in range(60)]
    for client in clients:
        assert client.get("/1.bin").status == 200
    server.upgrade(OTHER)
    restart(server)
    wait_renewed(server, 2, 3)
    assert sum(w["connections"] for w in server.workers()) == len(clients)
    assert sum(w["taken"] for w in server.workers()) == len(clients)
    for client in clients:
        assert client.get("/1.bin").status == 200
        client.close()


def test_the_number_of_workers_may_change_with_the_layout(make_own):
    server = make_own(workers=4)
    with harness.Judge(server.address, server.root, **STORM):
        for generation, (count, build) in enumerate(((2, OTHER), (5, harness.BUILD), (1, OTHER)), 2):
            server.write_config(workers=count)
            server.upgrade(build)
            restart(server)
            wait_renewed(server, generation, count)
    assert server.status()["lost_connections"] == 0


# ---- deaths meanwhile ----

def test_an_old_worker_that_is_killed_while_it_hands_over_is_succeeded_by_its_own_program(make_own):
    server = make_own(workers=1)
    old = program_of(server.workers()[0]["pid"])
    with begin_download(server) as client:
        server.upgrade(OTHER)
        restart(server)
        left = 64 << 20
        for _ in range(3):
            before = wait_state(server, "giving")
            assert program_of(before["pid"]) == old
            harness.kill(before["pid"], signal.SIGKILL)
            harness.wait_until(lambda: any(w["pid"] not in (0, before["pid"]) for w in by_state(server, "giving")),
                               lambda: f"{server.workers()}\n{server.log()}")
            assert client.take(1 << 20) == bytes(1 << 20)
            left -= 1 << 20
        assert client.take(left) == bytes(left)
        wait_renewed(server, 2, 1)
        assert client.get("/1.bin").status == 200  # by the new program


def test_a_keeper_that_is_confined_hands_down_to_that_program_too(make_own):
    """It cannot exec its own program, which nobody else has any more: it sends that as well."""
    server = make_own(workers=1)
    old = program_of(server.workers()[0]["pid"])
    with begin_download(server) as client:
        server.upgrade(OTHER)
        restart(server)
        before = wait_state(server, "giving")
        harness.kill(before["keeper_pid"], signal.SIGKILL)
        harness.wait_until(lambda: any(w["keeper_pid"] not in (0, before["keeper_pid"])
                                       for w in by_state(server, "giving")), server.log)
        harness.kill(before["pid"], signal.SIGKILL)
        after = harness.wait_until(lambda: [w for w in by_state(server, "giving") if w["pid"] not in (0, before["pid"])],
                                   lambda: f"{server.workers()}\n{server.log()}")[0]
        assert program_of(after["pid"]) == old
        assert client.take(64 << 20) == bytes(64 << 20)
        wait_renewed(server, 2, 1)


def test_kills_of_old_and_new_workers_meanwhile_are_not_noticed(make_own):
    server = make_own(workers=3)
    with harness.Judge(server.address, server.root, **STORM):
        for generation, build in ((2, OTHER), (3, harness.BUILD), (4, OTHER), (5, harness.BUILD)):
            server.upgrade(build)
            asked = subprocess.Popen(server.command("restart"), env=server.environment(), stdout=subprocess.DEVNULL)
            while asked.poll() is None:
                for worker in server.workers():
                    if worker["state"] in ("serving", "giving") and worker["keeper_pid"] > 0:
                        harness.kill(worker["pid"], signal.SIGKILL)
            assert asked.returncode == 0, server.log()
            wait_renewed(server, generation, 3)
    assert server.status()["lost_connections"] == 0
    assert "gen 1: succeeded after kill" in server.log()


# ---- back ----

def test_one_that_cannot_start_is_refused_and_the_old_workers_never_stop(make_own):
    server = make_own(workers=2)
    before = [(w["pid"], w["keeper_pid"]) for w in server.workers()]
    contract = subprocess.check_output([OTHER / "perdure-worker", "--contract"], text=True).strip()
    with harness.Judge(server.address, server.root, **STORM):
        server.install("perdure-worker", f"#!/bin/sh\necho '{contract}'\n")  # it says that, and cannot do more
        done = server.verb("restart")
        assert done.returncode == 1
        said = done.stdout + done.stderr
        assert "refused: a worker of the new program died before it was ready: exit 1" in said
        assert [(w["pid"], w["keeper_pid"]) for w in server.workers()] == before
        server.upgrade()
        restart(server)
    assert server.status()["generation"] == 2


def test_one_that_does_not_admit_its_other_layout_is_put_back(make_own):
    server = make_own(workers=2)
    with harness.Judge(server.address, server.root, **STORM):
        server.upgrade(harness.BUILD / "unnumbered", ("perdure-worker",))
        done = server.verb("restart")
        assert done.returncode == 1
        assert "generation 1 serves on: the cell has another layout" in done.stdout + done.stderr
        server.wait_serving()
        assert all(w["generation"] == 1 for w in server.workers())


def test_one_that_cannot_live_makes_way_for_the_old_program_under_the_new_supervisor(make_own):
    server = make_own(workers=2)
    old = program_of(server.workers()[0]["pid"])
    with harness.Judge(server.address, server.root, **STORM):
        server.upgrade(OTHER)
        restart(server)
        killed = set()
        while len(killed) < CRASHES:
            pids = {w["pid"] for w in by_state(server, "serving") if w["generation"] == 2} - killed
            killed |= {pid for pid in list(pids)[:1] if harness.crash(pid)}
        def is_back():
            workers = server.workers()
            return (len(workers) == 2 and server.is_serving() and not server.status()["supervisor"]["rolling"]
                    and all(w["generation"] == 1 and program_of(w["pid"]) == old for w in workers))
        harness.wait_until(is_back, lambda: f"{server.workers()}\n{server.log()}", 30)
        harness.kill(server.workers()[0]["pid"], signal.SIGKILL)
        harness.wait_until(is_back, lambda: f"{server.workers()}\n{server.log()}")
    assert server.status()["lost_connections"] == 0


# ---- the deadline ----

def test_what_is_under_way_has_stop_timeout_and_then_a_graceful_stop(make_own):
    server = make_own(workers=1, stop_timeout="2s")
    with begin_download(server) as endless, server.connect() as slow:
        slow.send("GET /1.bin HTTP/1.1\r\nHo")
        harness.wait_until(lambda: server.workers()[0]["connections"] == 2, server.log)
        server.upgrade(OTHER)
        begun = time.monotonic()
        restart(server)
        assert wait_state(server, "giving")["connections"] == 2
        assert endless.take(1 << 20) == bytes(1 << 20)
        wait_state(server, "stopping")
        assert time.monotonic() - begun >= 2
        slow.send("st: a\r\n\r\n")
        response = slow.read()
        assert response.status == 200 and response["Connection"] == "close"
        slow.assert_closed()
        assert endless.take(1 << 20) == bytes(1 << 20)
        wait_renewed(server, 2, 1)
        assert 4 <= time.monotonic() - begun < 4 + harness.PATIENCE_S
        with pytest.raises((harness.Closed, ConnectionResetError)):
            endless.take(64 << 20)


def test_a_listener_that_goes_is_gone_though_an_old_worker_finishes_what_it_has(make_own):
    """The old one held the socket for as long as a slow client kept it: who connected there waited for nobody."""
    server = make_own(workers=1)
    goes = harness.free_address()
    server.listeners.append(harness.host_port(goes))
    server.write_config()
    assert server.verb("reload").returncode == 0
    with begin_download(server):
        server.listeners.pop()
        server.write_config()
        server.upgrade(OTHER)
        restart(server)
        assert by_state(server, "giving")
        with pytest.raises(ConnectionRefusedError):
            harness.Client(goes, seconds=3)
    wait_renewed(server, 3, 1)
