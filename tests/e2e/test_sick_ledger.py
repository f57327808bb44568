"""A ledger that somebody scribbled over: the supervisor that takes over drops what cannot be, says so, and serves on.

The supervisor is stopped first, so that it is the next one that meets the scribbles.
"""
import json
import os
import random
import signal
import struct
import subprocess

import pytest

import harness
import test_kill_supervisor
from test_kill_supervisor import is_in_office, processes, wait_whole

# Nobody reads slowly: a worker that the ledger calls surplus stays for as long as its slowest client reads.
STORM = {**test_kill_supervisor.STORM, "slow": 0}

pytestmark = [pytest.mark.skipif(not harness.IS_ROOT, reason="opens the supervisor's ledger"), pytest.mark.sanitized]

W = "workers.all[%d]."
FIELDS = ["phase", "foreground", "keeper_pid", "keeper_fd", "supervisor_pid", "rolling", "generation", "lock_fd",
          "stderr_fd", "error_log_fd", "access_log_fd", "listeners.count", "listeners.all[0].fd", "next_listeners.count",
          "workers.count", "waiters_count", "run_dir", "own_path", "worker_path", "command_bytes",
          "present.snapshot_fd", "present.program_fd", "present.layout", "good.snapshot_fd", "good.program_fd",
          "control.listener_fd", "control.clients[0].fd", "asked.verbs", "gifts[0].fd", "gifts[0].heir", "workers.all",
          "last_result.text", "trial_ms", "failures", "crashes"]
