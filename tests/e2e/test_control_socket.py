"""The control socket is root's and its group's; no flood, silence or nonsense on it keeps the service from living."""
import contextlib
import grp
import os
import socket
import stat
import struct
import threading
import time

import pytest

import harness

MAGIC = 0x70726431  # supervisor/control_packet.h
STOP, RELOAD, RESTART, REOPEN, STATUS, DIFF = range(6)
PLACES = 64  # CONTROL_CLIENTS_MAX
AS_ROOT = pytest.mark.skipif(not harness.IS_ROOT, reason="only root can be somebody else")


def packet(verb, flags=0, magic=MAGIC, spare=0):
    return struct.pack("=IIII", magic, verb, flags, spare)


def call(server, seconds=harness.PATIENCE_S):
    asker = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Not settimeout(): a full queue is waited for by a blocking connect only.
    for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
        asker.setsockopt(socket.SOL_SOCKET, option, struct.pack("=qq", int(seconds), int(seconds % 1 * 1e6)))
    try:
        asker.connect(str(server.run_dir / "control.sock"))
    except BaseException:
        asker.close()
        raise
    return asker


def ask(server, verb=STATUS, flags=0):
    """The exit code and the text of the answer."""
    with call(server) as asker:
        asker.send(packet(verb, flags))
        text = b""
        while True:
            got = asker.recv(65536)
            magic, last, exit_code, _ = struct.unpack("=IIiI", got[:16])
            assert magic == MAGIC
            text += got[16:]
            if last:
                return exit_code, text


NONSENSE = {
    "nothing": b"", "a byte": b"\0", "half a request": packet(STATUS)[:8], "a byte less": packet(STATUS)[:-1],
    "a byte more": packet(STATUS) + b"\0", "another protocol": packet(STATUS, magic=MAGIC + 1),
    "an unknown verb": packet(6), "a verb of all ones": packet(0xFFFFFFFF), "text": b"status\n",
    "a large packet": b"\0" * 100_000,
    "in the other order of bytes": struct.pack(">IIII", MAGIC, STATUS, 0, 0),
}


@pytest.mark.sanitized
def test_nonsense_costs_who_sends_it_his_connection_and_nothing_else(server):
    for what, words in NONSENSE.items():
        with call(server) as asker, call(server) as other:
            asker.send(words)
            assert asker.recv(100) == b"", what
            other.send(packet(STATUS))
            assert other.recv(65536), what
    read, write = os.pipe()
    with call(server) as asker:  # descriptors that come with it are nobody's
        socket.send_fds(asker, [packet(STATUS, flags=0xFFFFFFFE, spare=7)], [write] * 50)
        assert asker.recv(65536)
    os.close(write)
    assert os.read(read, 1) == b""
    os.close(read)
    with call(server) as asker, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for _ in range(20):  # what comes behind a request is not looked at
            asker.send(packet(STATUS))
        assert asker.recv(65536)
    assert server.verb("status").returncode == 0


@pytest.mark.sanitized
def test_who_goes_before_his_answer_costs_nothing(server):
    descriptors = len(harness.open_descriptors(server.supervisor_pid()))
    for _ in range(3 * PLACES):
        for verb in (STATUS, DIFF, RELOAD, REOPEN):
            with call(server) as asker:
                asker.send(packet(verb))
    harness.wait_until(lambda: len(harness.open_descriptors(server.supervisor_pid())) == descriptors, "some stay open")
    assert server.is_serving()


@contextlib.contextmanager
def going_on(count, action):
    """So many threads that do it again and again, until the context is left."""
    over = threading.Event()

    def run():
        while not over.is_set():
            with contextlib.suppress(OSError, struct.error):
                action(over)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def be_silent(server):
    """Hold a connection, and say nothing, until the supervisor has enough of it."""
    def hold(over):
        with call(server, seconds=.2) as asker:
            while not over.is_set():
                with contextlib.suppress(BlockingIOError):
                    if not asker.recv(1):
                        return
    return hold


FLOODS = {"silent": be_silent, "curious": lambda server: lambda over: ask(server),
          "rude": lambda server: lambda over: call(server).close()}


