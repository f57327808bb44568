"""When every place is taken and others wait, those connections make way that are used least, and no other does."""
import contextlib
import time

import pytest

import harness
import hostile
from harness import wait_until

pytestmark = pytest.mark.sanitized

PLACES = 64
RESTED_S = 2.2  # so long may rest who is not in anybody's way


@pytest.fixture
def site(make_server):
    def make(**keys):
        server = make_server(**{"workers": 1, "connections": PLACES, "idle_timeout": "1h", "head_timeout": "1h",
                                "linger_timeout": "1m", **keys})
        harness.fill_corpus(server.root)
        return server.start()

    return make


def counted(server, name):
    return sum(worker[name] for worker in server.workers())


def fill_up(server, stack, count, begin=b""):
    """COUNT connections that have sent BEGIN, and nothing more."""
    before = hostile.connections_of(server)
    connections = [stack.enter_context(hostile.connect((server.host, server.port))) for _ in range(count)]
    for connection in connections:
        connection.send(begin)
    wait_until(lambda: hostile.connections_of(server) == before + count, "they are not let in")
    return connections


def assert_new_ones_are_served(server, stack, count=1):
    for _ in range(count):
        assert stack.enter_context(server.connect()).get("/1024.bin").status == 200


def test_silent_connections_do_not_shut_others_out(site):
    server = site()
    with contextlib.ExitStack() as stack:
        silent = fill_up(server, stack, PLACES)
        assert_new_ones_are_served(server, stack, 8)
        assert sum(map(hostile.is_over, silent)) == counted(server, "shed") >= 8


def test_heads_without_an_end_do_not_shut_others_out(site):
    server = site()
    with contextlib.ExitStack() as stack:
        fill_up(server, stack, PLACES, b"GET / HTTP/1.1\r\nX: ")
        assert_new_ones_are_served(server, stack)


def test_who_never_asked_goes_before_who_rests(site):
    server = site()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(16)]
        for client in clients:
            assert client.get("/1024.bin").status == 200
        silent = fill_up(server, stack, PLACES - 16)
        time.sleep(RESTED_S)
        assert_new_ones_are_served(server, stack, 8)
        assert not any(client.wait_readable(0) for client in clients)
        assert any(map(hostile.is_over, silent))
        for client in clients:
            assert client.get("/1024.bin").status == 200


def test_who_has_rested_longest_goes_first(site):
    server = site()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(PLACES)]
        for client in clients:
            assert client.get("/1024.bin").status == 200
        time.sleep(0.5)
        for client in clients[:PLACES // 2]:
            assert client.get("/1024.bin").status == 200
        time.sleep(RESTED_S)
        assert_new_ones_are_served(server, stack, 4)
        assert not any(client.wait_readable(0) for client in clients[:PLACES // 2])
        assert sum(client.wait_readable(0) for client in clients[PLACES // 2:]) >= 4


def test_who_is_at_work_stays_and_the_next_one_waits(site):
    server = site()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect(receive_buffer=16384)) for _ in range(PLACES)]
        for client in clients:
            client.request("/large.dat")
            assert client.read_head().status == 200
        late = stack.enter_context(server.connect())
        late.request("/1024.bin")
        assert not late.wait_readable(RESTED_S + 1)
        assert counted(server, "shed") == 0
        assert len(clients[0].take(8 << 20)) == 8 << 20
        clients[0].close()
        assert late.read().status == 200


def test_who_rests_for_a_moment_only_stays(site):
    server = site()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(PLACES)]
        late = []
        for _ in range(6):
            for client in clients:
                assert client.get("/1024.bin").status == 200
            late = late or [stack.enter_context(server.connect())]
            time.sleep(0.3)
        assert counted(server, "shed") == 0


def test_where_nobody_waits_everybody_stays(site):
    server = site()
    with contextlib.ExitStack() as stack:
        silent = fill_up(server, stack, PLACES)
        time.sleep(RESTED_S + 1)
        assert not any(map(hostile.is_over, silent))
        assert counted(server, "shed") == 0


def test_others_have_room_before_anybody_makes_way(site):
    server = site(workers=2)
    with contextlib.ExitStack() as stack:
        fill_up(server, stack, 2 * PLACES - 8)
        time.sleep(RESTED_S)
        assert_new_ones_are_served(server, stack, 4)
        assert counted(server, "shed") == 0


def test_a_flood_of_silent_connections_costs_good_clients_nothing(site):
    server = site(workers=2)
    with harness.Judge(server.address, server.root, keepalive=8, pipeline=2), contextlib.ExitStack() as stack:
        until = time.monotonic() + 6
        while time.monotonic() < until:
            stack.enter_context(hostile.connect((server.host, server.port)))
            time.sleep(0.01)
    assert counted(server, "shed") > 0
    assert set(server.successions().values()) == {0}
