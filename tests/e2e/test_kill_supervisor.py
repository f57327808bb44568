"""kill -9 of the supervisor: within a second there is another one, with the same sockets and the same workers, that does
all the one before would have done; no client notices."""
import contextlib
import os
import re
import signal
import subprocess
import time

import pytest

import harness
from test_oom_kill_is_a_crash import cgroup  # noqa: F401  (a fixture)
from test_poisoned_request_costs_only_itself import TargetServer

STORM = {"keepalive": 12, "close": 8, "idle": 50, "download": 2, "slow": 1, "pipeline": 4}
GAP_S = 5 if harness.SANITIZED else 1


def processes(server):
    """Who serves: of each slot its worker and its keeper."""
    return {w["slot"]: (w["pid"], w["keeper_pid"]) for w in server.workers()}


def listeners(pid):
    """The listening TCP sockets that process PID has open, by inode: another socket is another inode."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        listening = {f"socket:[{line.split()[9]}]" for line in table if line.split()[3] == "0A"}
    return harness.links_of(pid) & listening


def pid_file(server):
    with contextlib.suppress(OSError, ValueError):
        return int((server.run_dir / "perdure.pid").read_text())
    return 0


def is_in_office(server, former):
    """Another one than FORMER is the supervisor: the pid file says so, it holds the lock, and it answers."""
    pid = pid_file(server)
    status = server.status() if pid != former and harness.is_alive(pid) else None
    return status and status["supervisor"]["pid"] == pid and status["supervisor"]["keeper_pid"] > 0 and pid


def kill_supervisor(server):
    """Returns the new one's pid, once it is in office; that takes no second."""
    former = server.supervisor_pid()
    began = time.monotonic()
    os.kill(former, signal.SIGKILL)
    pid = harness.wait_until(lambda: is_in_office(server, former), server.log)
    assert time.monotonic() - began < GAP_S
    return pid


def holds_lock(server, pid):
    inode = (server.run_dir / "perdure.lock").stat().st_ino
    with open("/proc/locks", encoding="ascii") as table:
        held = any(f":{inode} " in line and "FLOCK" in line and "WRITE" in line for line in table)
    return held and str(server.run_dir / "perdure.lock") in harness.links_of(pid)


def wait_whole(server):
    """Nothing is under way: every worker serves and has a keeper, and so has the supervisor."""
    def look():
        status = server.status()
        return status and not status["supervisor"]["rolling"] and status["supervisor"]["keeper_pid"] > 0 and \
            len(status["workers"]) == status["workers_wanted"] and \
            all(w["state"] == "serving" and w["pid"] > 0 and w["keeper_pid"] > 0 for w in status["workers"])
    harness.wait_until(look, lambda: f"{server.status()}\n{server.log()}")


