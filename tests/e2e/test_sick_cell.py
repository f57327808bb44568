"""A cell that a dying worker scribbled over: its successor drops what does not add up, at once, and serves the rest.

The worker is stopped first, so that it is the successor that meets the scribbles.
"""
import contextlib
import os
import random
import signal
import subprocess

import pytest

import harness

pytestmark = [pytest.mark.skipif(not harness.IS_ROOT, reason="opens a worker's cell"), pytest.mark.sanitized]

FIELDS = ["magic", "layout", "slots", "connections", "beat_ms", "counters", "last_words", "slot_bytes", "desk_bytes",
          "in_hand_at", "receiving", "in_hand", "top", "log_from", "log_state", "taking"]
ROUNDS = 40
CORPUS = "/999.bin"


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """Where each field of the header is, and its size; and where the slots are, and a slot's size."""
    place = tmp_path_factory.mktemp("layout")
    lines = "".join(f'printf("%zu %zu\\n", offsetof(struct cell_header, {name}), '
                    f"sizeof(((struct cell_header *)0)->{name}));\n" for name in FIELDS)
    lines += 'printf("%d %zu\\n", CELL_HEADER_BYTES, sizeof(struct slot));\n'
    (place / "layout.c").write_text('#include "supervisor/inherit/cell.h"\n#include <stdio.h>\n'
                                    "int main(void) {\n" + lines + "return 0; }\n")
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-I", harness.REPOSITORY, "-o", place / "layout", place / "layout.c"], check=True)
    said = subprocess.run([place / "layout"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: tuple(map(int, line.split())) for name, line in zip(FIELDS + ["slot"], said)}


@contextlib.contextmanager
def stopped_with_cell(pid):
    """Worker PID makes no step from here on; yields a writer of (offset, bytes) into its cell."""
    os.kill(pid, signal.SIGSTOP)
    harness.wait_until(lambda: harness.proc_status(pid)["State"][0] in "Tt", f"{pid} does not stop")
    fd = next(fd for fd in harness.open_descriptors(pid)
              if "memfd:perdure-cell" in os.readlink(f"/proc/{pid}/fd/{fd}"))
    with open(f"/proc/{pid}/fd/{fd}", "r+b", buffering=0) as cell:
        yield lambda at, data: os.pwrite(cell.fileno(), data, at)


def scribble_and_kill(server, writes):
    pid = server.wait_serving()[0]["pid"]
    with stopped_with_cell(pid) as write:
        for at, data in writes:
            write(at, data)
    os.kill(pid, signal.SIGKILL)
    server.wait_succeeded(0, pid)


@pytest.mark.parametrize("field", FIELDS)
def test_no_word_of_the_header_costs_a_connection_or_a_successor(loaded_server, layout, field):
    """One word of five kept every successor from its cell, for good: clients waited, until an operator came."""
    server = loaded_server(workers=1)
    at, size = layout[field]
    with server.connect() as kept:
        for value in (bytes(size), b"\xff" * size, random.Random(field).randbytes(size)):
            scribble_and_kill(server, [(at, value)])
            assert kept.get(CORPUS).status == 200
            assert server.get(CORPUS).status == 200
    assert server.deaths() == 3, "a successor died of it"


def test_a_worker_that_scribbles_over_its_heartbeat_and_hangs_is_noticed(loaded_server, layout):
    """A beat that is still to come was taken for a sign of life, for as long as it was to come."""
    server = loaded_server(workers=1, hang_timeout="200ms")
    pid = server.wait_serving()[0]["pid"]
    with server.connect() as client:
        assert client.get(CORPUS).status == 200
        with stopped_with_cell(pid) as write:
            write(layout["beat_ms"][0], b"\xff" * 7 + b"\x7f")
        server.wait_succeeded(0, pid)
        assert client.get(CORPUS).status == 200
    assert server.successions()["hang"] == 1


def in_every_stage(server):
    """Connections in the middle of each thing that a connection can be in the middle of."""
    clients = [server.connect(receive_buffer=4096) for _ in range(7)]
    clients[0].get(CORPUS)
    clients[1].send("GET /1.bin HTTP/1.1\r\nHo")
    clients[2].send("GET /1.bin HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
    clients[3].send("GET /1.bin HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
    clients[4].request("/large.dat")
    clients[5].request("/large.dat", "Range: bytes=1-2000000, 3000000-5000000, 6000000-")
    clients[6].get("/1.bin", "Connection: close")
    for client in clients[4:6]:
        assert client.wait_readable(harness.PATIENCE_S)
    return clients


def test_random_scribbles_over_a_slot_cost_no_other_connection(loaded_server, layout):
    """Nor does anything that a slot says make its successor die, or never come to an end."""
    server = loaded_server(workers=1)
    chance = random.Random(3)
    slots_at, slot_bytes = layout["slot"]
    with server.connect() as kept:
        assert kept.get(CORPUS).status == 200
        last = max(map(int, harness.open_descriptors(server.wait_serving()[0]["pid"])))  # KEPT's, or its file's
        for number in range(ROUNDS):
            clients = in_every_stage(server)
            writes = [(slots_at + fd * slot_bytes + 4 * chance.randrange(slot_bytes // 4),
                       chance.randrange(1 << chance.choice((3, 8, 32))).to_bytes(4, "little"))
                      for fd in chance.choices(range(last + 1, last + 12), k=6)]
            scribble_and_kill(server, writes)
            assert kept.get(CORPUS).status == 200, f"round {number}: {writes}"
            for client in clients:
                client.reset()
    assert server.successions() == {"crash": 0, "kill": ROUNDS, "hang": 0, "reload": 0, "upgrade": 0}
