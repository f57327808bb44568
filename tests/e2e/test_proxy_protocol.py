"""Behind a proxy that is trusted, a connection is its client's: in the log, for the limits, and whoever dies meanwhile."""
import contextlib
import socket
import struct
import time

import pytest

import harness
from harness import wait_until

pytestmark = pytest.mark.sanitized

V2 = bytes.fromhex("0d0a0d0a000d0a515549540a")
HEADERS = {
    "a line": (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "192.0.2.7"),
    "a line of IPv6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n", "2001:db8::7"),
    "binary": (V2 + b"\x21\x11" + struct.pack(">H", 12) + bytes([192, 0, 2, 8]) + bytes(8), "192.0.2.8"),
    "binary, with more behind": (V2 + b"\x21\x11" + struct.pack(">H", 100) + bytes([192, 0, 2, 9]) + bytes(96),
                                 "192.0.2.9"),
    "binary of IPv6": (V2 + b"\x21\x21" + struct.pack(">H", 36) + socket.inet_pton(socket.AF_INET6, "2001:db8::9")
                       + bytes(20), "2001:db8::9"),
    "a line that does not say": (b"PROXY UNKNOWN\r\n", None),
    "binary, for itself": (V2 + b"\x20\x00\x00\x00", None),
}
BAD = [
    b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
    b"PROXY " + b"x" * 200,
    V2 + b"\x21\x11\xff\xff" + bytes(3000),
    V2 + b"\x31\x11\x00\x0c" + bytes(12),
    b"\0" * 20,
]
REQUEST = b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def site(make_server):
    """Two listeners: one for proxies, one for all."""
    def make(trusted=None, **keys):
        server = make_server(**{"workers": 1, "head_timeout": "1s", "linger_timeout": "500ms", **keys})
        server.access_log.touch()
        server.access_log.chmod(0o666)
        server.keys["access_log"] = str(server.access_log)
        server.keys["proxy_trusted"] = trusted or ["10.0.0.0/8", server.host]
        server.open_address = harness.free_address()
        server.listeners = [harness.host_port(server.open_address)]
        server.more = f'listen "{server.address}" {{ proxy_protocol = true }}'
        (server.root / "a.txt").write_bytes(b"a")
        server.write_config()
        return server.start()

    return make


def trusted_source(server):
    return server.host


def connect(server, header=b"", **options):
    client = server.connect(source=trusted_source(server), **options)
    client.send(header)
    return client


def logged(server, count):
    """The clients of the last COUNT lines."""
    lines = wait_until(lambda: (text := server.access_log.read_text()).count("\n") >= count and text.splitlines(),
                       "no lines")
    return [line.split(" ")[0] for line in lines[-count:]]


def counted(server, name):
    return sum(worker[name] for worker in server.workers())


@pytest.mark.parametrize("kind", HEADERS)
def test_the_log_names_the_client(site, kind):
    server = site()
    header, client_name = HEADERS[kind]
    with connect(server, header + REQUEST) as client:
        assert client.read().status == 200
        assert client.get("/a.txt").status == 200
    assert logged(server, 2) == [client_name or trusted_source(server)] * 2


def test_a_header_that_comes_byte_by_byte_is_read(site):
    server = site(head_timeout="20s")
    for header, _ in HEADERS.values():
        with connect(server) as client:
            for byte in header + REQUEST:
                client.send(bytes([byte]))
            assert client.read().status == 200
    assert [name or trusted_source(server) for _, name in HEADERS.values()] == logged(server, len(HEADERS))


@pytest.mark.parametrize("kind", ["a line", "binary"])
def test_a_header_survives_its_worker_wherever_it_is_cut(site, kind):
    """kill -9 after each piece of it, also after its last byte, and when the connection rests."""
    server = site(head_timeout="1m")
    header, client_name = HEADERS[kind]
    with connect(server) as client:
        for at in range(0, len(header), 9):
            client.send(header[at:at + 9])
            server.wait_succeeded(0, server.kill_worker(0))
        client.send(REQUEST[:10])
        server.wait_succeeded(0, server.kill_worker(0))
        client.send(REQUEST[10:])
        assert client.read().status == 200
        server.wait_succeeded(0, server.kill_worker(0))
        assert client.get("/a.txt").status == 200
    assert logged(server, 2) == [client_name] * 2


def test_a_client_keeps_its_name_when_its_worker_is_surplus(site):
    server = site(workers=2)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server, HEADERS["a line"][0] + REQUEST)) for _ in range(12)]
        for client in clients:
            assert client.read().status == 200
        late = []
        while min(worker["connections"] for worker in server.workers()) <= len(clients):  # some of either kind for both
            late += [stack.enter_context(connect(server)) for _ in range(12)]
            wait_until(lambda: counted(server, "connections") == len(clients) + len(late), "they do not come")
        assert server.reload(workers=1).returncode == 0
        wait_until(lambda: len(server.workers()) == 1, "the surplus worker stays")
        for client in clients:
            assert client.get("/a.txt").status == 200
        for client in late:
            client.send(HEADERS["a line"][0] + REQUEST)
            assert client.read().status == 200
    assert set(logged(server, 24 + len(late))) == {HEADERS["a line"][1]}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_header_is_closed_without_a_word(site, bad):
    server = site()
    with connect(server, bad) as client, contextlib.suppress(ConnectionResetError):
        assert client.read_to_end() == b""
    wait_until(lambda: counted(server, "refused") == 1, "not counted")


@pytest.mark.parametrize("begin", [b"", b"P", b"PROXY TCP4 192.0.2.7", V2[:5]])
def test_a_header_that_does_not_come_is_waited_for_as_a_head_is(site, begin):
    server = site(idle_timeout="1h")
    began = time.monotonic()
    with connect(server, begin) as client:
        assert client.read_to_end() == b""
    assert 0.5 < time.monotonic() - began < 5


def test_who_is_not_trusted_is_closed(site):
    server = site(trusted=["192.0.2.1"])
    with connect(server, HEADERS["a line"][0] + REQUEST) as client, contextlib.suppress(ConnectionResetError):
        assert client.read_to_end() == b""
    assert counted(server, "refused") == 1


def test_where_no_proxy_is_meant_a_header_is_no_request(site):
    server = site()
    with harness.Client(server.open_address) as client:
        client.send(HEADERS["a line"][0])
        assert client.read().status == 400
    with harness.Client(server.open_address) as client:
        assert client.get("/a.txt").status == 200


def test_limits_go_by_the_client(site):
    server = site(connections_per_address=2)
    header, other = HEADERS["a line"][0], HEADERS["binary"][0]
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            assert stack.enter_context(connect(server, header + REQUEST)).read().status == 200
        assert stack.enter_context(connect(server, header + REQUEST)).read().status == 429
        assert stack.enter_context(connect(server, other + REQUEST)).read().status == 200
        server.wait_succeeded(0, server.kill_worker(0))
        with connect(server, header + REQUEST) as client, contextlib.suppress(ConnectionResetError, harness.Closed):
            assert client.read().status == 429
    wait_until(lambda: counted(server, "connections") == 0, "they stay")
    with connect(server, header + REQUEST) as client:
        assert client.read().status == 200


def test_a_unix_sockets_proxy_is_trusted(site):
    server = site()
    path = server.directory / "proxy.sock"
    server.more += f'\nlisten "unix:{path}" {{ proxy_protocol = true }}'
    assert server.reload(idle_timeout="30s").returncode == 0
    with harness.Client(str(path)) as client:
        client.send(HEADERS["a line"][0] + REQUEST)
        assert client.read().status == 200
    assert logged(server, 1) == [HEADERS["a line"][1]]
