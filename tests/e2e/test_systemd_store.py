"""Supervisor and keeper killed at once lose nothing under systemd: all that they had is in its descriptor store."""
import contextlib
import os
import signal
import threading
import time

import harness
import pytest
import systemd
from systemd_machine import UNIT, marks

pytestmark = marks

FROM_STORE = "come from the service manager's store, 0 are missing"


# ---- looking ----

def stored(machine):
    """How many descriptors systemd has in store."""
    return int(machine.show(UNIT, "NFileDescriptorStore")["NFileDescriptorStore"])


def open_files(pid):
    """{(device, inode)} of what PID has open from descriptor 3 on, but what has no file of its own."""
    files = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if int(entry.name) > 2 and not os.readlink(entry.path).startswith("anon_inode:"):
                files.add((os.stat(entry.path).st_dev, os.stat(entry.path).st_ino))
    return files


def wait_in_step(machine, count=None):
    """What systemd has in store is what the supervisor has open, each once; COUNT of them."""
    main = machine.outer(machine.main_pid())

    def look():
        common = len(open_files(machine.pid) & open_files(main))
        return common == stored(machine) and count in (None, common)
    harness.wait_until(look, lambda: f"{stored(machine)} stored, {count} are due; {machine.journal(UNIT)}",
                       systemd.PATIENCE_S)
    return stored(machine)


def listeners(machine):
    """The inodes of the sockets that listen on the port."""
    words = machine.run("ss", "-Hltne", "sport = :80").stdout.split()
    return sorted(word for word in words if word.startswith("ino:"))


def incarnations(machine):
    return [(w["pid"], w["keeper_pid"]) for w in machine.status()["workers"]]


def pair(machine):
    """The supervisor and its keeper, as this machine counts them."""
    main = machine.outer(machine.main_pid())

    def keepers():
        children = [int(pid) for pid in (harness.read_proc(main, f"task/{main}/children") or b"").split()]
        return [pid for pid in children if b"keeper of the supervisor" in (harness.read_proc(pid, "cmdline") or b"")]
    harness.wait_until(lambda: len(keepers()) == 1, machine.status)
    return [main, *keepers()]


# ---- acting ----

def kill_at_once(pids):
    """None of them gets to do anything after the first one's death."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)


def kill_both(machine):
    """Kill supervisor and keeper at once, and wait for the next one."""
    main = machine.main_pid()
    kill_at_once(pair(machine))
    machine.wait_restarted(main)


def told_of_store(machine):
    return machine.journal(UNIT).count(FROM_STORE)


# ---- deaths ----

def test_both_killed_at_once_are_not_noticed_ten_times_and_all_verbs_work_afterwards(machine):
    machine.start()
    before, sockets, count = incarnations(machine), listeners(machine), wait_in_step(machine)
    assert len(sockets) == 1
    with machine.judge():
        for _ in range(10):
            kill_both(machine)
    assert machine.state()["NRestarts"] == "10" and told_of_store(machine) == 10
    assert incarnations(machine) == before and listeners(machine) == sockets
    wait_in_step(machine, count)
    with machine.judge():
        machine.configure("idle_timeout = 30s")
        assert machine.systemctl("reload", UNIT).returncode == 0
        done = machine.perdure("restart")
        assert done.returncode == 0, done.stderr
        harness.wait_until(machine.is_serving, machine.status, systemd.PATIENCE_S)
    assert listeners(machine) == sockets
    assert machine.systemctl("stop", UNIT).returncode == 0
    machine.assert_nothing_left()
    assert listeners(machine) == [] and stored(machine) == 0


def test_after_a_restart_what_is_new_is_stored_and_what_was_is_not(machine):
    """The judge's keepalive connections live through both: workers of before, and of after the restart."""
    machine.start()
    count = wait_in_step(machine)
    with machine.judge():
        for _ in range(3):
            done = machine.perdure("restart")
            assert done.returncode == 0, done.stderr
            harness.wait_until(machine.is_serving, machine.status, systemd.PATIENCE_S)
            wait_in_step(machine, count)
            before = incarnations(machine)
            kill_both(machine)
            assert incarnations(machine) == before
    wait_in_step(machine, count)
    machine.kill(signal.SIGTTIN)
    harness.wait_until(lambda: len(incarnations(machine)) == 3 and machine.is_serving(), machine.status)
    for worker, _ in incarnations(machine):
        assert b"LISTEN_" not in harness.read_proc(machine.outer(worker), "environ")


