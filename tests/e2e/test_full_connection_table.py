"""Every place of a worker is taken, each by a download of another file: a succession cuts none, and lets nobody in."""
import contextlib
import os

import pytest

import harness

CONNECTIONS = 32
FILE_BYTES = 6 << 20  # more than the kernel buffers for a client that does not read


@pytest.fixture
def full_server(make_server):
    server = make_server(workers=1, connections=CONNECTIONS)
    block = os.urandom(FILE_BYTES)
    for number in range(CONNECTIONS):
        (server.root / f"{number}.bin").write_bytes(block[number * 4099:] + block[:number * 4099])
    (server.root / "index.html").write_text("served")
    return server.start()


def files_open(server):
    """How many of the served files the worker has open, though they have no name any more."""
    pid = server.workers()[0]["pid"]
    found = 0
    for fd in harness.open_descriptors(pid):
        with contextlib.suppress(OSError):
            name = os.readlink(f"/proc/{pid}/fd/{fd}")
            found += name.startswith(str(server.root)) and name.endswith("(deleted)")
    return found


def begin_downloads(server, stack):
    """A client for each place; what each is to get; and no file that could be opened again."""
    wholes = [(server.root / f"{number}.bin").read_bytes() for number in range(CONNECTIONS)]
    clients = [stack.enter_context(server.connect(receive_buffer=16384)) for _ in wholes]
    for number, client in enumerate(clients):
        client.request(f"/{number}.bin")
        assert client.read_head()["Content-Length"] == str(FILE_BYTES)
    for number in range(CONNECTIONS):
        (server.root / f"{number}.bin").unlink()
    return clients, wholes


def test_kills_and_reloads_cut_no_download_and_the_next_client_waits(full_server):
    server = full_server
    with contextlib.ExitStack() as stack:
        clients, wholes = begin_downloads(server, stack)
        late = stack.enter_context(server.connect())  # accepted by the kernel, and waits
        late.request("/")
        bodies = [b""] * CONNECTIONS
        for turn in range(6):
            bodies = [body + client.take(FILE_BYTES // 20) for body, client in zip(bodies, clients)]
            assert files_open(server) == CONNECTIONS, "some are sent already: nothing is tested"
            if turn % 2:
                server.wait_succeeded(0, server.kill_worker(0))
            else:
                assert server.reload(idle_timeout=f"{50 + turn}s").returncode == 0
            assert server.workers()[0]["connections"] == CONNECTIONS
            assert late.is_quiet()
        for body, client, whole in zip(bodies, clients, wholes):
            assert body + client.take(FILE_BYTES - len(body)) == whole
        clients[0].close()
        assert late.read().body == b"served"
        for client in clients[1:]:
            assert client.get("/").body == b"served"
    successions = server.successions()
    assert (server.deaths(), successions["reload"]) == (3, 3)
    assert server.status()["lost_connections"] == 0
    harness.wait_until(lambda: files_open(server) == 0, lambda: f"{files_open(server)} files stay open")
