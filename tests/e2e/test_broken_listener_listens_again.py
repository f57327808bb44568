"""A listener that some process which holds it shut down listens again within about a second."""
import ctypes
import os
import signal
import socket
import time

import pytest

import harness

pytestmark = [pytest.mark.sanitized, pytest.mark.skipif(not harness.IS_ROOT, reason="only root takes descriptors")]

SYS_PIDFD_GETFD = 438  # on every architecture
ABOUT_A_SECOND = 3 if harness.SANITIZED else 2


def take_descriptor(pid, fd):
    """A copy of descriptor FD of process PID, as pidfd_getfd(2) gives it; None if there is none."""
    process = os.pidfd_open(pid)
    try:
        copy = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, process, fd, 0)
        return copy if copy >= 0 else None
    finally:
        os.close(process)


def listener_of(pid, name):
    """The socket with which PID listens on NAME."""
    for fd in harness.open_descriptors(pid):
        try:
            is_socket = os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
        except OSError:
            continue
        copy = take_descriptor(pid, int(fd)) if is_socket else None
        if copy is None:
            continue
        one = socket.socket(fileno=copy)
        if one.type == socket.SOCK_STREAM and one.getsockname() == name and \
                one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return one
        one.close()
    raise AssertionError(f"{pid} does not listen on {name}")


def shut_down_listener(server, name):
    """As a worker with a fault, or somebody with a debugger, could."""
    with listener_of(server.workers()[0]["pid"], name) as one:
        one.shutdown(socket.SHUT_RDWR)


def seconds_until_served(address):
    began = time.monotonic()

    def served():
        try:
            with harness.Client(address) as client:
                return client.get("/a.txt", "Host: a").status == 200
        except (ConnectionError, FileNotFoundError):
            return False
    harness.wait_until(served, "nobody listens again")
    return time.monotonic() - began


@pytest.fixture
def site(make_server):
    server = make_server()
    (server.root / "a.txt").write_bytes(b"a")
    return server


def test_a_port(site):
    server = site.start()
    with server.connect() as client:
        assert client.get("/a.txt").body == b"a"
        for _ in range(2):
            shut_down_listener(server, (server.host, server.port))
            with pytest.raises(ConnectionRefusedError):
                server.connect()
            assert seconds_until_served((server.host, server.port)) < ABOUT_A_SECOND
        assert client.get("/a.txt").body == b"a"  # who is connected notices nothing
    said = f"warning: {server.address} had stopped listening: a process that holds the socket shut it down; it listens again"
    assert server.log().count(said) == 2


def test_a_port_that_another_has_taken_meanwhile(site):
    """It was said once a second, for as long as the other listened."""
    server = site.start()
    supervisor = server.supervisor_pid()
    os.kill(supervisor, signal.SIGSTOP)
    try:
        with listener_of(int(open(f"/proc/{supervisor}/task/{supervisor}/children").read().split()[0]),
                         (server.host, server.port)) as one:
            one.shutdown(socket.SHUT_RDWR)
        thief = socket.create_server((server.host, server.port))
    finally:
        os.kill(supervisor, signal.SIGCONT)
    name = open("/proc/self/comm").read().strip()
    said = f"error: {server.address} has stopped listening: a process that holds the socket shut it down; " \
           f"it cannot listen again: in use by {name} (pid {os.getpid()},"
    harness.wait_until(lambda: said in server.log(), server.log)
    time.sleep(2.5)  # for two more looks
    assert server.log().count("stopped listening") == 1
    thief.close()
    assert seconds_until_served((server.host, server.port)) < ABOUT_A_SECOND
    assert server.log().count("stopped listening") == 2


def test_a_port_that_was_made_to_block(site):
    """Of two workers that are told of one connection, one would wait for the next in accept(2)."""
    server = site.start()
    with listener_of(server.workers()[0]["pid"], (server.host, server.port)) as one:
        os.set_blocking(one.fileno(), True)
        harness.wait_until(lambda: not os.get_blocking(one.fileno()), server.log, ABOUT_A_SECOND)
    said = f"warning: {server.address} had no O_NONBLOCK: a process that holds the socket took it away; it has it again"
    assert server.log().count(said) == 1


def test_a_port_however_patient_it_is_with_workers(site):
    """The supervisor's look at its listeners comes with the one at its workers' heartbeats."""
    site.write_config(hang_timeout="1h")
    server = site.start()
    shut_down_listener(server, (server.host, server.port))
    assert seconds_until_served((server.host, server.port)) < ABOUT_A_SECOND


def test_after_a_restart_too(site):
    server = site.start()
    assert server.verb("restart").returncode == 0
    shut_down_listener(server, (server.host, server.port))
    assert seconds_until_served((server.host, server.port)) < ABOUT_A_SECOND


def test_a_successor_does_not_take_it_for_a_connection(site):
    """Its predecessor's copy of the socket does not listen, so it looked like a connection nobody had begun to serve:
    it was shut down once more, after it had been mended."""
    site.write_config(workers=1)
    server = site.start()
    pid = server.workers()[0]["pid"]
    with listener_of(pid, (server.host, server.port)) as one:
        os.kill(server.supervisor_pid(), signal.SIGSTOP)  # it shall not be mended before the successor looks
        one.shutdown(socket.SHUT_RDWR)
        os.kill(pid, signal.SIGKILL)
        os.kill(int((server.run_dir / "perdure.pid").read_text()), signal.SIGCONT)
        server.wait_succeeded(0, pid)
        seconds_until_served((server.host, server.port))
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    assert "SIGKILL" in server.log() and "1 connections kept" not in server.log()


def test_a_unix_socket_is_bound_anew(site):
    """The kernel never lets one listen again, so workers are given another."""
    path = site.directory / "http.sock"
    site.more = f'listen "unix:{path}" {{ mode = "0640" }}'
    site.write_config()
    server = site.start()
    with server.connect() as client:
        assert client.get("/a.txt").body == b"a"
        shut_down_listener(server, str(path))
        assert seconds_until_served(str(path)) < ABOUT_A_SECOND
        assert client.get("/a.txt").body == b"a"
    assert path.stat().st_mode & 0o777 == 0o640
    assert f"warning: unix:{path} has stopped listening" in server.log()
    harness.wait_until(lambda: not server.status()["supervisor"]["rolling"], server.log)
    assert server.status()["generation"] == 2
    server.stop()
    assert not path.exists()
