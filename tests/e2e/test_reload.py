"""A reload changes what is served without a connection noticing, or is refused and changes nothing."""
import os
import signal
import socket

import pytest

import harness

pytestmark = pytest.mark.sanitized


@pytest.fixture
def site(make_server):
    server = make_server()
    (server.root / "index.html").write_bytes(b"old")
    return server.start()


def test_an_open_connection_sees_the_new_config_at_its_next_request(site):
    new = site.directory / "new"
    new.mkdir(mode=0o755)
    (new / "index.html").write_bytes(b"new")
    with site.connect() as client:
        assert client.get("/").body == b"old"
        site.root = new
        done = site.reload(workers=2)
        assert done.returncode == 0, done.stderr
        assert "root" in done.stdout
        assert client.get("/").body == b"new"
    assert site.status()["generation"] == 2


def test_a_response_under_way_ends_as_it_began(site):
    data = os.urandom(1 << 20) * 12
    (site.root / "large.bin").write_bytes(data)
    with site.connect(receive_buffer=16384) as client:
        client.request("/large.bin")
        assert client.read_head().status == 200
        (site.root / "large.bin").unlink()
        site.site["headers"] = ["X-New: yes"]
        assert site.reload(workers=2).returncode == 0
        assert client.take(len(data)) == data
        response = client.get("/")
        assert response.body == b"old" and response["X-New"] == "yes"


def test_half_a_request_is_completed_after_a_reload(site):
    with site.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHos")
        site.wait_serving()
        assert site.reload(idle_timeout="50s").returncode == 0
        client.send(b"t: a\r\n\r\n")
        assert client.read().body == b"old"


def refuses(address):
    try:
        with harness.Client(address):
            return False
    except ConnectionRefusedError:
        return True


def test_a_listener_may_come_and_go(site):
    host, port = harness.free_address()
    site.listeners.append(f"{host}:{port}")
    assert site.reload(workers=2).returncode == 0
    with harness.Client((host, port)) as client, site.connect() as other:
        assert client.get("/").body == b"old" == other.get("/").body
        site.listeners.pop()
        assert site.reload(workers=2).returncode == 0
        harness.wait_until(lambda: refuses((host, port)), "somebody still listens there")
        assert client.get("/").body == b"old"  # who is connected stays so
        assert other.get("/").body == b"old"


@pytest.mark.parametrize("count", [1, 5])
def test_workers_may_be_more_or_fewer(make_server, count):
    server = make_server(workers=3)
    (server.root / "index.html").write_bytes(b"old")
    server.start()
    clients = [server.connect() for _ in range(30)]
    for client in clients:
        assert client.get("/").body == b"old"
    assert server.reload(workers=count).returncode == 0
    for client in clients:
        assert client.get("/").body == b"old"
        client.close()
    harness.wait_until(lambda: len(server.workers()) == count, lambda: f"{server.workers()}\n{server.log()}")


def test_hup_reloads(site):
    site.site["headers"] = ["X-New: yes"]
    site.write_config()
    os.kill(site.supervisor_pid(), signal.SIGHUP)
    harness.wait_until(lambda: site.status()["generation"] == 2 and not site.status()["supervisor"]["rolling"],
                       site.log)
    assert site.get("/")["X-New"] == "yes"


def test_a_reload_without_a_change_is_accepted(site):
    assert site.verb("reload").returncode == 0
    assert site.get("/").body == b"old"


def test_include_is_followed_anew(site):
    extra = site.directory / "extra.conf"
    extra.write_text('site "a.example" { root = "%s" headers = { "X-A: 1" } }\n' % site.root)
    site.more = f'include("{extra}")'
    assert site.reload(workers=2).returncode == 0
    assert site.get("/", "Host: a.example")["X-A"] == "1"
    extra.write_text('site "a.example" { root = "%s" headers = { "X-A: 2" } }\n' % site.root)
    assert site.verb("reload").returncode == 0
    assert site.get("/", "Host: a.example")["X-A"] == "2"


