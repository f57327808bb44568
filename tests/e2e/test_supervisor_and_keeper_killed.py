"""The supervisor and its keeper killed at once: workers serve on, and the next start takes everything over."""
import contextlib
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import time

import harness
import pytest

LOAD = {"keepalive": 8, "close": 4, "idle": 50, "download": 1, "pipeline": 4}
GONE = "perdure: the supervisor is gone, and 2 workers serve on without one (pid "


def pids_of(server):
    status = server.status()["supervisor"]
    return status["pid"], status["keeper_pid"]


def kill_all(pids):
    """So that none of them can do anything about another's death."""
    for pid in pids:
        harness.kill(pid, signal.SIGSTOP)
    for pid in pids:
        harness.wait_until(lambda pid=pid: harness.proc_status(pid).get("State", "X")[0] in "TZX", "it does not stop")
    for pid in pids:
        harness.kill(pid, signal.SIGKILL)
    for pid in pids:
        harness.wait_until(lambda pid=pid: not harness.is_alive(pid), f"{pid} lives on")


def orphan(server):
    """Returns the pids of the supervisor and its keeper, which are dead, when every worker has noticed."""
    before = server.log().count("are gone: serving on")
    workers = server.wait_serving()
    pids = pids_of(server)
    kill_all(pids)
    if server.foreground is not None:
        server.foreground.wait(harness.PATIENCE_S)
        server.foreground = None
    harness.wait_until(lambda: server.log().count("are gone: serving on") == before + len(workers), server.log)
    return pids


def listeners_of(server):
    """The inodes of the sockets that listen on the server's address."""
    port = f"{server.port:04X}"
    host = "".join(f"{int(part):02X}" for part in reversed(server.host.split(".")))
    lines = pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    return [fields[9] for fields in map(str.split, lines) if fields[1] == f"{host}:{port}" and fields[3] == "0A"]


def worker_pids(server):
    return [w["pid"] for w in server.wait_serving()]


def assert_taken_over(server, done, dead, workers):
    assert done.returncode == 0, done.stderr
    assert done.stdout == (f"perdure: took over {workers} workers of the supervisor that died (pid {dead}); "
                           f"serving on {server.address} (pid {server.supervisor_pid()})\n")


# ---- nobody notices ----

def test_nobody_notices_and_start_takes_over_five_times(loaded_server):
    server = loaded_server()
    workers, listeners = worker_pids(server), listeners_of(server)
    assert len(listeners) == 1
    with harness.Judge(server.address, server.root, **LOAD):
        for turn in range(5):
            dead, _ = orphan(server)
            assert server.get("/1024.bin").status == 200, "no new connection is served"
            assert_taken_over(server, server.verb("start"), dead, 2)
            assert worker_pids(server) == workers and listeners_of(server) == listeners
            assert server.status()["supervisor"]["takeovers"] == turn + 1
    assert "took over 2 workers and 1 listeners from a supervisor that is gone" in server.log()
    assert server.status()["lost_connections"] == 0
    assert (server.run_dir / "perdure.pid").read_text() == f"{server.supervisor_pid()}\n"


def test_afterwards_everything_is_as_before(loaded_server):
    """Workers are succeeded, reloads and restarts renew them, and stop leaves nothing."""
    server = loaded_server()
    with harness.Judge(server.address, server.root, **LOAD):
        orphan(server)
        server.start()
        server.wait_serving()
        for slot in range(2):
            server.wait_succeeded(slot, server.kill_worker(slot))
        server.write_config(idle_timeout="77s")
        assert "-> 77s" in server.verb("reload").stdout
        done = server.verb("restart")
        assert done.returncode == 0, done.stderr
        server.wait_serving()
        os.kill(server.supervisor_pid(), signal.SIGKILL)  # its keeper alone, as ever
        harness.wait_until(server.is_serving, server.log)
        orphan(server)  # the successors have their door
        server.start()
        server.wait_serving()
    assert server.stop().returncode == 0


def test_one_in_the_foreground_takes_over_too(make_server):
    server = make_server().run()
    harness.fill_corpus(server.root)
    workers = worker_pids(server)
    with harness.Judge(server.address, server.root, **LOAD):
        orphan(server)
        server.run()
        assert worker_pids(server) == workers
        assert server.supervisor_pid() == server.foreground.pid


