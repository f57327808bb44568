"""Sockets given by LISTEN_FDS are used instead of bound ones, survive everything, and are never closed.

This process is the giver: it keeps its copies open, as systemd does, so what is in a queue of theirs can be seen here.
"""
import shutil
import signal
import socket
import subprocess
import sys

import pytest

import harness

pytestmark = pytest.mark.sanitized

# LISTEN_PID must be the pid after the exec, and the descriptors 3, 4, …: argv is how many, their numbers, the command.
GIVE = """
import fcntl, os, sys
count = int(sys.argv[1])
copies = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 100) for word in sys.argv[2:2 + count]]
for place, fd in enumerate(copies):
    os.dup2(fd, 3 + place)
os.closerange(3 + count, 200)
os.environ.update(LISTEN_PID=os.environ.get("GIVEN_TO", str(os.getpid())), LISTEN_FDS=str(count))
command = sys.argv[2 + count:]
os.execv(command[0], command)
"""


def give(sockets, command):
    return [sys.executable, "-c", GIVE, str(len(sockets)), *[str(one.fileno()) for one in sockets], *map(str, command)]


def start_with(server, sockets, verb="start", **environment):
    fds = [one.fileno() for one in sockets]
    done = subprocess.run(give(sockets, server.command(verb)), pass_fds=fds, stdin=subprocess.DEVNULL, check=False,
                          capture_output=True, text=True, timeout=60, env={**server.environment(), **environment})
    server.said += done.stdout + done.stderr
    return done


@pytest.fixture
def given(make_server):
    """(server, socket): the socket is bound to the server's address, and listens."""
    server = make_server()
    (server.root / "a.txt").write_bytes(b"a")
    with socket.create_server((server.host, server.port)) as one:
        yield server, one


def spare_socket():
    return socket.create_server((harness.free_address()[0], 0))


def text_of(one):
    return "{}:{}".format(*one.getsockname())


def get_from(one):
    with harness.Client(one.getsockname()) as client:
        return client.get("/a.txt", "Host: a").body


def is_listening(one):
    return one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


def test_a_given_socket_is_used_instead_of_binding(given):
    server, one = given
    done = start_with(server, [one])
    assert done.returncode == 0, done.stderr  # its own bind would have failed: the address is in use
    assert server.get("/a.txt").body == b"a"
    listener, = server.status()["listeners"]
    assert (listener["address"], listener["backlog"], listener["given"], listener["resting"]) == \
           (server.address, 4096, True, False)


def test_in_the_foreground_too(given):
    server, one = given
    with open(server.directory / "run.out", "ab") as out:
        server.foreground = subprocess.Popen(give([one], server.command("run")), pass_fds=[one.fileno()], stdout=out,
                                             stderr=out, env=server.environment())
    harness.wait_until(server.is_serving, server.log)
    assert server.get("/a.txt").body == b"a"
    server.foreground.terminate()
    assert server.foreground.wait(harness.PATIENCE_S) == 0
    assert is_listening(one)


def test_without_a_listen_section_all_given_ones_are_used_and_the_default_is_not(given):
    server, one = given
    with spare_socket() as other:
        server.listeners = []
        server.write_config()
        done = start_with(server, [one, other])
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"perdure: serving on {text_of(one)}, {text_of(other)} (pid ")
        assert get_from(one) == get_from(other) == b"a"
        assert server.verb("reload").stdout == "identical, nothing to do\n"
        done = server.reload(idle_timeout="33s")
        assert done.stdout.splitlines()[1:] == ["idle_timeout 65s -> 33s"]
        assert get_from(one) == get_from(other) == b"a"


def test_one_that_no_section_names_is_kept_and_said(given):
    server, one = given
    with spare_socket() as other:
        assert start_with(server, [one, other]).returncode == 0
        assert (f"warning: {text_of(other)} (descriptor 4) was given to us, and no listen section names it: it is kept "
                "open, and nobody accepts on it") in server.log()
        assert server.status()["listeners"][1]["resting"] is True
        assert "nobody accepts" in server.verb("status").stdout
        assert get_from(one) == b"a"