def begin(server, verb, *arguments):
    """The verb under way."""
    return subprocess.Popen(server.command(verb, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, env=server.environment())


def result(caller):
    said = caller.communicate(timeout=60)[0]
    return caller.returncode, said


# ---- nothing is under way ----

def test_ten_kills_in_a_row_change_nothing_but_a_pid(loaded_server):
    server = loaded_server()
    before, sockets = processes(server), listeners(server.supervisor_pid())
    assert len(sockets) == 1
    with harness.Judge(server.address, server.root, **STORM):
        for turn in range(10):
            pid = kill_supervisor(server)
            assert processes(server) == before
            assert listeners(pid) == sockets
            assert holds_lock(server, pid)
            assert harness.read_proc(pid, "comm") == b"perdure\n"
            assert server.status()["supervisor"]["takeovers"] == turn + 1
    assert server.status()["lost_connections"] == 0
    assert server.successions()["kill"] == 0


def test_signals_do_afterwards_what_they_did_before(loaded_server):
    server = loaded_server()
    with harness.Judge(server.address, server.root, **STORM):
        pid = kill_supervisor(server)
        server.write_config(idle_timeout="50s")
        os.kill(pid, signal.SIGHUP)
        harness.wait_until(lambda: "SIGHUP" in ((server.status() or {}).get("last_result") or {}).get("by", ""), server.log)
        pid = kill_supervisor(server)
        generation = server.status()["generation"]
        os.kill(pid, signal.SIGUSR2)
        harness.wait_until(lambda: (server.status() or {}).get("generation", 0) > generation, server.log)
        wait_whole(server)
        pid = kill_supervisor(server)
        os.kill(pid, signal.SIGTTIN)
        harness.wait_until(lambda: len(server.wait_serving()) == 3, server.log)
    os.kill(kill_supervisor(server), signal.SIGTERM)
    harness.wait_until(lambda: not harness.processes_of(server.directory, server.token), server.log)


def test_from_the_instant_on_in_which_it_is_said_to_run(loaded_server):
    """It told its starter first, and made its keeper then."""
    server = loaded_server()
    for _ in range(8):
        server.stop("--now")
        subprocess.run(server.command("start"), check=True, capture_output=True, env=server.environment())
        former = pid_file(server)
        os.kill(former, signal.SIGKILL)
        harness.wait_until(lambda former=former: is_in_office(server, former), server.log)


def test_its_keeper_is_replaced_when_it_is_killed(loaded_server):
    server = loaded_server()
    before, pid = processes(server), server.supervisor_pid()
    with harness.Judge(server.address, server.root, **STORM):
        for _ in range(10):
            keeper = server.status()["supervisor"]["keeper_pid"]
            os.kill(keeper, signal.SIGKILL)
            harness.wait_until(lambda: server.status()["supervisor"]["keeper_pid"] not in (0, keeper), server.log)
        assert server.supervisor_pid() == pid
        kill_supervisor(server)  # the last keeper is good for something
    assert processes(server) == before


# ---- in the middle of something ----

def test_a_reload_goes_on(loaded_server):
    server = loaded_server(workers=3)
    with harness.Judge(server.address, server.root, **STORM):
        for turn in range(8):
            server.write_config(idle_timeout=f"{50 + turn}s")
            reload = begin(server, "reload")
            pause = time.monotonic() + turn * 0.006  # now here, now there
            while time.monotonic() < pause:
                pass
            kill_supervisor(server)
            code, said = result(reload)
            assert code == 0, said
            wait_whole(server)
            assert server.status()["generation"] == turn + 2, said
    assert server.status()["lost_connections"] == 0


def test_a_worker_killed_at_the_same_time_is_succeeded(loaded_server):
    server = loaded_server()
    with harness.Judge(server.address, server.root, **STORM):
        for turn in range(10):
            worker = server.workers()[turn % 2]
            os.kill(worker["pid"], signal.SIGKILL)
            kill_supervisor(server)
            wait_whole(server)
            assert processes(server)[worker["slot"]][0] != worker["pid"]
    assert server.status()["lost_connections"] == 0


def test_a_restart_goes_on_or_is_put_back(loaded_server):
    server = loaded_server(workers=3)
    with harness.Judge(server.address, server.root, **STORM):
        for turn in range(6):
            before = server.status()["generation"]
            restart = begin(server, "restart")
            pause = time.monotonic() + turn * 0.012
            while time.monotonic() < pause:
                pass
            kill_supervisor(server)
            code, said = result(restart)
            wait_whole(server)
            assert (code == 0) == (server.status()["generation"] > before), said
            assert code == 0 or "refused: generation" in said
    assert server.status()["lost_connections"] == 0


def test_a_handing_over_goes_on(loaded_server):
    server = loaded_server(workers=4)
    with harness.Judge(server.address, server.root, **STORM):
        for count in (1, 4, 2, 3, 1):
            server.write_config(workers=count)
            os.kill(server.supervisor_pid(), signal.SIGHUP)
            harness.wait_until(lambda: server.status() and server.status()["workers_wanted"] == count, server.log)
            kill_supervisor(server)
            wait_whole(server)
    assert server.status()["lost_connections"] == 0


@pytest.mark.parametrize("arguments", [(), ("--now",)], ids=["gracefully", "now"])
def test_a_stop_goes_on_and_leaves_nobody(loaded_server, arguments):
    server = loaded_server(workers=3, stop_timeout="3s")
    with server.connect(receive_buffer=16384) as client:
        client.request("/large.dat")  # holds the stop up
        client.read_head()
        former = server.supervisor_pid()
        stop = begin(server, "stop", *arguments)
        harness.wait_until(lambda: "stopping" in server.log(), server.log)
        harness.kill(former, signal.SIGKILL)
        if not arguments:
            assert client.take(8 << 20) == (server.root / "large.dat").read_bytes()
        code, said = result(stop)
    assert code == 0 and said == "perdure: stopped\n", said
    left = harness.processes_of(server.directory, server.token)
    assert not left, left
    assert {path.name for path in server.run_dir.iterdir()} <= harness.MAY_STAY


def test_a_hang_is_dealt_with(loaded_server):
    server = loaded_server(hang_timeout="300ms")
    with harness.Judge(server.address, server.root, **STORM):
        for turn in range(6):
            pid = server.kill_worker(turn % 2, signal.SIGSTOP)
            pause = time.monotonic() + turn * 0.08  # before it is noticed, and while it is shot
            while time.monotonic() < pause:
                pass
            kill_supervisor(server)
            server.wait_succeeded(turn % 2, pid)
    assert server.successions()["hang"] >= 5  # the last one may have been shot, and succeeded, as killed


# ---- afterwards: workers whose parent is gone ----

@pytest.fixture
def orphaned():
    """Programs with targets that crash; the supervisor has been killed once."""
    server = TargetServer(workers=1, hang_timeout="300ms")
    (server.root / "index.html").write_text("still here")
    server.start()
    kill_supervisor(server)
    yield server
    server.close()


@pytest.mark.parametrize("target, number, how", [
    ("crash", signal.SIGABRT, "crash (SIGABRT)"),
    ("segv", signal.SIGSEGV, "crash (SIGSEGV)"),
    ("exit", 0, "exit 0"),
])
def test_a_poisoned_request_costs_only_itself(orphaned, target, number, how):
    with orphaned.connect() as neighbour:
        assert neighbour.get("/").body == b"still here"
        assert orphaned.get(f"/.test/{target}").status == 500
        assert neighbour.get("/").body == b"still here"
    orphaned.wait_serving()
    assert orphaned.successions()["crash"] == 2
    assert orphaned.log().count(f"succeeded after {how}") == 2
    assert f'"GET /.test/{target} HTTP/1.1" was in hand when a worker crashed' in orphaned.log()
    death = orphaned.workers()[0]["last_death"]
    assert death["signal"] == number and death["request"] == f"GET /.test/{target} HTTP/1.1"


def test_a_request_that_hangs_its_worker_gets_500(orphaned):
    assert orphaned.get("/.test/hang").status == 500
    assert orphaned.successions()["hang"] == 2
    assert re.search('"GET /.test/hang HTTP/1.1" was in hand when a worker hung', orphaned.log())


def test_a_kill_is_told_as_one(orphaned):
    """Twice at most it is not: the OOM killer takes workers of other tests, and who dies just then may be its, too."""
    for kills in range(1, 4):
        orphaned.wait_succeeded(0, orphaned.kill_worker(0))
        assert orphaned.deaths() == kills
        death = orphaned.workers()[0]["last_death"]
        assert death["signal"] == signal.SIGKILL
        if not death["oom"]:
            break
    assert not death["oom"] and orphaned.successions()["kill"] == 1
    assert "succeeded after kill -9" in orphaned.log()


def test_an_oom_kill_is_a_crash(cgroup):  # noqa: F811  (the fixture)
    server = TargetServer(workers=1)
    try:
        (server.root / "index.html").write_text("still here")
        server.start()
        cgroup.take(kill_supervisor(server))
        for worker in server.workers():
            cgroup.take(worker["pid"])
            cgroup.take(worker["keeper_pid"])
        with server.connect() as neighbour:
            assert neighbour.get("/").body == b"still here"
            assert server.get("/.test/eat").status == 500
            assert neighbour.get("/").body == b"still here"
        assert server.successions()["crash"] == 2
        assert server.log().count("succeeded after the OOM killer (signal 9)") == 2
        server.wait_serving()
        assert server.workers()[0]["last_death"]["oom"] is True
    finally:
        server.close()
