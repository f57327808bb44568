"""An AF_UNIX socket's file has its owner's rights, gives way when stale, and is removed by nobody but who made it."""
import grp
import os
import pwd
import signal
import socket
import stat
import subprocess
import sys

import pytest

import harness

pytestmark = pytest.mark.sanitized

root_only = pytest.mark.skipif(not harness.IS_ROOT, reason="only root gives files away")


class Site:
    """A server with a unix socket beside its port."""

    def __init__(self, server):
        self.server = server
        self.path = server.directory / "http.sock"
        (server.root / "a.txt").write_bytes(b"a")

    def write(self, keys=""):
        self.server.more = f'listen "unix:{self.path}" {{ {keys} }}'
        self.server.write_config()

    def start(self, keys=""):
        self.write(keys)
        self.server.start()
        return self

    def reload(self, keys):
        self.write(keys)
        return self.server.verb("reload")

    def get(self):
        with harness.Client(str(self.path)) as client:
            return client.get("/a.txt", "Host: a").body

    def rights(self):
        facts = self.path.stat()
        return stat.S_IMODE(facts.st_mode), pwd.getpwuid(facts.st_uid).pw_name, grp.getgrgid(facts.st_gid).gr_name

    def inode(self):
        return self.path.stat().st_ino


@pytest.fixture
def site(make_server):
    return Site(make_server())


# ---- who may connect ----

def test_everybody_may_connect_by_default(site):
    site.start()
    assert site.rights()[0] == 0o666
    assert site.get() == b"a"


@root_only
def test_mode_owner_and_group_are_those_of_the_configuration(site):
    site.start('mode = "0620" owner = "nobody" group = "daemon"')
    assert site.rights() == (0o620, "nobody", "daemon")
    assert site.get() == b"a"


CONNECT_AS = """
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1]))
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[3])
    print("connected")
except OSError as error:
    print(error.strerror)
"""


def connects_as(name, path):
    who = pwd.getpwnam(name)
    command = [sys.executable, "-c", CONNECT_AS, str(who.pw_uid), str(who.pw_gid), str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@root_only
def test_who_may_not_write_to_the_file_may_not_connect(site):
    site.start('mode = "0660" owner = "daemon"')
    assert connects_as("daemon", site.path) == "connected"
    assert connects_as("nobody", site.path) == "Permission denied"


@root_only
def test_a_reload_changes_them_in_place_and_says_so(site):
    site.start()
    inode = site.inode()
    with harness.Client(str(site.path)) as client:
        assert client.get("/a.txt", "Host: a").body == b"a"
        done = site.reload('mode = "0640" owner = "nobody"')
        assert done.returncode == 0, done.stderr
        assert f"listen unix:{site.path}: mode 0666 -> 0640\n" in done.stdout
        assert f"listen unix:{site.path}: owner none -> nobody\n" in done.stdout
        assert site.rights()[:2] == (0o640, "nobody") and site.inode() == inode
        assert client.get("/a.txt", "Host: a").body == b"a"
    assert site.reload("").returncode == 0
    assert site.rights() == (0o666, "root", "root") and site.inode() == inode


def test_a_refused_reload_leaves_them_as_they_are(site):
    site.start()
    with socket.create_server((site.server.host, 0)) as taken:
        site.server.listeners.append("{}:{}".format(*taken.getsockname()))
        done = site.reload('mode = "0600"')
        assert done.returncode == 1 and "in use" in done.stderr
    assert site.rights()[0] == 0o666 and site.get() == b"a"
    site.server.listeners.pop()
    site.write()


@pytest.mark.skipif(not harness.IS_ROOT, reason="another user is needed to start it")
def test_a_socket_that_may_not_be_given_away_is_refused_with_its_line(site):
    """Started by an ordinary user."""
    nobody = pwd.getpwnam("nobody")
    directory = site.server.directory / "nobodys"
    directory.mkdir()
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    site.path = directory / "http.sock"
    site.server.keys.pop("user")
    site.server.keys.update(run_dir=str(directory / "run"), error_log="stderr")
    site.write('owner = "root"')
    done = subprocess.run([site.server.copy_programs(), "start", "-c", str(site.server.config_path)], user="nobody",
                          group=nobody.pw_gid, extra_groups=[], capture_output=True, text=True, check=False,
                          env=site.server.environment(), timeout=60)
    line = site.server.config_path.read_text().splitlines().index(site.server.more) + 1
    assert done.returncode == 1
    assert done.stderr == (f"perdure: {site.server.config_path}:{line}: cannot listen on unix:{site.path}: its file may "
                           "not be given to that owner and group: Operation not permitted; start as root, or leave owner and group out\n")
    assert not site.path.exists()


# ---- whose file it is ----

def leave_stale(path):
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
        gone.listen()


def test_a_stale_file_is_replaced(site):
    leave_stale(site.path)
    site.start()
    assert site.get() == b"a"
    assert f"removed {site.path}, left by a process that is gone" in site.server.said + site.server.log()


def test_a_socket_that_somebody_listens_on_is_left_to_him(site):
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(site.path))
        living.listen()
        inode = site.inode()
        site.write()
        done = site.server.verb("start")
        assert done.returncode == 1
        name = harness.read_proc("self", "comm").decode().strip()
        assert f"cannot listen on unix:{site.path}: in use by {name} (pid {os.getpid()}, user " in done.stderr
        assert "); stop it, or choose another path; more: perdure why unix:" in done.stderr
        assert site.inode() == inode
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(site.path))


def test_a_file_that_is_no_socket_is_left_alone(site):
    site.path.write_text("mine")
    site.write()
    done = site.server.verb("start")
    assert done.returncode == 1
    assert f"cannot listen on unix:{site.path}: it is a file and no socket; remove it, or choose another path" in done.stderr
    assert site.path.read_text() == "mine"


def test_after_everything_was_killed_a_start_works(site):
    server = site.start().server
    pids = [server.supervisor_pid()] + [w[key] for w in server.workers() for key in ("pid", "keeper_pid")]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    harness.wait_until(lambda: not any(harness.is_alive(pid) for pid in pids), "they live on")
    assert site.path.exists()
    server.start()
    assert site.get() == b"a"


def test_a_restart_keeps_the_socket_and_its_file(site):
    server = site.start('mode = "0640"').server
    inode = site.inode()
    assert server.verb("restart").returncode == 0
    server.wait_serving()
    assert site.inode() == inode and site.rights()[0] == 0o640 and site.get() == b"a"


def test_stop_removes_the_file(site):
    site.start().server.stop()
    assert not site.path.exists()


def test_a_reload_that_takes_the_socket_out_removes_the_file(site):
    server = site.start().server
    server.more = ""
    assert server.reload(workers=2).returncode == 0
    assert not site.path.exists()


@pytest.mark.parametrize("restart", [False, True])
def test_a_file_that_took_its_place_outlives_a_stop(site, restart):
    server = site.start().server
    if restart:
        assert server.verb("restart").returncode == 0
    site.path.unlink()
    leave_stale(site.path)
    inode = site.inode()
    assert server.stop().returncode == 0
    assert site.inode() == inode
