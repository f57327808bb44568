"""After a response that is known to be the last, the client closes first if it wants to: TIME_WAIT is not ours."""
import random
import socket
import subprocess
import time

import pytest

import harness
import tcp
from test_kill_at_every_moment import killing

ASK = "GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CLIENTS = 200
LONG = 30  # seconds nobody waits for
SOON_S = 4  # sooner than linger_timeout


@pytest.fixture
def site(own_network, make_server):
    def make(**keys):
        server = make_server(workers=1, **keys)
        (server.root / "a.txt").write_bytes(b"a")
        (server.root / "some.bin").write_bytes(bytes(48 * 1024))
        return server.start()
    return make


def address(server):
    return (server.host, server.port)


def time_wait(server):
    """How many of the server's connections are in TIME_WAIT, once none of them is on its way there."""
    harness.wait_until(lambda: set(tcp.states(address(server))) <= {"TIME_WAIT"},
                       lambda: f"{tcp.states(address(server))}")
    return tcp.states(address(server))["TIME_WAIT"]


def ask_once(server):
    """As most clients: the length says where the response ends, and that is where they close."""
    with server.connect() as client:
        client.send(ASK)
        response = client.read()
        assert response.body == b"a" and response["Connection"] == "close"


def ends_within(client, seconds):
    """True if the server closes within SECONDS, behind what it had to say."""
    began = time.monotonic()
    while client.wait_readable(max(0.0, began + seconds - time.monotonic())):
        if not client.more():
            return True
    return False


def ended(server):
    worker = server.workers()[0]
    return worker["parted"], worker["ended_by_us"]


# ---- where TIME_WAIT is ----

def test_clients_that_close_after_the_last_byte_leave_none_with_us(site):
    server = site()
    for _ in range(CLIENTS):
        ask_once(server)
    assert time_wait(server) == 0
    assert ended(server) == (CLIENTS, 0)


def test_it_can_be_turned_off_and_all_are_ours(site):
    server = site(client_close_timeout="0s")
    began = time.monotonic()
    for _ in range(CLIENTS):
        with server.connect() as client:
            client.send(ASK)
            assert client.read().body == b"a"
            client.assert_closed()
    assert time.monotonic() - began < CLIENTS * 0.25 / 2
    assert time_wait(server) == CLIENTS
    assert ended(server) == (0, CLIENTS)


def test_curl_leaves_none_with_us(site):
    server = site()
    done = subprocess.run(["curl", "-sS", "-H", "Connection: close", f"{server.url}/a.txt?[1-100]"], capture_output=True,
                          check=True)
    assert done.stdout == b"a" * 100
    assert time_wait(server) == 0
    assert ended(server) == (100, 0)


def test_who_takes_its_time_with_the_response_may_close_first_too(site):
    """All of it is with the kernel long before the client has it."""
    server = site(client_close_timeout="200ms")
    with server.connect(receive_buffer=4096) as client:
        client.request("/some.bin", "Connection: close")
        harness.wait_until(lambda: server.requests_counted() == 1, server.log)
        time.sleep(1)  # it reads nothing meanwhile
        assert tcp.state_of(address(server), client.socket.getsockname()) == "ESTABLISHED"
        assert len(client.read().body) == 48 * 1024
    assert time_wait(server) == 0
    assert ended(server) == (1, 0)


def test_who_never_takes_its_response_is_not_waited_for_longer_than_for_any_other(site):
    server = site(client_close_timeout="100ms", write_timeout="600ms")
    with server.connect(receive_buffer=4096) as client:
        client.request("/some.bin", "Connection: close")
        tcp.wait_state(address(server), client.socket.getsockname(), "FIN_WAIT1")
        assert len(client.read().body) == 48 * 1024
        client.assert_closed()


# ---- for how long ----

def test_who_does_not_close_is_waited_for_as_long_as_configured(site):
    server = site(client_close_timeout="1s")
    with server.connect() as client:
        client.send(ASK)
        assert client.read().body == b"a"
        assert not client.wait_readable(0.8)
        assert ends_within(client, SOON_S)
    assert time_wait(server) == 1
    assert ended(server) == (0, 1)


