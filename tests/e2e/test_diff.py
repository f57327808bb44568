"""`perdure diff` says what a reload would change in what runs, or why it would be refused, and changes nothing."""
import contextlib
import os
import re
import signal
import socket
import subprocess

import pytest

import harness

pytestmark = pytest.mark.sanitized


def diff(server):
    return server.verb("diff", config=server.good_path)


def test_it_says_what_reload_will_say(server):
    host, port = harness.free_address()
    server.listeners.append(f"{host}:{port}")
    server.site["headers"] = ["X-New: yes"]
    server.write_config(idle_timeout="30s")
    would = diff(server)
    assert would.returncode == 1 and would.stderr == "", would
    assert "idle_timeout 65s -> 30s\n" in would.stdout and f"+ listen {host}:{port}\n" in would.stdout
    done = server.verb("reload")
    assert done.returncode == 0 and done.stdout == "reloaded: generation 2\n" + would.stdout
    assert (diff(server).returncode, diff(server).stdout) == (0, "identical, nothing to do\n")


def test_it_changes_nothing(server):
    host, port = harness.free_address()
    before = server.status()
    server.listeners.append(f"{host}:{port}")
    server.write_config(idle_timeout="30s")
    assert diff(server).returncode == 1
    with pytest.raises(ConnectionRefusedError):
        harness.Client((host, port))
    after = server.status()
    assert [w["pid"] for w in after["workers"]] == [w["pid"] for w in before["workers"]]
    for key in ("generation", "listeners", "last_result"):
        assert after[key] == before[key]


def test_it_compares_with_what_runs_and_not_with_the_file_as_it_was(server):
    server.write_config(idle_timeout="30s")
    server.write_config(idle_timeout="40s")
    assert "idle_timeout 65s -> 40s" in diff(server).stdout
    server.write_config(idle_timeout="65s")
    server.config_path.write_text("# only a comment is new\n" + server.config_text().replace("65s", "65000ms"))
    assert diff(server).returncode == 0


def test_during_a_reload_it_compares_with_what_that_brings(make_server):
    server = make_server(hang_timeout="60s").start()
    with harness.held_reload(server, idle_timeout="30s") as reload:
        server.write_config(idle_timeout="40s")
        assert diff(server).stdout == "idle_timeout 30s -> 40s\n"
    assert reload.wait(harness.PATIENCE_S) == 0


def test_what_would_be_refused_is_told_with_its_line(server):
    server.write_config(text=server.config_text_after("\n\nworkers = many\n"))
    would = diff(server)
    assert would.returncode == 2 and would.stdout == ""
    assert would.stderr.startswith(f"refused: {server.config_path}:3: "), would.stderr
    assert server.verb("reload").stderr == would.stderr


@pytest.mark.parametrize("key, value", [("run_dir", "/tmp/elsewhere"), ("connections", "20000"),
                                        ("user", "nobody" if harness.IS_ROOT else None)])
def test_what_only_a_new_start_can_change_is_told_with_its_line(server, key, value):
    if value is None:
        pytest.skip("only root changes users")
    server.write_config(text=server.config_text_after(f'\n{key} = {server._value(value)}\n'))
    for verb, code in (("diff", 2), ("reload", 1)):
        done = server.verb(verb, config=server.good_path)
        assert done.returncode == code
        assert done.stderr.startswith(f"refused: {server.config_path}:2: {key} cannot "), done.stderr


def test_an_address_that_cannot_be_bound_is_told(server):
    with socket.create_server(harness.free_address()) as rival:
        server.listeners.append("{}:{}".format(*rival.getsockname()))
        server.write_config()
        would = diff(server)
        assert would.returncode == 2 and f" (pid {os.getpid()}, user " in would.stderr, would
        age = re.compile(r"for \d+ \w+")  # the only thing that may differ a moment later
        assert age.sub("", would.stderr) == age.sub("", server.verb("reload").stderr)
    assert diff(server).returncode == 1


