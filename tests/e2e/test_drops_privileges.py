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
