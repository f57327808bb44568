"""`perdure status` tells who serves, how often and why there was a succession, and what the last death interrupted."""
import os
import signal
import time

import pytest

import harness
from test_poisoned_request_costs_only_itself import TargetServer

HANG_MS = 300


def last_death(server):
    return server.workers()[0]["last_death"]


def cause_each_once(server):
    """A crash, a kill, a hang, a reload and a restart, one after another. What had died last, by (cause, signal), after
    each; reload and restart are no deaths."""
    deaths = []
    for number in (signal.SIGSEGV, signal.SIGKILL, signal.SIGSTOP):
        pid = server.workers()[0]["pid"]
        assert harness.crash(pid, number) if number == signal.SIGSEGV else harness.kill(pid, number)
        server.wait_succeeded(0, pid)
        death = last_death(server)
        assert death["pid"] == pid and abs(death["when"] - time.time()) < 5
        deaths.append((death["cause"], death["signal"]))
    for verb in ("reload", "restart"):
        before = server.workers()[0]["pid"]
        assert server.verb(verb).returncode == 0
        server.wait_succeeded(0, before)
        deaths.append((last_death(server)["cause"], last_death(server)["signal"]))
    return deaths


def test_each_cause_is_counted_as_itself_and_nothing_else(make_server):
    server = make_server(workers=1, hang_timeout=f"{HANG_MS}ms").start()
    assert last_death(server) is None
    with server.connect() as one, server.connect() as other:
        assert one.get("/").status == other.get("/").status == 403
        server.write_config(idle_timeout="50s")
        deaths = cause_each_once(server)
        assert deaths == [("crash", 11), ("kill", 9)] + 3 * [("hang", 9)]
        worker = server.workers()[0]
        assert worker["successions"] == {"crash": 1, "kill": 1, "hang": 1, "reload": 1, "upgrade": 1}
        assert worker["connections"] == 2 and worker["last_death"]["connections"] == 2
        assert one.get("/").status == other.get("/").status == 403
        assert server.workers()[0]["requests"] == 4  # of all its lives
    assert server.status()["generation"] == 3


def test_pids_and_ages_are_those_of_the_processes(make_server):
    server = make_server(workers=2).start()
    for slot in (0, 1):
        server.wait_succeeded(slot, server.kill_worker(slot))
        server.wait_new_keeper(slot, server.kill_worker(slot, keeper=True))
    status = server.status()
    assert len({worker[key] for worker in status["workers"] for key in ("pid", "keeper_pid")}) == 4
    for worker in status["workers"]:
        pid, keeper = worker["pid"], worker["keeper_pid"]
        for process in (pid, keeper):
            assert harness.proc_status(process)["PPid"] == str(status["supervisor"]["pid"])
        assert f"worker {worker['slot']}".encode() in harness.read_proc(pid, "cmdline").replace(b"\0", b" ")
        assert harness.proc_status(keeper)["Name"] == "perdure-keeper"
        born = int(harness.read_proc(pid, "stat").rpartition(b")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - born
        assert 0 <= worker["age_ms"] <= age * 1000 + 20
        assert age * 1000 - worker["age_ms"] < 2000


def people_see(said):
    """The table that `status` prints for one worker, as a dictionary of words."""
    titles, row = said.partition("\n\n")[2].splitlines()[:2]
    return dict(zip(titles.split(), row.split()))


@pytest.mark.parametrize("address, client", [(harness.free_address, "127."), (harness.free_address_v6, "::1")],
                         ids=["IPv4", "IPv6"])
def test_the_last_death_names_signal_request_and_client(address, client):
    server = TargetServer(workers=1)
    try:
        server.host, server.port = address()
        server.listeners = [server.address]
        server.write_config()
        server.start()
        assert server.get("/.test/segv?why").status == 500
        server.wait_serving()
        death = last_death(server)
        assert (death["cause"], death["signal"], death["exit_code"]) == ("crash", 11, 0)
        assert death["request"] == "GET /.test/segv?why HTTP/1.1" and death["client"].startswith(client)
        assert not death["oom"] and death["connections"] == 1
        said = server.verb("status").stdout
        assert f"worker 0: pid {death['pid']} died of signal 11 (SIGSEGV)" in said
        assert f"with 1 connections; in hand: GET /.test/segv?why HTTP/1.1 from {client}" in said
        table = people_see(said)
        assert table["crash"] == "2" and table["hang"] == table["kill"] == "0"
        assert table["pid"] == str(server.workers()[0]["pid"]) and table["state"] == "serving"
    finally:
        server.close()
