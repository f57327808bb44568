"""Workers and keepers have no privileges, and no way to get any."""
import os
import pwd
import shutil
import subprocess

import pytest

import harness

pytestmark = pytest.mark.skipif(not harness.IS_ROOT, reason="only root has privileges to drop")


def test_workers_and_keepers_are_nobody(server):
    account = pwd.getpwnam("www-data")
    for worker in server.wait_serving():
        for pid in (worker["pid"], worker["keeper_pid"]):
            status = harness.proc_status(pid)
            assert status["Uid"].split() == [str(account.pw_uid)] * 4
            assert status["Gid"].split() == [str(account.pw_gid)] * 4
            assert set(status["Groups"].split()) <= {str(account.pw_gid)}
            assert status["NoNewPrivs"] == "1"
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                assert int(status[name], 16) == 0, f"{name} of {pid}"


SUPERVISORS = {"CHOWN": 0, "DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "FOWNER": 3, "KILL": 5, "SETGID": 6, "SETUID": 7,
               "SETPCAP": 8, "NET_BIND_SERVICE": 10, "SYS_PTRACE": 19, "SYS_RESOURCE": 24}


def test_supervisor_and_keeper_have_what_a_reload_needs_and_nothing_else(make_server):
    """Nor can they have it by an exec, as a restart does one."""
    most = sum(1 << number for number in SUPERVISORS.values())
    server = make_server(workers=1).start()
    for turn in range(2):
        supervisor = server.status()["supervisor"]
        for pid in (supervisor["pid"], supervisor["keeper_pid"]):
            status = harness.proc_status(pid)
            for name in ("CapPrm", "CapEff", "CapBnd"):
                assert int(status[name], 16) & ~most == 0, f"{name} of {pid}"
            assert int(status["CapEff"], 16) & 1 << SUPERVISORS["NET_BIND_SERVICE"]
        words = supervisor["capabilities"]
        assert "cap_net_bind_service" in words and "cap_sys_admin" not in words
        assert f"the supervisor is confined: capabilities {words}\n" in server.verb("status").stdout
        assert server.verb("restart").returncode == 0
        assert server.reload(idle_timeout=f"{turn + 1}m").returncode == 0


def test_the_supervisor_does_not_read_from_clients_and_workers_hold_nothing_of_it(server):
    """What a worker has open: its own things and the listeners; no lock, no pid file, no control socket."""
    for worker in server.wait_serving():
        targets = {os.readlink(f"/proc/{worker['pid']}/fd/{fd}") for fd in harness.open_descriptors(worker["pid"])}
        assert not [target for target in targets if "perdure.lock" in target or "control.sock" in target]
    with server.connect() as client:
        client.get("/")
        inode = harness.servers_end(client.socket)
        held_by = {pid for worker in server.workers() for pid in (worker["pid"],)
                   if inode in harness.links_of(pid)}
        assert len(held_by) == 1
        assert inode not in harness.links_of(server.supervisor_pid())


def test_successors_have_no_privileges_either(server):
    account = pwd.getpwnam("www-data")
    successor = server.wait_succeeded(0, server.kill_worker(0))
    for pid in (successor["pid"], successor["keeper_pid"]):
        status = harness.proc_status(pid)
        assert status["Uid"].split() == [str(account.pw_uid)] * 4
        assert int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1"


def test_an_ordinary_user_can_run_it(make_server):
    """No change of user then; what the config says about one is not needed."""
    server = make_server(workers=1)
    (server.root / "a.txt").write_bytes(b"a")
    del server.keys["user"]
    server.write_config()
    shutil.chown(server.directory, "nobody")
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    done = subprocess.run([*as_nobody, server.copy_programs(), *server.command("start")[1:]], timeout=30, env=server.environment(),
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    assert done.returncode == 0
    assert server.get("/a.txt").body == b"a"
    uid = str(pwd.getpwnam("nobody").pw_uid)
    for pid in (server.supervisor_pid(), server.workers()[0]["pid"]):
        assert harness.proc_status(pid)["Uid"].split() == [uid] * 4
    done = subprocess.run([*as_nobody, server.copy_programs(), *server.command("stop")[1:]], timeout=30, env=server.environment(),
                          stdout=subprocess.DEVNULL, check=False)
    assert done.returncode == 0
