"""The unit does under a real systemd what it promises: started, reloaded, restarted, stopped, killed, watched over."""
import pathlib
import signal
import subprocess
import sys

import harness
import pytest
import systemd
from systemd_machine import LOAD, UNIT, marks

# Of systemd-analyze security: 0 is a service that can do nothing, 100 one that can do everything; the words are "OK"
# from 20 and "MEDIUM" from 50. What remains is a server's nature: root that becomes another user, gives the files of unix
# sockets away (CAP_CHOWN, CAP_FOWNER), and a network.
EXPOSURE_MOST = 28

pytestmark = marks


# ---- start, reload, restart, stop ----

def test_start_returns_when_it_answers_and_says_where(machine):
    machine.start()
    assert machine.get().status == 200
    state = machine.state()
    assert state["ActiveState"] == "active" and state["StatusText"] == "serving on 0.0.0.0:80"
    assert machine.main_pid() == machine.status()["supervisor"]["pid"]
    assert machine.show(UNIT, "WatchdogUSec") == {"WatchdogUSec": "30s"}
    assert "warning" not in machine.journal(UNIT), "the unit grants all that it asks of the system"


def test_start_fails_with_a_bad_configuration_and_the_journal_tells_why(machine):
    machine.configure("nonsense")
    assert machine.systemctl("start", UNIT).returncode != 0
    assert "/etc/perdure/perdure.conf:1: " in machine.journal(UNIT)
    machine.systemctl("stop", UNIT)
    assert machine.processes(UNIT) == []


def test_the_exit_status_of_reload_is_its_result(machine):
    machine.start()
    main = machine.main_pid()
    with machine.judge():
        machine.configure("idle_timeout = 30s")
        assert machine.systemctl("reload", UNIT).returncode == 0
        assert machine.state()["StatusText"].endswith("idle_timeout 65s -> 30s")
        machine.configure("nonsense")
        assert machine.systemctl("reload", UNIT).returncode != 0
        assert machine.state()["StatusText"].startswith("refused: /etc/perdure/perdure.conf:1: ")
        assert machine.state()["ActiveState"] == "active" and machine.state()["SubState"] == "running"
        machine.configure("idle_timeout = 31s")
        assert machine.systemctl("reload-or-restart", UNIT).returncode == 0
    assert "idle_timeout 30s -> 31s" in machine.journal(UNIT)
    assert machine.main_pid() == main


def test_a_hangup_from_systemd_is_a_reload(machine):
    machine.start()
    machine.configure("idle_timeout = 30s")
    assert machine.systemctl("kill", "--kill-who=main", "-s", "HUP", UNIT).returncode == 0
    harness.wait_until(lambda: machine.state()["StatusText"].endswith("65s -> 30s"), machine.state, systemd.PATIENCE_S)
    harness.wait_until(lambda: machine.state()["SubState"] == "running", machine.state, systemd.PATIENCE_S)


@pytest.mark.parametrize("how", ["perdure restart", "USR2"])
def test_a_restart_by_perdure_keeps_pid_and_clients(machine, how):
    machine.start()
    main = machine.main_pid()

    def everybody_is_new():
        return all(w["successions"]["upgrade"] == 1 for w in machine.status()["workers"]) and machine.is_serving()

    with machine.judge():
        if how == "USR2":
            assert machine.systemctl("kill", "--kill-who=main", "-s", "USR2", UNIT).returncode == 0
        else:
            done = machine.perdure("restart")
            assert done.returncode == 0, done.stderr
        harness.wait_until(everybody_is_new, machine.status, systemd.PATIENCE_S)
    harness.wait_until(lambda: machine.state()["ActiveState"] == "active", machine.state, systemd.PATIENCE_S)
    assert machine.main_pid() == main == machine.status()["supervisor"]["pid"]
    assert machine.state()["NRestarts"] == "0"


def test_a_restart_by_systemd_is_a_stop_and_a_start(machine):
    machine.start()
    main = machine.main_pid()
    assert machine.systemctl("restart", UNIT).returncode == 0
    assert machine.get().status == 200
    assert machine.main_pid() not in (0, main)


def test_stop_leaves_nothing(machine):
    machine.start()
    with harness.Judge("127.0.0.1:80", machine.www, through=machine.through_its_network, **LOAD) as judge:
        done = machine.systemctl("stop", UNIT)
        judge.finish()
        judge.figures.update(trouble_total=0, announced_closes=0)  # that it stopped is what its clients saw
    assert done.returncode == 0
    state = machine.state()
    assert state["ActiveState"] == "inactive" and state["Result"] == "success", state
    machine.assert_nothing_left()
    machine.start()
    assert machine.get().status == 200


# ---- deaths ----

@pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers' builds have no sandbox")
def test_workers_are_confined_below_the_units_own_sandbox_as_well(machine):
    """The unit's filter is in force when they make theirs."""
    machine.start()
    for worker in machine.status()["workers"]:
        assert worker["confined"]["no_capabilities"] and worker["confined"]["landlock"] and worker["confined"]["seccomp"]