@pytest.mark.sanitized
def test_http_1_0_is_closed_at_once(site):
    server = site(client_close_timeout=f"{LONG}s")
    with server.connect() as client:
        client.send("GET /a.txt HTTP/1.0\r\n\r\n")
        assert client.read().body == b"a"
        assert ends_within(client, SOON_S)


@pytest.mark.sanitized
@pytest.mark.parametrize("request_text", [
    "NONSENSE\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
])
def test_an_answer_to_what_was_not_read_to_its_end_is_its_end_at_once(site, request_text):
    server = site(client_close_timeout=f"{LONG}s")
    with server.connect() as client:
        client.send(request_text)
        assert client.read().status in (400, 413)
        assert ends_within(client, SOON_S)


@pytest.mark.sanitized
@pytest.mark.parametrize("at_once", [True, False])
def test_who_goes_on_asking_is_shown_the_end_at_once(site, at_once):
    server = site(client_close_timeout=f"{LONG}s")
    with server.connect() as client:
        client.send(ASK + ASK if at_once else ASK)
        assert client.read().body == b"a"
        if not at_once:
            client.send(ASK)
        assert ends_within(client, SOON_S) and client.buffered == b""


@pytest.mark.sanitized
def test_who_has_half_closed_already_is_closed_at_once(site):
    server = site(client_close_timeout=f"{LONG}s")
    with server.connect() as client:
        client.send(ASK)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.read().body == b"a"
        assert ends_within(client, SOON_S)
    assert time_wait(server) == 0


@pytest.mark.sanitized
def test_on_a_unix_socket_nobody_is_waited_for(make_server):
    server = make_server(workers=1, client_close_timeout=f"{LONG}s")
    path = server.directory / "http.sock"
    server.more = f'listen "unix:{path}" {{ }}'
    server.write_config()
    (server.root / "a.txt").write_bytes(b"a")
    server.start()
    with harness.Client(str(path)) as client:
        client.send(ASK)
        assert client.read().body == b"a"
        assert ends_within(client, SOON_S)


@pytest.mark.sanitized
def test_a_stop_waits_for_nobody_longer(site):
    server = site(client_close_timeout="300ms", linger_timeout="300ms")
    with server.connect() as client:
        client.send(ASK)
        assert client.read().body == b"a"
        began = time.monotonic()
        assert server.stop().returncode == 0
        assert time.monotonic() - began < SOON_S
        client.assert_closed()


# ---- across a death ----

@pytest.mark.sanitized
def test_it_is_waited_for_by_a_successor_too(site):
    server = site(client_close_timeout=f"{LONG}s")
    with server.connect() as client:
        client.send(ASK)
        assert client.read().body == b"a"
        server.wait_succeeded(0, server.kill_worker(0))
        assert client.is_quiet()
    assert time_wait(server) == 0
    harness.wait_until(lambda: ended(server) == (1, 0), lambda: ended(server))
    assert server.workers()[0]["dropped"] == 0


@pytest.mark.sanitized
def test_a_reload_that_turns_it_off_ends_the_waiting(site):
    server = site(client_close_timeout=f"{LONG}s")
    with server.connect() as client:
        client.send(ASK)
        assert client.read().body == b"a"
        assert server.reload(client_close_timeout="0s").returncode == 0
        assert ends_within(client, SOON_S)


def wait_for_the_end(client):
    client.assert_closed()


def ask_on(client):
    client.send(ASK * 3)
    client.assert_closed()


def half_close(client):
    client.socket.shutdown(socket.SHUT_WR)
    client.assert_closed()


WAYS_TO_END = [harness.Client.close, wait_for_the_end, ask_on, half_close]


@pytest.mark.sanitized
def test_however_a_client_ends_no_kill_costs_it_a_byte_or_its_end(site):
    server = site(client_close_timeout="30ms")
    chance = random.Random(13)
    body = bytes(48 * 1024)
    with killing(server) as kills:
        while kills.goes_on():
            with server.connect() as client:
                client.request("/some.bin", "Connection: close")
                assert client.read().body == body
                chance.choice(WAYS_TO_END)(client)
    assert server.workers()[0]["dropped"] == 0