# ---- in the middle of something ----

def test_one_that_was_told_to_retire_serves_on(loaded_server):
    """Nobody is there any more who could have a successor forked."""
    server = loaded_server()
    workers = worker_pids(server)
    with harness.Judge(server.address, server.root, **LOAD):
        with harness.held_reload(server, idle_timeout="77s") as caller:
            kill_all(pids_of(server))
        assert caller.wait(harness.PATIENCE_S) == 1
        harness.wait_until(lambda: server.log().count("are gone: serving on") == 2, server.log)
        server.start()
        assert worker_pids(server) == workers
        assert server.status()["generation"] == 1
    caller.stdout.close()


def test_one_that_has_retired_and_has_no_successor_yet_serves_on(loaded_server):
    """It touches nothing any more then; but whoever was to go on with its connections will not come."""
    server = loaded_server()
    workers = server.wait_serving()
    keeper = workers[0]["keeper_pid"]
    server.write_config(idle_timeout="77s")
    with harness.Judge(server.address, server.root, **LOAD):
        with traced(keeper):
            with subprocess.Popen(server.command("reload"), stdout=subprocess.DEVNULL) as caller:
                harness.wait_until(lambda: server.workers()[0]["state"] == "succeeding", server.log)
                kill_all(pids_of(server))
                assert caller.wait(harness.PATIENCE_S) == 1
            harness.wait_until(lambda: server.log().count("are gone: serving on") == 2, server.log)
        harness.wait_until(lambda: not harness.is_alive(keeper), "it has nobody to wait for any more")
        server.start()
        assert worker_pids(server) == [w["pid"] for w in workers]


def supervisors(pid, server):
    """The supervisor PID and every keeper of one, also one that a restart has just made."""
    os.kill(pid, signal.SIGSTOP)
    found = harness.processes_of(server.directory, server.token)
    return [pid, *(other for other, words in found.items() if words.startswith("perdure: keeper of the supervisor"))]


@pytest.mark.parametrize("verb", ["reload", "restart"])
def test_nobody_notices_at_any_moment_of_a_renewal(loaded_server, verb):
    """Workers are of two generations then, or parked, or on their way: those that serve are found, and made one again."""
    server = loaded_server()
    chance = random.Random(3)
    with harness.Judge(server.address, server.root, **LOAD):
        for turn in range(10):
            server.wait_serving()
            server.write_config(idle_timeout=f"{100 + turn}s")
            pid, _ = pids_of(server)
            caller = subprocess.Popen(server.command(verb), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0.002, 0.08))  # any moment will do
            kill_all(supervisors(pid, server))
            caller.wait(harness.PATIENCE_S)
            done = server.verb("start")
            assert done.returncode == 0 and done.stdout.startswith("perdure: took over 2 workers "), done.stdout
            harness.wait_until(lambda: not server.status()["supervisor"]["rolling"], server.log)
            assert len({w["generation"] for w in server.wait_serving()}) == 1


# ---- meanwhile ----

def test_every_verb_says_how_it_is(server):
    dead, _ = orphan(server)
    for verb, code, where in (("status", 1, "stdout"), ("reload", 1, "stderr"), ("restart", 1, "stderr")):
        done = server.verb(verb)
        assert done.returncode == code
        assert getattr(done, where).startswith(GONE)
        assert getattr(done, where).endswith(f"; another takes over by: perdure start -c {server.config_path}\n")
    assert_taken_over(server, server.verb("start"), dead, 2)


@pytest.mark.parametrize("words", [["stop"], ["stop", "--now"]])
def test_stop_means_gone(loaded_server, words):
    server = loaded_server()
    workers = worker_pids(server)
    orphan(server)
    done = server.verb(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "perdure: stopped\n", "")
    assert not any(harness.is_alive(pid) for pid in workers)
    assert {path.name for path in server.run_dir.iterdir()} == {"perdure.lock"}
    assert server.verb("status").returncode == 3


def test_sigterm_ends_an_orphan_gracefully_and_it_is_replaced(server):
    first, second = worker_pids(server)
    orphan(server)
    os.kill(first, signal.SIGTERM)
    harness.wait_until(lambda: not harness.is_alive(first), "it lives on")
    assert server.get("/").status == 403, "the other one does not serve"
    server.start()
    assert second in worker_pids(server) and len(worker_pids(server)) == 2


