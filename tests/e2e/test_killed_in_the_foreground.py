"""Killed in the foreground: whoever's manager starts it anew gets everything, and no client notices."""
import os
import signal
import subprocess

import harness

LOAD = {"keepalive": 8, "close": 4, "idle": 50, "download": 1, "pipeline": 4}


def start_anew(server, former):
    """As a manager does; returns when the new one is the supervisor."""
    server.foreground.wait(harness.PATIENCE_S)
    server.run()
    harness.wait_until(lambda: server.status() and server.supervisor_pid() == server.foreground.pid != former, server.log)


def test_the_one_that_is_started_next_is_the_supervisor(make_server):
    server = make_server().run()
    harness.fill_corpus(server.root)
    workers = [(w["pid"], w["keeper_pid"]) for w in server.wait_serving()]
    with harness.Judge(server.address, server.root, **LOAD):
        for _ in range(5):
            former = server.foreground.pid
            os.kill(former, signal.SIGKILL)
            start_anew(server, former)
    assert [(w["pid"], w["keeper_pid"]) for w in server.wait_serving()] == workers
    assert server.status()["supervisor"]["takeovers"] == 5
    assert (server.run_dir / "perdure.pid").read_text() == f"{server.foreground.pid}\n"


def test_a_start_in_the_background_may_come_instead(make_server):
    server = make_server().run()
    harness.fill_corpus(server.root)
    with harness.Judge(server.address, server.root, **LOAD):
        os.kill(server.foreground.pid, signal.SIGKILL)
        server.foreground.wait(harness.PATIENCE_S)
        server.foreground = None
        server.start()
    assert server.status()["supervisor"]["takeovers"] == 1


def test_the_keeper_goes_on_alone_when_nobody_comes(make_server):
    server = make_server().run()
    harness.fill_corpus(server.root)
    with harness.Judge(server.address, server.root, **LOAD):
        os.kill(server.foreground.pid, signal.SIGKILL)
        server.foreground.wait(harness.PATIENCE_S)
        server.foreground = None
        harness.wait_until(server.is_serving, server.log)
    assert server.status()["supervisor"]["takeovers"] == 1
    assert not (server.run_dir / "keeper.sock").exists()


def test_a_stranger_gets_nothing(make_server):
    """The keeper gives to root and to its own user alone: the socket's mode keeps others away."""
    server = make_server().run()
    harness.fill_corpus(server.root)
    os.kill(server.foreground.pid, signal.SIGKILL)
    server.foreground.wait(harness.PATIENCE_S)
    server.foreground = None
    door = server.run_dir / "keeper.sock"
    harness.wait_until(door.exists, server.log)
    assert door.stat().st_mode & 0o777 == 0o600
    code = f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect({str(door)!r})"
    if os.geteuid() == 0:
        done = subprocess.run(["python3", "-c", code], user="nobody", capture_output=True, text=True, check=False)
        assert "PermissionError" in done.stderr
    harness.wait_until(server.is_serving, server.log)