# ---- refused ----

@pytest.mark.parametrize("text, word", [
    ("workers = many\n", "workers"), ("no_such_key = 1\n", "no_such_key"), ("listen {\n", ""),
    ('user = "nobody-of-that-name"\n', "nobody-of-that-name"), ("idle_timeout = 5\n", "idle_timeout"),
    ('site "x" { root = "/no/such/root" }\n', "/no/such/root"),
])
def test_a_bad_config_is_refused_with_its_line_and_changes_nothing(site, text, word):
    before = site.workers()
    site.write_config(text=site.config_text_after("\n\n" + text))
    with site.connect() as client:
        assert client.get("/").body == b"old"
        done = site.verb("reload")
        assert done.returncode == 1
        assert done.stderr.startswith(f"refused: {site.config_path}:"), done.stderr
        assert f"{site.config_path}:3:" in done.stderr and word in done.stderr
        assert client.get("/").body == b"old"
    assert [w["pid"] for w in site.workers()] == [w["pid"] for w in before]
    assert site.status()["generation"] == 1


def test_many_bad_configs_do_not_wear_it_out(site):
    """Ten parses that fail inside an include exhaust libconfuse's global include stack: it is parsed elsewhere."""
    bad = site.directory / "bad.conf"
    bad.write_text("nonsense here\n")
    site.write_config(text=site.config_text() + f'include("{bad}")\n')
    for _ in range(25):
        done = site.verb("reload")
        assert done.returncode == 1 and f"{bad}:1:" in done.stderr
    site.write_config()
    assert site.verb("reload").returncode == 0


def test_a_listener_that_cannot_be_bound_refuses_the_reload(site):
    host, port = harness.free_address()
    with socket.create_server((host, port)):
        site.listeners.append(f"{host}:{port}")
        done = site.reload(idle_timeout="33s")
        assert done.returncode == 1 and f"{host}:{port}" in done.stderr
    assert site.get("/").body == b"old"
    assert [listener["address"] for listener in site.status()["listeners"]] == [site.address]


def test_connections_may_shrink_and_grow_again_but_not_beyond_what_the_workers_were_made_for(make_server):
    """A cell has as many places, and a worker as many descriptors, as its first incarnation was given."""
    server = make_server(workers=1, connections=64)
    (server.root / "index.html").write_bytes(b"old")
    server.start()
    pid = server.workers()[0]["pid"]
    with server.connect() as client:
        assert client.get("/").body == b"old"
        done = server.reload(connections=65)
        assert done.returncode == 1
        line = server.config_path.read_text().splitlines().index("connections = 65") + 1
        assert done.stderr == (f"refused: {server.config_path}:{line}: connections cannot grow from 64 to 65 while the "
                               "service runs, for cells and limits of descriptors are made when a worker is first "
                               "started; stop and start\n")
        assert server.workers()[0]["pid"] == pid and server.status()["generation"] == 1
        for count in (32, 64):
            done = server.reload(connections=count)
            assert done.returncode == 0, done.stderr
            assert client.get("/").body == b"old"
    assert server.reload(connections=65).returncode == 1
    assert server.stop().returncode == 0
    server.start()
    assert server.get("/").body == b"old"


def test_a_config_that_vanished_refuses_the_reload(site):
    site.config_path.rename(site.directory / "elsewhere")
    os.kill(site.supervisor_pid(), signal.SIGHUP)
    harness.wait_until(lambda: "refused" in site.log(), site.log)
    assert site.get("/").body == b"old"


def test_a_crash_during_an_edit_restarts_with_the_approved_config(site):
    site.site["headers"] = ["X-New: yes"]
    site.write_config(text="half a fi")
    pid = site.kill_worker(0)
    successor = site.wait_succeeded(0, pid)
    assert successor["generation"] == 1
    assert site.get("/")["X-New"] is None
