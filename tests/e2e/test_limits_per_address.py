"""One client's address has so many connections, and sends so many requests, whichever workers it meets and whoever dies."""
import contextlib
import time

import pytest

import harness
from harness import wait_until

pytestmark = pytest.mark.sanitized

MANY = 24  # connections, so that two workers have some each


@pytest.fixture
def site(make_server):
    def make(**keys):
        server = make_server(**{"workers": 2, "linger_timeout": "500ms", **keys})
        (server.root / "a.txt").write_bytes(b"a")
        return server.start()

    return make


def source(server, number):
    """Another address of this machine's."""
    return f"{server.host.rsplit('.', 1)[0]}.{200 + number}"


def crowd(server, stack, count, **options):
    clients = [stack.enter_context(server.connect(**options)) for _ in range(count)]
    for client in clients:
        assert client.get("/a.txt").status == 200
    return clients


def counted(server, name):
    return sum(worker[name] for worker in server.workers())


def assert_turned_away(server, **options):
    with server.connect(**options) as client:
        response = client.read()
        assert (response.status, response["Connection"], response["Retry-After"]) == (429, "close", "1")
        client.assert_closed()


# ---- connections ----

def test_connections_beyond_the_limit_are_429_over_all_workers(site):
    server = site(connections_per_address=MANY)
    with contextlib.ExitStack() as stack:
        clients = crowd(server, stack, MANY, source=source(server, 0))
        assert_turned_away(server, source=source(server, 0))
        crowd(server, stack, 3, source=source(server, 1))
        for client in clients:
            assert client.get("/a.txt").status == 200
        clients.pop().close()
        wait_until(lambda: counted(server, "connections") == MANY + 2, "it stays")
        crowd(server, stack, 1, source=source(server, 0))
        assert_turned_away(server, source=source(server, 0))
    assert counted(server, "limited_connections") == 2


def test_who_goes_on_coming_is_closed_without_a_word(site):
    server = site(connections_per_address=4, linger_timeout="1m")
    with contextlib.ExitStack() as stack:
        crowd(server, stack, 4)
        for _ in range(4):
            assert stack.enter_context(server.connect()).read().status == 429
        with server.connect() as client, contextlib.suppress(ConnectionResetError):
            assert client.read_to_end() == b""
    assert server.status() is not None


def test_over_the_limit_they_are_closed_if_that_is_said(site):
    server = site(connections_per_address=4, answer_429=False)
    with contextlib.ExitStack() as stack:
        crowd(server, stack, 4)
        with server.connect() as client, contextlib.suppress(ConnectionResetError):
            assert client.read_to_end() == b""


def test_a_dead_workers_connections_are_counted_by_its_successor(site):
    """Neither forgotten nor counted twice."""
    server = site(connections_per_address=MANY)
    with contextlib.ExitStack() as stack:
        clients = crowd(server, stack, MANY)
        for slot in (0, 1, 0):
            server.wait_succeeded(slot, server.kill_worker(slot))
        assert_turned_away(server)
        for client in clients:
            client.close()
    wait_until(lambda: counted(server, "connections") == 0, "they stay")
    with contextlib.ExitStack() as stack:
        crowd(server, stack, MANY)
        assert_turned_away(server)


def test_connections_lost_with_worker_and_keeper_are_not_counted_for_ever(site):
    server = site(connections_per_address=4, workers=1)
    with contextlib.ExitStack() as stack:
        crowd(server, stack, 4)
        server.kill_worker(0, keeper=True)
        pid = server.kill_worker(0)
        server.wait_succeeded(0, pid)
    with contextlib.ExitStack() as stack:
        crowd(server, stack, 4)


def test_connections_that_change_their_worker_are_counted_once(site):
    server = site(connections_per_address=MANY)
    with contextlib.ExitStack() as stack:
        clients = crowd(server, stack, MANY)
        assert server.reload(workers=1).returncode == 0
        wait_until(lambda: len(server.workers()) == 1, "the surplus worker stays")
        assert_turned_away(server)
        clients.pop().close()
        wait_until(lambda: counted(server, "connections") == MANY - 1, "it stays")
        crowd(server, stack, 1)


def test_a_limit_that_comes_with_a_reload_counts_who_is_there(site):
    server = site()
    with contextlib.ExitStack() as stack:
        crowd(server, stack, MANY)
        assert server.reload(connections_per_address=MANY).returncode == 0
        assert_turned_away(server)
        assert server.reload(connections_per_address=0).returncode == 0
        crowd(server, stack, 1)


def test_the_counts_outlive_the_supervisor(site):
    server = site(connections_per_address=MANY)
    with contextlib.ExitStack() as stack:
        crowd(server, stack, MANY)
        pid = server.supervisor_pid()
        harness.kill(pid, 9)
        wait_until(lambda: (server.status() or {"supervisor": {"pid": pid}})["supervisor"]["pid"] != pid, server.log)
        assert server.reload(workers=3).returncode == 0
        server.wait_serving()
        for _ in range(12):
            assert_turned_away(server)


# ---- requests ----

def ask_for(server, seconds, **options):
    """Ask again and again; [statuses]."""
    statuses, until = [], time.monotonic() + seconds
    client = server.connect(**options)
    while time.monotonic() < until:
        statuses.append(client.get("/a.txt").status)
        if statuses[-1] == 429:
            client.close()
            client = server.connect(**options)
    client.close()
    return statuses


def test_requests_beyond_the_limit_are_429(site):
    server = site(requests_per_address=20)
    statuses = ask_for(server, 3, source=source(server, 0))
    assert set(statuses) == {200, 429}
    assert 20 <= statuses.count(200) <= 20 * 4
    with server.connect(source=source(server, 1)) as client:
        assert client.get("/a.txt").status == 200
    assert counted(server, "limited_requests") == statuses.count(429)


def test_a_pipeline_is_counted_request_by_request(site):
    server = site(requests_per_address=10)
    with server.connect() as client:
        client.send("GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n" * 30)
        statuses = []
        with contextlib.suppress(harness.Closed):
            while True:
                statuses.append(client.read().status)
    assert statuses[-1] == 429 and 10 <= statuses.count(200) <= 20
    assert counted(server, "limited_requests") == 1


def test_a_request_beyond_the_limit_closes_without_a_word_if_that_is_said(site):
    server = site(requests_per_address=10, answer_429=False)
    with server.connect() as client:
        client.send("GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n" * 40)
        statuses = []
        with contextlib.suppress(harness.Closed, ConnectionResetError):
            while True:
                statuses.append(client.read().status)
    assert set(statuses) <= {200} and len(statuses) <= 20


def test_a_slow_asker_never_meets_the_limit(site):
    server = site(requests_per_address=20)
    with server.connect() as client:
        for _ in range(30):
            assert client.get("/a.txt").status == 200
            time.sleep(0.1)