def test_sigterm_is_nothing_to_one_with_a_supervisor(server):
    orphan(server)
    server.start()
    for pid in worker_pids(server):
        os.kill(pid, signal.SIGTERM)
        assert server.get("/").status == 403
    assert server.successions().get("kill", 0) == 0


def test_one_that_dies_meanwhile_is_replaced(loaded_server):
    """Its keeper is gone, so its connections are; the listeners stay open in the other."""
    server = loaded_server()
    first, second = worker_pids(server)
    listeners = listeners_of(server)
    orphan(server)
    os.kill(first, signal.SIGKILL)
    harness.wait_until(lambda: not harness.is_alive(first), "it lives on")
    assert server.get("/1024.bin").status == 200
    server.start()
    assert second in worker_pids(server) and first not in worker_pids(server)
    assert server.workers()[0]["last_death"]["pid"] == first, "its death is told of nowhere"
    assert listeners_of(server) == listeners
    assert "died without a supervisor" in server.log()


def test_a_keeper_that_is_stopped_and_did_not_leave_is_replaced(server):
    keepers = [w["keeper_pid"] for w in server.wait_serving()]
    os.kill(keepers[0], signal.SIGSTOP)
    orphan(server)
    server.start()
    assert not set(keepers) & {w["keeper_pid"] for w in server.wait_serving()}
    assert not harness.is_alive(keepers[0])


def test_one_that_is_stopped_is_woken(server):
    workers = worker_pids(server)
    orphan(server)
    os.kill(workers[0], signal.SIGSTOP)
    server.start()
    assert worker_pids(server) == workers


def test_one_that_hangs_is_killed_and_replaced(make_server, tmp_path):
    server = make_server(hang_timeout="60s")
    server.start()
    first, second = worker_pids(server)
    orphan(server)
    with traced(first):  # a tracer's stop is not ended by SIGCONT
        done = server.verb("start")
        assert done.returncode == 0 and not harness.is_alive(first)
        harness.wait_until(lambda: first not in [w["pid"] for w in server.workers()], server.log)
    assert second in worker_pids(server)