def test_our_own_listener_on_all_addresses_is_not_in_the_way(own_network, server):
    """A reload gets past it, so diff must not say that it would not."""
    server.listeners = [f"0.0.0.0:{server.port}"]
    server.write_config()
    would = diff(server)
    assert would.returncode == 1 and f"+ listen 0.0.0.0:{server.port}\n" in would.stdout, would


def test_a_unix_socket_is_looked_at_and_not_touched(server):
    path = server.directory / "a.sock"
    server.listeners.append(f"unix:{path}")
    server.write_config()
    with socket.socket(socket.AF_UNIX) as rival:
        rival.bind(str(path))
        rival.listen()
        would = diff(server)
        assert would.returncode == 2 and "in use by " in would.stderr, would
        rival.setblocking(False)
        with pytest.raises(BlockingIOError):
            rival.accept()
    inode = path.stat().st_ino
    assert diff(server).returncode == 1, "nobody listens on it any more"
    assert path.stat().st_ino == inode
    path.unlink()
    assert diff(server).returncode == 1
    assert not path.exists()


@pytest.mark.parametrize("path", ["/no/such/a.sock", "/etc/passwd"])
def test_a_unix_socket_that_cannot_be_made_is_told_as_reload_does(server, path):
    server.listeners.append(f"unix:{path}")
    server.write_config()
    would, done = diff(server), server.verb("reload")
    assert (would.returncode, done.returncode) == (2, 1)
    assert path.rpartition("/")[0] in would.stderr and would.stderr == done.stderr


def test_nobody_to_ask_is_trouble(make_server):
    done = make_server().verb("diff")
    assert done.returncode == 2 and "not running" in done.stderr


def ask(server):
    words = server.command("diff")
    words[words.index("-c") + 1] = str(server.good_path)
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=server.environment())


def told(caller):
    said = caller.communicate(timeout=harness.PATIENCE_S)[0]
    return caller.returncode, said


def readers_of(supervisor):
    """The children of SUPERVISOR that are neither workers nor keepers."""
    children = harness.read_proc(supervisor, f"task/{supervisor}/children").split()
    return [int(pid) for pid in children if harness.read_proc(int(pid), "comm") == b"perdure\n"]


@contextlib.contextmanager
def held_diff(server):
    """A caller for whom the configuration is being read until the context is left."""
    supervisor = server.supervisor_pid()
    with open(server.config_path, "a", encoding="utf-8"):  # so that the reader waits for a moment
        caller = ask(server)
        reader = harness.wait_until(lambda: readers_of(supervisor), "nobody reads it")[0]
        os.kill(reader, signal.SIGSTOP)
    try:
        yield caller
    finally:
        harness.kill(reader, signal.SIGCONT)


def test_each_of_many_callers_is_answered(server):
    """Also those who ask while it is read for another."""
    supervisor = server.supervisor_pid()
    with held_diff(server) as first:
        server.keys["idle_timeout"] = "30s"
        changed = server.directory / "changed.conf"
        changed.write_text(server.config_text())
        changed.replace(server.config_path)  # at no moment is half of it there
        before = harness.open_sockets(supervisor)
        others = [ask(server) for _ in range(20)]
        harness.wait_until(lambda: len(harness.open_sockets(supervisor) - before) >= 20, "not all have asked")
    assert told(first)[0] in (0, 1)  # before or after the change
    for caller in others:
        assert told(caller) == (1, "idle_timeout 65s -> 30s\n")


def test_who_asks_during_a_restart_is_answered_by_the_new_image(server):
    with held_diff(server) as caller:
        assert server.verb("restart").returncode == 0
        assert told(caller) == (0, "identical, nothing to do\n")
    assert server.status()["supervisor"]["images"] == 2


def test_who_waits_when_it_is_stopped_is_told(server):
    with held_diff(server) as caller:
        assert server.stop().returncode == 0
        assert told(caller) == (2, "refused: the service is being stopped\n")