def test_a_section_may_go_and_come_again_and_who_came_meanwhile_is_served(given):
    server, one = given
    with spare_socket() as other:
        server.listeners.append(text_of(other))
        server.write_config()
        assert start_with(server, [one, other]).returncode == 0
        assert get_from(other) == b"a"
        server.listeners.pop()
        server.write_config()
        done = server.verb("reload")
        assert done.returncode == 0, done.stderr
        assert is_listening(other)
        with harness.Client(other.getsockname()) as early:
            early.request("/a.txt", "Host: a")
            assert get_from(one) == b"a" and early.is_quiet()
            server.listeners.append(text_of(other))
            server.write_config()
            done = server.verb("reload")
            assert done.returncode == 0 and f"+ listen {text_of(other)}" in done.stdout
            assert early.read().body == b"a"


def test_they_survive_restarts_and_kills(given):
    server, one = given
    with spare_socket() as other:
        assert start_with(server, [one, other]).returncode == 0
        for _ in range(2):
            done = server.verb("restart")
            assert done.returncode == 0, done.stderr
            server.wait_serving()
        server.wait_succeeded(0, server.kill_worker(0))
        assert get_from(one) == b"a" and is_listening(other)
        assert [(each["given"], each["resting"]) for each in server.status()["listeners"]] == [(True, False), (True, True)]
        server.listeners.append(text_of(other))
        server.write_config()
        assert server.verb("reload").returncode == 0
        assert get_from(other) == b"a"


def test_a_stop_closes_them_for_nobody_else(given):
    server, one = given
    assert start_with(server, [one]).returncode == 0
    assert server.stop().returncode == 0
    assert is_listening(one)
    with harness.Client(one.getsockname()) as early:  # waits in the queue of the socket
        early.request("/a.txt", "Host: a")
        assert start_with(server, [one]).returncode == 0
        assert early.read().body == b"a"


def test_a_given_unix_socket_keeps_its_file(given):
    server, one = given
    path = server.directory / "given.sock"
    with socket.socket(socket.AF_UNIX) as file:
        file.bind(str(path))
        path.chmod(0o602)
        file.listen()
        server.more = f'listen "unix:{path}" {{ mode = "0660" }}'
        server.write_config()
        assert start_with(server, [one, file]).returncode == 0
        with harness.Client(str(path)) as client:
            assert client.get("/a.txt", "Host: a").body == b"a"
        assert path.stat().st_mode & 0o777 == 0o602
        server.more = ""
        server.write_config()
        assert server.verb("reload").returncode == 0
        assert path.exists()
        server.stop()
        assert path.exists()


def test_what_is_meant_for_another_process_is_not_taken(given):
    server, one = given
    done = start_with(server, [one], GIVEN_TO="1")
    assert done.returncode == 1 and "in use" in done.stderr


def test_workers_do_not_see_the_variables(given):
    server, one = given
    assert start_with(server, [one], LISTEN_FDNAMES="http").returncode == 0
    assert server.verb("restart").returncode == 0
    for worker in server.wait_serving():
        assert b"LISTEN_" not in harness.read_proc(worker["pid"], "environ")


def test_what_is_no_socket_is_left_alone(given):
    server, one = given
    with open("/dev/null", "rb") as null:
        done = start_with(server, [one, null], LISTEN_FDNAMES="http:odd")
    assert done.returncode == 0, done.stderr
    assert "perdure: warning: LISTEN_FDS: descriptor 4 (odd) is no socket; it is left alone\n" in done.stderr


def serve(server, command, fds=()):
    return subprocess.Popen(command, pass_fds=fds, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                            env=server.environment())


def test_serve_takes_them_without_l(given):
    server, one = given
    command = give([one], [harness.BUILD / "perdure", "serve", server.root])
    with serve(server, command, [one.fileno()]) as serving:
        try:
            line = serving.stdout.readline()
            assert line == f"perdure: serving {server.root} on http://{server.address}/ (Ctrl-C stops)\n"
            assert get_from(one) == b"a"
        finally:
            serving.send_signal(signal.SIGINT)
        assert serving.wait(harness.PATIENCE_S) == 0
    assert is_listening(one)


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is not there")
def test_socket_activation_as_systemd_does_it(make_server):
    server = make_server()
    (server.root / "a.txt").write_bytes(b"a")
    server.listeners = []
    server.write_config()
    command = ["systemd-socket-activate", "-l", server.address, *server.command("run")]
    with open(server.directory / "run.out", "ab") as out:
        server.foreground = subprocess.Popen(command, stdout=out, stderr=out, env=server.environment())

    def answers():
        try:
            return server.get("/a.txt").body == b"a"  # the first connection is what starts it
        except ConnectionRefusedError:
            return False
    harness.wait_until(answers, server.log)
    assert server.status()["listeners"][0]["given"] is True