@contextlib.contextmanager
def traced(pid):
    """PID makes no step, whatever signal but SIGKILL it gets."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.ptrace(16, pid, None, None) == 0, os.strerror(ctypes.get_errno())  # PTRACE_ATTACH
    os.waitpid(pid, 0)
    try:
        yield
    finally:
        libc.ptrace(17, pid, None, None)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


# ---- the configuration ----

@pytest.mark.parametrize("text", ["nonsense\n", None])
def test_a_broken_configuration_does_not_keep_it_from_being_taken_over(loaded_server, text):
    server = loaded_server()
    dead, _ = orphan(server)
    good = server.config_text()
    if text is None:
        server.config_path.write_text(f'run_dir = "{server.run_dir}"\n')  # and nothing to serve
    else:
        server.write_config(text=text + good)
    done = server.verb("start")
    assert done.returncode == 0
    assert "the service goes on with the configuration that it has" in done.stderr or text is None
    assert server.get("/1024.bin").status == 200
    server.write_config(idle_timeout="77s")
    assert "-> 77s" in server.verb("reload").stdout
    assert str(dead) in done.stdout


def test_another_configuration_is_a_reload_away(loaded_server):
    server = loaded_server()
    orphan(server)
    server.write_config(workers=3)
    server.start()
    assert len(worker_pids(server)) == 2
    assert "workers 2 -> 3" in server.verb("reload").stdout
    harness.wait_until(lambda: len(server.wait_serving()) == 3, server.log)


# ---- log files ----

def test_renamed_log_files_are_opened_anew(loaded_server):
    server = loaded_server()
    server.write_config(access_log=str(server.access_log))
    assert server.verb("reload").returncode == 0
    orphan(server)
    server.access_log.rename(server.directory / "old")
    server.start()
    server.wait_serving()
    server.get("/1.bin")
    harness.wait_until(lambda: server.access_log.exists() and "/1.bin" in server.access_log.read_text(), server.log)


# ---- strangers ----

def fd_of(pid, name):
    """The number of the descriptor of PID that is NAME."""
    for fd in harness.open_descriptors(pid):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/{pid}/fd/{fd}").startswith(name):
                return int(fd)
    raise AssertionError(f"pid {pid} has no {name}")


@pytest.mark.skipif(not harness.IS_ROOT, reason="needs two users")
def test_the_door_is_closed_to_others(server):
    orphan(server)
    for slot in range(2):
        door = server.run_dir / f"door.{slot}"
        assert door.stat().st_mode & 0o777 == 0o600
        for user in ("nobody", "www-data"):
            code = f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect({str(door)!r})"
            done = subprocess.run(["python3", "-c", code], user=user, capture_output=True, text=True, check=False)
            assert "PermissionError" in done.stderr


@pytest.mark.skipif(not harness.IS_ROOT, reason="needs two users")
def test_a_worker_can_read_the_ledger_and_not_write_it(server):
    pid = worker_pids(server)[0]
    fd = fd_of(pid, "/memfd:perdure-ledger")
    flags = re.search(r"flags:\s+(\d+)", harness.read_proc(pid, f"fdinfo/{fd}").decode())[1]
    assert int(flags, 8) & os.O_ACCMODE == os.O_RDONLY
    held = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDONLY)
    code = (f"import os\nos.open('/proc/self/fd/{held}', os.O_RDWR)")
    done = subprocess.run(["python3", "-c", code], user="www-data", pass_fds=[held], capture_output=True, text=True,
                          check=False)
    os.close(held)
    assert "PermissionError" in done.stderr


def test_a_caller_that_says_nothing_disturbs_nobody(loaded_server):
    server = loaded_server()
    workers = worker_pids(server)
    orphan(server)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        silent.connect(str(server.run_dir / "door.0"))
        begun = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - begun < 5
    server.start()
    assert worker_pids(server) == workers


def test_a_door_goes_when_its_slot_is_empty(server):
    os.kill(server.supervisor_pid(), signal.SIGTTOU)
    harness.wait_until(lambda: {path.name for path in server.run_dir.glob("door.*")} == {"door.0"}, server.log)
    os.kill(server.supervisor_pid(), signal.SIGTTIN)
    harness.wait_until((server.run_dir / "door.1").exists, server.log)
    server.wait_serving()


def test_what_serve_left_ends_for_nobody_would_find_it(make_server):
    """Its run directory is its own: the next one has another."""
    server = make_server()
    run_dirs = server.directory / "tmp"
    run_dirs.mkdir()
    words = [str(harness.BUILD / "perdure"), "serve", str(server.root), "-l", server.address]
    with subprocess.Popen(words, env={**server.environment(), "TMPDIR": str(run_dirs)}, stdout=subprocess.PIPE) as serve:
        assert b"serving" in serve.stdout.readline()
        assert not list(run_dirs.glob("*/door.*"))
        kill_all([pid for pid, text in harness.processes_of(server.directory, server.token).items()
                  if pid == serve.pid or text.startswith("perdure: keeper of the supervisor")])
    harness.wait_until(lambda: not harness.processes_of(server.directory, server.token), "they live on")


# ---- another version ----

def orphan_of_another_version(server):
    """Its workers' pids; a ledger that no supervisor of this version reads."""
    pids = worker_pids(server)
    orphan(server)
    fd = fd_of(pids[0], "/memfd:perdure-ledger")
    with open(f"/proc/{pids[0]}/fd/{fd}", "r+b", buffering=0) as ledger:
        version = ledger.read(8)[4]
        ledger.seek(4)
        ledger.write(bytes([version + 1]))
    return pids


def test_workers_of_another_version_are_replaced_on_the_same_sockets(loaded_server):
    """They finish what they have, and who comes meanwhile is not refused."""
    server = loaded_server()
    sockets = listeners_of(server)
    with server.connect() as client, harness.Judge(server.address, server.root, close=8):
        client.send("GET /1024.bin HTTP/1.1\r\n")
        harness.wait_until(lambda: sum(w["connections"] for w in server.workers()) >= 9, server.log)
        pids = orphan_of_another_version(server)
        done = server.verb("start")
        assert done.stdout == f"perdure: serving on {server.address} (pid {server.supervisor_pid()})\n"
        assert "of another version: they finish, and new ones have their listening sockets" in done.stderr
        assert any(map(harness.is_alive, pids))
        client.send("Host: x\r\n\r\n")
        assert client.read().status == 200
        harness.wait_until(lambda: not any(map(harness.is_alive, pids)), "they live on")
        assert listeners_of(server) == sockets
    assert not set(pids) & set(worker_pids(server))