def test_workers_and_listeners_that_come_and_go_are_followed(machine):
    machine.start()
    count = wait_in_step(machine)
    with machine.judge():
        machine.configure('workers = 4\nlisten "0.0.0.0:81" { }')
        assert machine.systemctl("reload", UNIT).returncode == 0
        more = wait_in_step(machine)
        assert more > count
        for slot in range(4):
            worker = machine.status()["workers"][slot]["pid"]
            machine.kill(signal.SIGKILL, worker)
            harness.wait_until(lambda: machine.is_serving()
                               and machine.status()["workers"][slot]["pid"] != worker,
                               machine.status, systemd.PATIENCE_S)
        wait_in_step(machine, more)
        before = incarnations(machine)
        kill_both(machine)
        assert incarnations(machine) == before
        machine.configure("workers = 2")
        assert machine.systemctl("reload", UNIT).returncode == 0
        wait_in_step(machine, count)
    assert machine.run("ss", "-Hltn", "sport = :81").stdout == ""


def test_both_killed_during_a_reload_cost_nobody_anything(machine):
    """At moments from before it is heard to after its end; the pauses are what is tested."""
    machine.start()
    sockets = listeners(machine)
    with machine.judge():
        for moment in range(12):
            main, both = machine.main_pid(), pair(machine)
            machine.configure(f"idle_timeout = {30 + moment}s")
            reload = threading.Thread(target=machine.perdure, args=("reload",))
            reload.start()
            time.sleep(0.004 + moment * 0.002)
            kill_at_once(both)
            machine.wait_restarted(main)
            reload.join()
            assert machine.perdure("reload").returncode == 0  # what had got lost is done now
            assert machine.perdure("reload").stdout == "identical, nothing to do\n"
    assert listeners(machine) == sockets and machine.state()["NRestarts"] == "12"
    wait_in_step(machine)
    assert machine.systemctl("stop", UNIT).returncode == 0
    machine.assert_nothing_left()


def reload_by_systemd(machine):
    return machine.systemctl("reload", UNIT).returncode


def reload_by_perdure(machine):
    return machine.perdure("reload").returncode


@pytest.mark.parametrize("victims", [1, 2], ids=["supervisor", "both"])
@pytest.mark.parametrize("asked", [reload_by_systemd, reload_by_perdure])
def test_killed_during_a_reload_another_is_started_at_once(machine, asked, victims):
    """systemd starts nobody while ExecReload= runs, and answers a death while RELOADING=1 holds with ExecStop=: neither
    holds the next one up. Who asked systemd is told of a failure; who asked perdure hears of the next one's success."""
    machine.start()
    main, pids = machine.main_pid(), pair(machine)
    worker = machine.outer(machine.status()["workers"][0]["pid"])
    results = []
    with machine.judge():
        os.kill(worker, signal.SIGSTOP)  # the reload gets no further than to this one
        machine.configure("idle_timeout = 30s")
        reload = threading.Thread(target=lambda: results.append(asked(machine)))
        reload.start()
        harness.wait_until(lambda: machine.status()["supervisor"]["rolling"], machine.status)
        kill_at_once(pids[:victims])
        os.kill(worker, signal.SIGCONT)
        machine.wait_restarted(main)
        reload.join()
        assert machine.perdure("reload").stdout == "identical, nothing to do\n"
    assert ("supervisor died before it answered" in machine.journal(UNIT)) == (results[0] != 0)
    assert results == [1 if asked is reload_by_systemd else 0]
    assert told_of_store(machine) == victims - 1 and machine.state()["NRestarts"] == "1"
    assert "stopping" not in machine.journal(UNIT)
    assert machine.systemctl("stop", UNIT).returncode == 0
    machine.assert_nothing_left()


