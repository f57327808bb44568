"""Whatever is the matter with the run directory, there is one clear line about it and the right exit code."""
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

import harness

pytestmark = pytest.mark.sanitized

root_only = pytest.mark.skipif(not harness.IS_ROOT, reason="only root mounts")


def assert_said(done, exit_code, out="", err=""):
    assert (done.returncode, done.stdout, done.stderr) == (exit_code, out, err)


# ---- a stale pid file whose pid is another's by now ----

@pytest.fixture
def foreign():
    """A process that has nothing to do with perdure, and dies by any signal."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield process
        assert process.poll() is None, "it was signalled"
        process.kill()


def leave_pid_file(server, pid):
    """As a supervisor that was killed leaves it."""
    server.run_dir.mkdir(exist_ok=True)
    (server.run_dir / "perdure.lock").touch(0o600)
    (server.run_dir / "perdure.pid").write_text(f"{pid}\n")


def test_a_pid_that_was_reused_is_no_supervisor(make_server, foreign):
    server = make_server()
    leave_pid_file(server, foreign.pid)
    assert_said(server.verb("status"), 1,
                f"perdure is dead: {server.run_dir}/perdure.pid says {foreign.pid}, but nobody holds the lock\n")
    for verb in ("reload", "restart", "reopen"):
        assert_said(server.verb(verb), 1, "", f"perdure: not running (nobody answers in {server.run_dir}); start it with: "
                                              f"perdure start -c {server.config_path}\n")
    for words in (["stop"], ["stop", "--now"]):
        assert_said(server.verb(*words), 0, f"perdure: not running ({server.run_dir}); a stale pid file is left\n")
    done = server.verb("start")
    assert done.returncode == 0 and done.stderr == ""
    assert int((server.run_dir / "perdure.pid").read_text()) == server.supervisor_pid() != foreign.pid


def test_a_pid_file_with_nonsense_in_it_is_replaced(make_server):
    server = make_server()
    leave_pid_file(server, "not a number")
    assert_said(server.verb("status"), 3, f"perdure is not running ({server.run_dir})\n")
    server.start()
    assert int((server.run_dir / "perdure.pid").read_text()) == server.supervisor_pid()


def test_a_pid_file_that_says_another_pid_while_it_runs_misleads_nobody(server, foreign):
    pid = server.supervisor_pid()
    (server.run_dir / "perdure.pid").write_text(f"{foreign.pid}\n")
    assert server.supervisor_pid() == pid
    assert server.verb("start").returncode == 0
    assert server.stop().returncode == 0
    assert not harness.is_alive(pid)


# ---- a control socket of the dead ----

def test_a_stale_control_socket_is_replaced(make_server):
    server = make_server()
    server.run_dir.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(server.run_dir / "control.sock"))
        dead.listen()
    assert_said(server.verb("reload"), 1, "", f"perdure: not running (nobody answers in {server.run_dir}); start it with: "
                                              f"perdure start -c {server.config_path}\n")
    assert_said(server.verb("status"), 3, f"perdure is not running ({server.run_dir})\n")
    server.start()
    assert server.verb("reload").returncode == 0


def test_after_kill_9_of_everything_the_next_start_works(make_server):
    server = make_server().start()
    supervisor = server.status()["supervisor"]
    pids = [supervisor["pid"]] + [w[key] for w in server.workers() for key in ("pid", "keeper_pid")]
    os.kill(pids[0], signal.SIGSTOP)  # it would make another keeper
    for pid in [supervisor["keeper_pid"]] + pids:  # the keeper first: it would start another supervisor
        os.kill(pid, signal.SIGKILL)
    harness.wait_until(lambda: not any(harness.is_alive(pid) for pid in pids), "they live on")
    assert_said(server.verb("status"), 1,
                f"perdure is dead: {server.run_dir}/perdure.pid says {pids[0]}, but nobody holds the lock\n")
    server.start()
    assert server.get("/").status == 403


def test_a_control_socket_that_somebody_removed_does_not_keep_it_from_stopping(server):
    (server.run_dir / "control.sock").unlink()
    pid = int((server.run_dir / "perdure.pid").read_text())
    done = server.verb("status")
    assert done.returncode == 4 and f"perdure: supervisor pid {pid} holds the lock, but: " in done.stderr
    done = server.verb("stop")
    assert done.returncode == 0 and done.stderr.endswith("; sent SIGTERM instead\n")
    assert not harness.is_alive(pid)


# ---- full, read-only: in a mount namespace, so that nobody else sees it ----

def in_mount(server, mount, verb, *arguments):
    """Run a verb where RUN_DIR is what the shell words MOUNT make it."""
    script = f'{mount} && shift && exec "$@"'
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", str(server.run_dir),
             *server.command(verb, *arguments)]
    server.run_dir.mkdir(exist_ok=True)
    return subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60,
                          env=server.environment())


def assert_nothing_runs(server):
    assert not harness.processes_of(server.directory, server.token)
    with pytest.raises(ConnectionRefusedError):
        server.connect()


FULL = 'mount -t tmpfs -o mode=755,size=4k,nr_inodes={} tmpfs "$1"'


@root_only
@pytest.mark.parametrize("inodes, line", [
    (1, "cannot lock {}/perdure.lock: No space left on device; make room there, or set run_dir to another place"),
    (2, "cannot write {}/perdure.pid: No space left on device; make room there, or set run_dir to another place"),
    (3, "cannot make the control socket {}/control.sock: No space left on device; see that the directory can be written "
        "and has room, or set run_dir to another"),
])
@pytest.mark.parametrize("verb", ["start", "run"])
def test_a_run_dir_without_room_for_a_file(make_server, inodes, line, verb):
    server = make_server(error_log="stderr")
    done = in_mount(server, FULL.format(inodes), verb)
    line = line.format(server.run_dir)
    assert done.returncode == 1 and done.stdout == ""
    if verb == "start":
        assert done.stderr == f"perdure: {line}\n"
    else:
        assert done.stderr.endswith(f" supervisor: error: {line}\n") and done.stderr.count("\n") == 1
    assert_nothing_runs(server)


@root_only
def test_a_run_dir_without_room_for_a_byte(make_server):
    server = make_server(error_log="stderr")
    filled = 'mount -t tmpfs -o mode=755,size=4k tmpfs "$1" && head -c 4096 /dev/zero >"$1/other"'
    line = (f"perdure: cannot write {server.run_dir}/perdure.pid: No space left on device; make room there, or set "
            "run_dir to another place\n")
    assert_said(in_mount(server, filled, "start"), 1, "", line)
    assert_nothing_runs(server)


READ_ONLY = 'mount -t tmpfs -o mode=755 tmpfs "$1" && mount -o remount,ro "$1"'


@root_only
def test_a_read_only_run_dir(make_server):
    server = make_server(error_log="stderr")
    line = (f"perdure: cannot lock {server.run_dir}/perdure.lock: Read-only file system; mount it writable, or set "
            "run_dir to a writable place such as /run/perdure\n")
    assert_said(in_mount(server, READ_ONLY, "start"), 1, "", line)
    assert_nothing_runs(server)
    assert_said(in_mount(server, READ_ONLY, "status"), 3, f"perdure is not running ({server.run_dir})\n")
    assert_said(in_mount(server, READ_ONLY, "stop"), 0, f"perdure: not running ({server.run_dir})\n")


@root_only
def test_a_run_dir_that_cannot_be_made(make_server):
    server = make_server(error_log="stderr")
    server.run_dir = server.run_dir / "below"
    server.write_config(run_dir=str(server.run_dir))
    server.run_dir.parent.mkdir()
    read_only = 'mount -t tmpfs -o mode=755 tmpfs "${1%/*}" && mount -o remount,ro "${1%/*}"'
    line = (f"perdure: cannot make the run directory {server.run_dir}: Read-only file system; mount it writable, or set "
            "run_dir to a writable place such as /run/perdure\n")
    server.run_dir.mkdir()  # below the mount
    assert_said(in_mount(server, read_only, "start"), 1, "", line)
    assert_nothing_runs(server)


@root_only
def test_a_run_dir_that_fills_up_while_it_serves_is_no_trouble(make_server):
    """A restart writes no pid file anew, for the pid stays; a stop needs no room."""
    server = make_server()
    script = ('mount -t tmpfs -o mode=755,size=8k,nr_inodes=16 tmpfs "$1" && run=$1 && shift && "$@" start -c "$CONFIG" && '
              'head -c 100000 /dev/zero >"$run/other" 2>/dev/null; "$@" reload -c "$CONFIG" && '
              '"$@" restart -c "$CONFIG" && "$@" status -c "$CONFIG" >/dev/null && "$@" stop -c "$CONFIG"')
    server.run_dir.mkdir(exist_ok=True)
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(server.run_dir),
                           str(harness.BUILD / "perdure")], capture_output=True, text=True, check=False, timeout=60,
                          env={**server.environment(), "CONFIG": str(server.config_path)})
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.endswith("perdure: stopped\n")
    assert_nothing_runs(server)


# ---- a run directory or a configuration that is removed meanwhile ----

def test_a_config_that_was_removed_refuses_reload_and_restart_and_stops_nobody(server):
    server.config_path.unlink()
    words = (f"refused: {server.config_path}: the configuration cannot be read: No such file or directory; make this "
             "file, or name another (first error)\n")
    for verb in ("reload", "restart"):
        done = server.verb(verb, config=server.good_path)  # the verb's own configuration only says where to ask
        assert_said(done, 1, "", words)
    assert server.get("/").status == 403
    assert server.status()["generation"] == 1
    assert server.stop(config=server.good_path).returncode == 0


def test_a_run_dir_that_was_removed_does_not_end_the_service(server):
    pid = server.supervisor_pid()
    shutil.rmtree(server.run_dir)
    assert server.get("/").status == 403
    assert_said(server.verb("status"), 3, f"perdure is not running ({server.run_dir})\n")
    os.kill(pid, signal.SIGTERM)
    harness.wait_until(lambda: not harness.is_alive(pid), server.log)