FIELDS += [W % slot + name for slot in (0, 1) for name in (
    "state", "slot", "generation", "cause", "pid", "parked_pid", "keeper_pid", "control_fd", "keeper_fd",
    "next_control_fd", "next_keeper_fd", "next_keeper_pid", "leaving[0].pid", "leaving[0].fd", "cell_fd", "cell_slots",
    "heir", "ready_ms", "deadline_ms", "beat_ms", "layout", "last_death.request")]


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """Where each field is, and its size: the compiler says so."""
    place = tmp_path_factory.mktemp("layout")
    lines = "".join(f'printf("%zu %zu\\n", offsetof(struct ledger, {name}), sizeof(((struct ledger *)0)->{name}));\n'
                    for name in FIELDS)
    (place / "layout.c").write_text('#include "supervisor/ledger.h"\n#include <stdio.h>\n#include <stddef.h>\n'
                                    "int main(void) {\n" + lines + "return 0; }\n")
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-I", harness.REPOSITORY, "-o", place / "layout", place / "layout.c"], check=True)
    said = subprocess.run([place / "layout"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: tuple(map(int, line.split())) for name, line in zip(FIELDS, said)}


class Ledger:
    """That of a stopped supervisor, by the names of its fields."""

    def __init__(self, pid, layout):
        self.layout = layout
        fd = next(fd for fd in harness.open_descriptors(pid)
                  if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("/memfd:perdure-ledger"))
        self.file = open(f"/proc/{pid}/fd/{fd}", "r+b", buffering=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def read(self, name):
        at, size = self.layout[name]
        return struct.unpack({4: "<i", 8: "<q"}[size], os.pread(self.file.fileno(), size, at))[0]

    def write(self, name, value):
        at, size = self.layout[name]
        if isinstance(value, int):
            value = (value % (1 << 8 * size)).to_bytes(size, "little")
        os.pwrite(self.file.fileno(), value[:size], at)


def scribble_and_kill(server, layout, scribble):
    """SCRIBBLE(ledger) over the ledger; then the supervisor is killed. Returns when its successor is in office and
    everything is whole."""
    former = server.supervisor_pid()
    os.kill(former, signal.SIGSTOP)
    harness.wait_until(lambda: harness.proc_status(former)["State"][0] == "T", "it goes on")
    with Ledger(former, layout) as ledger:
        scribble(ledger)
    os.kill(former, signal.SIGKILL)
    harness.wait_until(lambda: is_in_office(server, former), server.log)
    wait_whole(server)


@pytest.fixture
def healthy(loaded_server):
    """A server, and a bystander: another perdure, no process of which may come to harm."""
    bystander = loaded_server(workers=2)
    server = loaded_server(workers=2)
    before = processes(bystander)
    server.bystander = bystander
    yield server
    assert processes(bystander) == before and bystander.status()["supervisor"]["takeovers"] == 0


HARMLESS = {  # no client notices
    **{f"{W % 1}{name}": [-2, 0, 3, 1 << 30] for name in ("control_fd", "keeper_fd", "next_control_fd", "leaving[0].fd")},
    **{f"{W % 1}{name}": [-1, 0, 1, 1 << 22] for name in ("pid", "keeper_pid", "parked_pid", "next_keeper_pid",
                                                          "leaving[0].pid")},
    f"{W % 1}state": [0, 1, 3, 5, 6, 7, 8, 9, 10, 11, -1],
    f"{W % 1}slot": [0, 5000], f"{W % 1}heir": [0, 1, -7, 5000], f"{W % 1}cause": [77], f"{W % 1}layout": [0, 99],
    f"{W % 1}generation": [0, 1 << 31], f"{W % 1}ready_ms": [1 << 62], f"{W % 1}deadline_ms": [1, 1 << 62],
    f"{W % 1}cell_fd": [-1, 0, 3, 1 << 30], f"{W % 1}cell_slots": [0, 1 << 31],
    "workers.count": [0, 1, 1 << 31], "listeners.count": [0, 2, 1 << 31], "next_listeners.count": [1, 1 << 31],
    "waiters_count": [1 << 31], "phase": [77, 2], "rolling": [1, 2, 77], "generation": [0, 1 << 31],
    "keeper_pid": [0, -1, 1 << 22], "keeper_fd": [-1, 0, 3, 1 << 30], "supervisor_pid": [0, -1],
    "lock_fd": [-1, 0, 3, 1 << 30], "error_log_fd": [-1, 3, 1 << 30], "access_log_fd": [-1, 3, 1 << 30],
    "present.snapshot_fd": [-1, 3], "present.program_fd": [-1, 3], "present.layout": [0, 99],
    "good.snapshot_fd": [-1, 3], "good.program_fd": [-1, 3], "control.clients[0].fd": [0, 3, 1 << 30],
    "gifts[0].fd": [0, 3, 1 << 30], "asked.verbs": [1 << 20], "command_bytes": [1 << 31], "trial_ms": [1 << 62],
    "run_dir": [b"x" * 4096], "own_path": [b"/" * 4096, b"x"], "worker_path": [b"x" * 4096],
    "last_result.text": [b"x" * 4096], "failures": [3], "control.listener_fd": [-1, 3, 1 << 30],
}


@pytest.mark.parametrize("field", HARMLESS)
def test_no_client_notices(healthy, layout, field):
    with harness.Judge(healthy.address, healthy.root, **STORM):
        for value in HARMLESS[field]:
            scribble_and_kill(healthy, layout, lambda ledger, value=value: ledger.write(field, value))
        assert healthy.get("/1024.bin").status == 200
    assert healthy.status()["lost_connections"] == 0


def test_pids_of_others_are_left_alone(healthy, layout):
    """Those of another perdure's workers, of this test, of the supervisor itself, of the other worker."""
    others = [pid for pair in processes(healthy.bystander).values() for pid in pair] + [os.getpid()]
    with harness.Judge(healthy.address, healthy.root, **STORM):
        for pid in others + [healthy.supervisor_pid()] + list(processes(healthy)[0]):
            for name in ("pid", "keeper_pid", "leaving[0].pid", "parked_pid"):
                scribble_and_kill(healthy, layout, lambda ledger, name=name, pid=pid: ledger.write(W % 1 + name, pid))
    assert healthy.status()["lost_connections"] == 0


def test_a_worker_whose_pid_is_lost_is_found_again(healthy, layout):
    before = processes(healthy)
    with harness.Judge(healthy.address, healthy.root, **STORM):
        for pid in (0, 1, -1, 1 << 22, os.getpid()):
            scribble_and_kill(healthy, layout, lambda ledger, pid=pid: ledger.write(W % 0 + "pid", pid))
            assert processes(healthy) == before
    assert f"it is pid {before[0][0]}" in healthy.log()


def test_two_workers_of_which_one_has_the_others_channels_are_succeeded(healthy, layout):
    before = processes(healthy)

    def swap(ledger):
        ledger.write(W % 0 + "control_fd", ledger.read(W % 1 + "control_fd"))

    with harness.Judge(healthy.address, healthy.root, **STORM):
        scribble_and_kill(healthy, layout, swap)
    assert "it has several places: dropped" in healthy.log()
    assert not set(before.values()) & set(processes(healthy).values())
    assert healthy.status()["lost_connections"] == 0


def test_an_end_that_was_noted_and_not_followed_up_holds_no_stop_up(loaded_server, layout):
    """Seen once of some hundred stops: the supervisor died between the note that the last of a worker's processes is
    gone and what follows from it. Nobody told its successor of that death again, and `stop` waited for ever."""
    server = loaded_server(workers=2)
    former = server.supervisor_pid()
    worker, keeper = processes(server)[1]
    os.kill(former, signal.SIGSTOP)
    harness.wait_until(lambda: harness.proc_status(former)["State"][0] == "T", "it goes on")
    with Ledger(former, layout) as ledger:
        for pid in (worker, keeper):
            os.kill(pid, signal.SIGKILL)
            harness.wait_until(lambda pid=pid: harness.proc_status(pid)["State"][0] == "Z", "it lives")
        ending = 10  # WORKER_ENDING of supervisor/workers.h
        for name, value in {"state": ending, "pid": 0, "keeper_pid": 0, "control_fd": -1, "keeper_fd": -1}.items():
            ledger.write(W % 1 + name, value)
    os.kill(former, signal.SIGKILL)
    harness.wait_until(lambda: is_in_office(server, former), server.log)
    assert server.verb("stop").returncode == 0, server.log()


def test_random_scribbles_over_what_is_in_use(healthy, layout):
    """Clients may be cut here: who is served by two workers that lost all their channels is. Nobody else is harmed, and
    the service goes on."""
    chance = random.Random(23)
    names = [name for name in FIELDS if name.startswith("workers.all[")]
    for _ in range(25):
        def scribble(ledger):
            for name in chance.sample(names, 3):
                ledger.write(name, chance.choice([0, 1, -1, 2, 3, 5, 12, 1000, 1 << 31, chance.getrandbits(32)]))
        scribble_and_kill(healthy, layout, scribble)
        assert healthy.get("/1024.bin").body == (healthy.root / "1024.bin").read_bytes()
    assert json.dumps(healthy.status())