def test_a_killed_worker_is_not_noticed_by_clients_nor_by_systemd(machine):
    machine.start()
    main = machine.main_pid()
    with machine.judge():
        for _ in range(5):
            worker = machine.status()["workers"][0]
            machine.kill(signal.SIGKILL, worker["pid"])
            harness.wait_until(lambda: machine.is_serving() and machine.status()["workers"][0]["pid"] != worker["pid"],
                               machine.status, systemd.PATIENCE_S)
    state = machine.state()
    assert state["ActiveState"] == "active" and state["NRestarts"] == "0" and machine.main_pid() == main


def test_a_killed_main_process_is_followed_by_another_each_time_and_nobody_notices(machine):
    """The supervisor's keeper gives everything to the one that systemd starts: it is the main process, and it serves."""
    machine.start()
    workers = [(w["pid"], w["keeper_pid"]) for w in machine.status()["workers"]]
    with machine.judge():
        for _ in range(10):
            main = machine.main_pid()
            machine.kill(signal.SIGKILL)
            machine.wait_restarted(main)
            assert machine.status()["supervisor"]["pid"] == machine.main_pid()
    assert machine.state()["NRestarts"] == "10"
    assert [(w["pid"], w["keeper_pid"]) for w in machine.status()["workers"]] == workers
    assert machine.systemctl("stop", UNIT).returncode == 0
    machine.assert_nothing_left()


def test_main_process_and_keeper_killed_at_once_are_followed_by_another_and_nobody_notices(machine):
    """Nobody is left to give anything but the workers, at their doors."""
    machine.start()
    workers = [w["pid"] for w in machine.status()["workers"]]
    with machine.judge():
        for turn in range(3):
            supervisor = machine.status()["supervisor"]
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in (supervisor["keeper_pid"], supervisor["pid"]):
                    machine.kill(number, pid)
            machine.wait_restarted(supervisor["pid"])
            assert machine.status()["supervisor"]["takeovers"] == turn + 1
    assert [w["pid"] for w in machine.status()["workers"]] == workers
    assert machine.systemctl("stop", UNIT).returncode == 0
    machine.assert_nothing_left()


@pytest.mark.parametrize("both", [False, True], ids=["main", "main and its keeper"])
def test_a_stop_that_comes_before_the_next_main_process_has_taken_over_leaves_nothing(machine, both):
    """Nobody is there to be asked, and systemd ends the one that it has just started. What was left served on, and came
    back as a service of nobody's after five seconds, or kept the next start from its port."""
    for _ in range(3):
        machine.start()
        supervisor = machine.status()["supervisor"]
        if both:
            for number in (signal.SIGSTOP, signal.SIGKILL):
                machine.kill(number, supervisor["keeper_pid"])
        machine.kill(signal.SIGKILL, supervisor["pid"])
        machine.systemctl("stop", UNIT)
        harness.wait_until(lambda: machine.processes(UNIT) == [], lambda: machine.journal(UNIT), systemd.PATIENCE_S)
        assert machine.state()["ActiveState"] == "inactive"


def test_killed_altogether_it_comes_back(machine):
    machine.start()
    main = machine.main_pid()
    assert machine.systemctl("kill", "--kill-who=all", "-s", "KILL", UNIT).returncode == 0
    machine.wait_restarted(main)


def test_a_main_process_that_stands_still_is_replaced(machine):
    """The watchdog: fed for longer than its interval first, so that it is the standstill that is noticed."""
    machine.drop_in("[Service]\nWatchdogSec=1s\n")
    machine.start()
    main = machine.main_pid()

    def told_at():
        return int(machine.show(UNIT, "WatchdogTimestampMonotonic")["WatchdogTimestampMonotonic"])
    first = told_at()
    harness.wait_until(lambda: told_at() > first + 1_500_000, machine.state, systemd.PATIENCE_S)
    assert machine.main_pid() == main
    machine.kill(signal.SIGSTOP)
    machine.wait_restarted(main)
    assert "Watchdog timeout" in machine.journal(UNIT)


# ---- the unit file ----

def test_the_unit_is_clean(machine):
    done = machine.run("systemd-analyze", "verify", "--man=no", f"/usr/lib/systemd/system/{UNIT}")
    assert done.returncode == 0 and done.stdout + done.stderr == "", done


def test_the_unit_is_exposed_no_more_than_it_must(machine):
    done = machine.run("systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE_MOST}",
                       f"/usr/lib/systemd/system/{UNIT}")
    print(done.stdout)
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


# ---- this harness ----

def test_a_systemd_whose_tests_were_killed_leaves_nothing(machine):
    """What would be left is a systemd, its mounts and its cgroup, for as long as the machine is up."""
    code = """if True:
        import sys, systemd
        one = systemd.Systemd()
        print(one.pid, one.guard.pid, one.directory, flush=True)
        sys.stdin.read()
    """
    tests = subprocess.Popen([sys.executable, "-c", code], cwd=harness.REPOSITORY / "tests/e2e", stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    pid, guard, directory = tests.stdout.readline().split()
    tests.kill()
    tests.communicate()
    harness.wait_until(lambda: not harness.is_alive(pid) and not harness.is_alive(guard), "still there",
                       systemd.PATIENCE_S)
    assert not (systemd.cgroup2() / f"{systemd.CGROUP_PREFIX}{guard}").exists()
    assert not pathlib.Path(directory).exists()
    assert machine.is_up()  # others are not disturbed