def test_without_a_configuration_it_goes_on_with_the_one_it_had(machine):
    machine.start()
    before = incarnations(machine)
    with machine.judge():
        machine.config.unlink()
        kill_both(machine)
    assert incarnations(machine) == before


def test_the_log_stays_where_it_was(machine):
    machine.configure('error_log = "/var/log/perdure/error.log"')
    log = machine.root / "var/log/perdure/error.log"
    machine.start()
    for _ in range(2):
        kill_both(machine)
        main = machine.main_pid()
        machine.kill(signal.SIGKILL)
        machine.wait_restarted(main)
    assert log.read_text().count("has taken over") == 4
    assert "has taken over" not in machine.journal(UNIT)


def test_what_was_stored_and_never_noted_is_thrown_away(machine):
    """Who dies in between leaves it in the store, under a name that is in no ledger."""
    code = """if True:
        import os, socket
        open("/sys/fs/cgroup/system.slice/perdure.service/cgroup.procs", "w").write("0")
        one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        one.connect("/run/systemd/notify")
        message = [b"FDSTORE=1\\nFDNAME=perdure-4000000\\nFDPOLL=0"]
        socket.send_fds(one, message, [os.memfd_create("nobody's")])
        ours, theirs = os.pipe()
        socket.send_fds(one, [b"BARRIER=1"], [theirs])
        os.close(theirs)
        os.read(ours, 1)  # until systemd has read it all, and closed its end
    """
    machine.drop_in("[Service]\nNotifyAccess=all\n")
    machine.start()
    count = wait_in_step(machine)
    done = machine.run("python3", "-c", code)
    assert done.returncode == 0 and stored(machine) == count + 1, done
    kill_both(machine)
    wait_in_step(machine, count)


def test_a_keeper_that_lives_is_asked_first(machine):
    """What it has is newer; and what came from the store beside it is not left open."""
    machine.start()
    count = wait_in_step(machine)
    main = machine.main_pid()
    before = len(open_files(machine.outer(main)))
    machine.kill(signal.SIGKILL)
    machine.wait_restarted(main)
    assert "store" not in machine.journal(UNIT)
    wait_in_step(machine, count)
    assert len(open_files(machine.outer(machine.main_pid()))) <= before


def test_a_keeper_that_gave_no_answer_finds_that_another_took_over(machine):
    machine.drop_in("[Service]\nRestartSec=1s\n")
    machine.start()
    before, inner = incarnations(machine), machine.main_pid()
    main, keeper = pair(machine)
    with machine.judge():
        os.kill(main, signal.SIGKILL)
        harness.wait_until((machine.root / "run/perdure/keeper.sock").exists, machine.journal)
        os.kill(keeper, signal.SIGSTOP)
        machine.wait_restarted(inner)
        heir = machine.main_pid()
        os.kill(keeper, signal.SIGCONT)
        harness.wait_until(lambda: not harness.is_alive(keeper), machine.status, systemd.PATIENCE_S)
        assert machine.status()["supervisor"]["pid"] == heir == machine.main_pid()
    assert told_of_store(machine) == 1 and incarnations(machine) == before
    assert machine.systemctl("stop", UNIT).returncode == 0
    machine.assert_nothing_left()


def test_a_ledger_that_does_not_add_up_is_thrown_away_and_the_start_is_a_fresh_one(machine):
    machine.start()
    count = wait_in_step(machine)
    before = incarnations(machine)
    main, keeper = pair(machine)
    links = {os.readlink(entry.path): entry.path for entry in os.scandir(f"/proc/{main}/fd")}
    inner = machine.main_pid()
    for pid in (main, keeper):
        os.kill(pid, signal.SIGSTOP)
    with open(links["/memfd:perdure-ledger (deleted)"], "r+b", buffering=0) as ledger:
        ledger.write(b"nothing of the kind")
    kill_at_once([main, keeper])
    machine.wait_restarted(inner)
    assert "there is no ledger of this version; it is thrown away" in machine.journal(UNIT)
    assert not set(incarnations(machine)) & set(before)
    wait_in_step(machine, count)
    assert machine.systemctl("stop", UNIT).returncode == 0
    machine.assert_nothing_left()