@pytest.mark.parametrize("flood", FLOODS)
def test_in_a_flood_workers_are_succeeded_and_the_verbs_are_answered(make_server, flood):
    """More clients than there are places, each again and again: the supervisor has other things to do, too."""
    server = make_server(workers=1).start()
    with going_on(PLACES * 2, FLOODS[flood](server)):
        for _ in range(3):
            began = time.monotonic()
            pid = server.kill_worker()
            assert time.monotonic() - began < 5
            with server.connect() as client:
                assert client.get("/").status == 403
            assert time.monotonic() - began < 8
            server.wait_succeeded(0, pid)
        assert server.reload(idle_timeout="61s").returncode == 0


def test_a_stop_gets_through_a_flood(make_server):
    server = make_server(workers=1).start()
    with going_on(PLACES * 2, be_silent(server)):
        began = time.monotonic()
        assert server.stop().returncode == 0
        assert time.monotonic() - began < 5


# ---- who may ----

def in_a_child(uid, gid, groups, action):
    """True if ACTION, by a process that is such a user's, raises no OSError."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            code = 0 if action() else 2
        except OSError:
            code = 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


@AS_ROOT
def test_nobody_but_root_may_ask_nor_touch_what_is_in_the_run_directory(server):
    nobody = harness.account("nobody")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in server.run_dir.iterdir()}
    assert modes.pop("control.sock") == 0o600
    assert all(mode & 0o022 == 0 for mode in modes.values()), modes
    assert stat.S_IMODE(server.run_dir.stat().st_mode) == 0o755
    assert all(path.stat().st_uid == 0 for path in server.run_dir.iterdir())
    for name in ("nobody", "www-data"):
        user = harness.account(name)
        assert not in_a_child(user.pw_uid, user.pw_gid, [], lambda: ask(server)[0] == 0), name
    os.chmod(server.run_dir / "control.sock", 0o666)  # who comes past the file's mode is looked at (SO_PEERCRED)
    assert not in_a_child(nobody.pw_uid, nobody.pw_gid, [], lambda: ask(server)[0] == 0)
    assert in_a_child(0, 0, [], lambda: ask(server)[0] == 0)


@AS_ROOT
def test_members_of_the_configured_group_may_ask_for_as_long_as_it_is_configured(make_server):
    nobody, group, other = harness.account("nobody"), grp.getgrnam("games"), grp.getgrnam("lp")
    server = make_server(workers=1, control_group="games").start()

    def may(*groups, gid=nobody.pw_gid):
        return in_a_child(nobody.pw_uid, gid, groups, lambda: ask(server)[0] == 0)

    def is_open():
        facts = (server.run_dir / "control.sock").stat()
        return stat.S_IMODE(facts.st_mode) == 0o660 and facts.st_gid == group.gr_gid

    assert is_open() and may(group.gr_gid) and may(other.gr_gid, group.gr_gid) and may(gid=group.gr_gid)
    assert not may() and not may(other.gr_gid)
    os.chmod(server.run_dir / "control.sock", 0o666)
    assert may(group.gr_gid) and not may(other.gr_gid)  # who comes past the file's mode is looked at
    os.kill(server.supervisor_pid(), 9)
    harness.wait_until(server.is_serving, server.log)
    assert is_open() and may(group.gr_gid) and not may(other.gr_gid)
    server.keys.pop("control_group")
    assert server.reload(idle_timeout="61s").returncode == 0
    assert stat.S_IMODE((server.run_dir / "control.sock").stat().st_mode) == 0o600
    assert not may(group.gr_gid) and server.verb("status").returncode == 0
    assert server.reload(control_group="games").returncode == 0
    assert is_open() and may(group.gr_gid)
    refused = server.reload(control_group="no-such-group")
    assert refused.returncode == 1 and "there is no such group" in refused.stderr
    assert is_open() and may(group.gr_gid)


@AS_ROOT
def test_a_workers_user_opens_no_cell_ledger_or_snapshot_by_proc(server):
    """A memfd is born with mode 0777, and /proc opened it anew, for writing: to a sibling that was taken over."""
    worker = server.workers()[0]["pid"]
    user, seen = harness.account("www-data"), set()

    def opens(path):
        os.close(os.open(path, os.O_RDWR))
        return True

    for fd in harness.open_descriptors(worker):
        path = f"/proc/{worker}/fd/{fd}"
        link = os.readlink(path)
        if link.startswith("/memfd:perdure"):
            seen.add(link.split()[0].removeprefix("/memfd:perdure-"))
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600 and os.stat(path).st_uid == 0, link
            assert not in_a_child(user.pw_uid, user.pw_gid, [], lambda path=path: opens(path)), link
    assert seen >= {"cell", "ledger", "snapshot"}, seen
