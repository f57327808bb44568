"""What is promised over IPv4 is promised over IPv6; over AF_UNIX, that who rests is not disturbed."""
import os
import signal

import pytest

import harness
from test_kill_worker import STORM, kill_many


@pytest.fixture
def v6_server(make_server):
    server = make_server(workers=2)
    harness.fill_corpus(server.root)
    server.host, server.port = harness.free_address_v6()
    server.listeners = [server.address]
    server.write_config()
    return server.start()


def test_kills_and_reloads_under_load_are_not_noticed_over_ipv6(v6_server):
    server = v6_server
    with harness.Judge(server.address, server.root, **STORM) as judge:
        kill_many(server, 20)
        for turn in range(10):
            assert server.reload(idle_timeout=f"{50 + turn}s").returncode == 0
            kill_many(server, 1)
    assert judge.figures["responses"] > 1000
    successions = server.successions()
    assert successions["kill"] >= 30 and successions["reload"] >= 20
    assert server.status()["lost_connections"] == 0


def test_half_a_request_and_a_download_survive_over_ipv6(v6_server):
    server = v6_server
    whole = (server.root / "large.dat").read_bytes()
    with server.connect() as half, server.connect(receive_buffer=16384) as download:
        half.send(b"GET /1.bin HT")
        download.request("/large.dat")
        assert download.read_head().status == 200
        body = download.take(100_000)
        for _ in range(3):
            for slot in (0, 1):
                server.wait_succeeded(slot, server.kill_worker(slot))
            assert server.reload(idle_timeout=f"{50 + len(body) % 10}s").returncode == 0
            body += download.take(100_001)
        half.send(b"TP/1.1\r\nHost: a\r\n\r\n")
        assert half.read().body == (server.root / "1.bin").read_bytes()
        assert body + download.take(len(whole) - len(body)) == whole
        assert download.get("/1.bin").status == 200


@pytest.fixture
def unix_server(make_server):
    server = make_server(workers=1)
    harness.fill_corpus(server.root)
    server.listeners.append(f"unix:{server.directory}/http.sock")
    server.write_config()
    return server.start()


def test_an_idle_connection_over_af_unix_survives(unix_server):
    server = unix_server
    clients = [harness.Client(f"{server.directory}/http.sock") for _ in range(50)]
    for client in clients:
        assert client.get("/1024.bin").status == 200
    for turn in range(5):
        server.wait_succeeded(0, server.kill_worker(0))
        server.wait_succeeded(0, server.kill_worker(0, signal.SIGSEGV if turn == 0 else signal.SIGKILL))
        assert server.reload(idle_timeout=f"{50 + turn}s").returncode == 0
        assert all(client.is_quiet() for client in clients)
    for client in clients:
        assert client.get("/1024.bin").body == (server.root / "1024.bin").read_bytes()
        client.close()


def test_a_new_connection_over_af_unix_is_never_refused(unix_server):
    """It waits in the listener's queue while nobody serves."""
    server = unix_server
    for _ in range(10):
        pid = server.workers()[0]["pid"]
        os.kill(pid, signal.SIGSTOP)
        with harness.Client(f"{server.directory}/http.sock") as client:
            client.request("/1024.bin")
            os.kill(pid, signal.SIGKILL)
            assert client.read().body == (server.root / "1024.bin").read_bytes()
        server.wait_succeeded(0, pid)


def test_reloads_under_load_are_not_noticed_over_af_unix(unix_server):
    """A worker that retires does so between two steps, so that nothing has to be asked of the kernel."""
    server = unix_server
    with harness.Judge(server.listeners[1], server.root, **STORM):
        for turn in range(10):
            assert server.reload(idle_timeout=f"{50 + turn}s").returncode == 0
    assert server.successions()["reload"] == 10