def test_workers_of_another_version_serve_on_when_a_start_cannot_be(server):
    pids = orphan_of_another_version(server)
    server.write_config("workers = many\n")
    assert server.verb("start").returncode == 1
    assert all(map(harness.is_alive, pids)) and server.get("/").status == 403
    server.write_config()
    assert server.verb("start").returncode == 0
    assert server.get("/").status == 403


@pytest.mark.parametrize("words", [["stop"], ["stop", "--now"]])
def test_stop_ends_workers_of_another_version(loaded_server, words):
    server = loaded_server()
    pids = orphan_of_another_version(server)
    with server.connect() as idle:
        idle.send("GET /1024.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.read().status == 200
        os.kill(pids[1], signal.SIGSTOP)  # also who cannot hear it
        done = server.verb(*words)
    assert done.stdout == "perdure: stopped\n" and done.returncode == 0, done.stderr
    assert not any(map(harness.is_alive, pids))
    assert {path.name for path in server.run_dir.iterdir()} <= {"perdure.lock"}


def test_who_cannot_be_talked_to_is_named_and_a_start_changes_nothing(server):
    """Someone at a door who closes it when he is called: so do workers of another contract."""
    pids = worker_pids(server)
    orphan(server)
    for slot in range(len(pids)):
        (server.run_dir / f"door.{slot}").unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(str(server.run_dir / "door.0"))
        door.listen()

        def close_to_all():
            with contextlib.suppress(OSError):
                while True:
                    door.accept()[0].close()

        porter = threading.Thread(target=close_to_all)
        porter.start()
        done = server.verb("start")
        door.shutdown(socket.SHUT_RDWR)
        porter.join()
    (server.run_dir / "door.0").unlink()
    assert done.returncode == 1
    assert done.stderr == (f"perdure: workers without a supervisor (pid {os.getpid()}) cannot be taken over: "
                           "they are of another version; end them with: perdure stop\n")
    assert server.get("/").status == 403
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    harness.wait_until(lambda: not any(map(harness.is_alive, pids)), "they live on")


# ---- the dead ----

def test_doors_of_the_dead_hinder_nobody(server):
    """kill -9 of everything: their files are left."""
    doors = [server.run_dir / "door.0", server.run_dir / "door.1", server.run_dir / "door.77"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(doors[2]))
        dead.listen()
    status = server.status()
    pids = [*pids_of(server), *(w[key] for w in status["workers"] for key in ("pid", "keeper_pid"))]
    kill_all(pids)
    assert all(door.exists() for door in doors)
    assert server.verb("status").stdout.startswith("perdure is dead: ")
    assert server.verb("stop").returncode == 0
    done = server.verb("start")
    assert done.stdout.startswith("perdure: serving on ")
    assert server.get("/").status == 403
    assert server.stop().returncode == 0
    assert {path.name for path in server.run_dir.iterdir()} == {"perdure.lock"}


def test_workers_that_were_told_to_stop_are_left_to_it(loaded_server):
    """A stop was under way: a start begins a service of its own, and they finish what is under way."""
    server = loaded_server(stop_timeout="60s")
    workers = worker_pids(server)
    with server.connect() as client:
        client.send("GET /1024.bin HTTP/1.1\r\n")
        harness.wait_until(lambda: any(w["connections"] for w in server.workers()), server.log)
        pids = pids_of(server)
        os.kill(pids[0], signal.SIGTERM)
        harness.wait_until(lambda: sum(map(harness.is_alive, workers)) == 1, server.log)
        kill_all(pids)
        done = server.verb("start")
        assert done.stdout.startswith("perdure: serving on "), done.stderr
        assert not set(workers) & set(worker_pids(server))
        client.send("Host: x\r\n\r\n")
        assert client.read().status == 200
