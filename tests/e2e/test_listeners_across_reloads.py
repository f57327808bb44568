"""A reload changes where it listens, all or nothing; a socket that stays keeps its queue."""
import os
import pathlib
import signal
import socket
import subprocess

import pytest

import harness
import impostor

pytestmark = pytest.mark.sanitized


@pytest.fixture
def site(make_server):
    server = make_server(hang_timeout="60s")
    (server.root / "index.html").write_bytes(b"here")
    return server.start()


def listening(address):
    """{"backlog": …, "inode": …} of the listening socket on ADDRESS, as the kernel has it; None: nobody listens."""
    lines = subprocess.run(["ss", "-ltnHe", f"src {address}"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.splitlines()
    if not lines:
        return None
    assert len(lines) == 1, lines
    fields = lines[0].split()
    return {"backlog": int(fields[2]), "inode": next(field for field in fields if field.startswith("ino:"))}


def with_backlog(server, backlog):
    text = server.config_text().replace(f'"{server.address}" {{ }}', f'"{server.address}" {{ backlog = {backlog} }}')
    assert str(backlog) in text
    return text


def another_address():
    return "{}:{}".format(*harness.free_address())


def add(server, address):
    server.listeners.append(address)
    server.write_config()
    assert f"+ listen {address}" in server.verb("reload").stdout


@pytest.mark.parametrize("backlogs", [(100, 2000), (2000, 100)])
def test_a_changed_backlog_is_the_kernels_too(site, backlogs):
    inode = listening(site.address)["inode"]
    for backlog in backlogs:
        site.write_config(text=with_backlog(site, backlog))
        done = site.verb("reload")
        assert f"listen {site.address}: backlog " in done.stdout and done.stdout.endswith(f" -> {backlog}\n"), done
        assert listening(site.address) == {"backlog": backlog, "inode": inode}
        assert site.status()["listeners"][0]["backlog"] == backlog
    assert site.get("/").body == b"here"


def test_a_refused_reload_leaves_the_backlog(site):
    before = listening(site.address)
    with socket.create_server(harness.free_address()) as rival:
        site.write_config(text=with_backlog(site, 77) + 'listen "{}:{}" {{ }}\n'.format(*rival.getsockname()))
        assert site.verb("reload").returncode == 1
    assert listening(site.address) == before


def test_one_that_moves_within_the_configuration_stays_the_same_socket(site):
    """To another place, another file, another spelling, beside other sites."""
    inode = listening(site.address)["inode"]
    extra = site.directory / "extra.conf"
    extra.write_text(f'site "a.example" {{ root = "{site.root}" }}\nlisten "{site.address}" {{ }}\n')
    text = site.config_text().replace(f'listen "{site.address}" {{ }}\n', f'listen "{another_address()}" {{ }}\n')
    site.config_path.write_text(text + f'include("{extra}")\n')
    with site.connect() as client:
        done = site.verb("reload")
        assert done.returncode == 0 and f"listen {site.address}" not in done.stdout, done
        assert listening(site.address)["inode"] == inode
        assert client.get("/").body == b"here"
    assert site.get("/").body == b"here"


def test_one_that_stays_keeps_its_queue(site):
    """Connections that wait to be accepted while all workers are renewed, and other sockets come and go, are served. The
    old workers are not let near them any more: all that is left of them when the new ones begin is the socket's queue."""
    goes, comes = another_address(), another_address()
    add(site, goes)
    pids = [worker["pid"] for worker in site.workers()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    clients = [site.connect() for _ in range(100)]
    for client in clients:
        client.request("/")
    site.listeners[-1] = comes
    site.write_config()
    reload = subprocess.Popen(site.command("reload"), stdout=subprocess.DEVNULL)
    harness.wait_until(lambda: site.status()["supervisor"]["rolling"], site.log)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert reload.wait(harness.PATIENCE_S) == 0
    for client in clients:
        assert client.read().body == b"here"
        client.close()
    assert listening(goes) is None and listening(comes) is not None


def test_who_is_queued_on_one_that_stays_is_served_though_another_cannot_be_bound(site):
    inode = listening(site.address)["inode"]
    comes = another_address()
    with socket.create_server(harness.free_address()) as rival, site.connect() as before:
        site.listeners += [comes, "{}:{}".format(*rival.getsockname())]
        site.write_config(idle_timeout="30s")
        done = site.verb("reload")
        assert done.returncode == 1
        line = site.config_text().splitlines().index(f'listen "{site.listeners[-1]}" {{ }}') + 1
        assert done.stderr.startswith(f"refused: {site.config_path}:{line}: cannot listen on {site.listeners[-1]}: in use by ")
        assert before.get("/").body == b"here"
    assert listening(comes) is None, "the first new one was left behind"
    assert listening(site.address)["inode"] == inode
    assert site.status()["generation"] == 1 and site.get("/").body == b"here"


def test_those_of_an_edition_that_cannot_live_are_given_up(make_server):
    """Its workers do not get ready: what is new is closed, what was to go stays, the backlog was never changed."""
    server = make_server()
    (server.root / "index.html").write_bytes(b"here")
    goes, comes = another_address(), another_address()
    server.listeners.append(goes)
    server.write_config()
    program = pathlib.Path(server.copy_programs())
    subprocess.run([program, "start", "-c", server.config_path], check=True, env=server.environment())
    before = {address: listening(address) for address in (server.address, goes)}
    server.listeners[-1] = comes
    server.write_config(text=with_backlog(server, 77))
    impostor.install(program, "return 1", rehearses=True)
    done = server.verb("restart", config=server.good_path)
    assert done.returncode == 1 and "generation 2 is given up, generation 1 serves on" in done.stderr, done
    assert {address: listening(address) for address in before} == before
    assert listening(comes) is None
    assert server.get("/").body == b"here"


def connect_while_rolling(site, address, change, count=50):
    """CHANGE() the configuration and reload; who connects to ADDRESS when no worker of the edition before is left to
    accept there, and asks for something. Returns the clients, when the reload has ended."""
    pids = [worker["pid"] for worker in site.workers()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    clients = [harness.Client(address) for _ in range(count)]
    for client in clients:
        client.request("/")
    change()
    reload = subprocess.Popen(site.command("reload"), stdout=subprocess.DEVNULL)
    harness.wait_until(lambda: site.status()["supervisor"]["rolling"], site.log)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert reload.wait(harness.PATIENCE_S) == 0
    return clients


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_who_is_queued_on_one_that_goes_is_served(site, kind):
    """They were let in, and the kernel would reset them with the socket."""
    goes = another_address() if kind == "tcp" else f"unix:{site.directory}/goes.sock"
    add(site, goes)

    def change():
        site.listeners.remove(goes)
        site.write_config()

    address = goes[len("unix:"):] if kind == "unix" else (goes.split(":")[0], int(goes.split(":")[1]))
    for client in connect_while_rolling(site, address, change, 400 if kind == "tcp" else 50):
        assert client.read().body == b"here"
        assert client.get("/").body == b"here"
        client.close()
    with pytest.raises(OSError):
        harness.Client(address)
    assert site.status()["lost_connections"] == 0


def test_who_is_queued_on_one_that_makes_way_for_a_wider_one_is_served(own_network, site):
    """From 127.x.y.z:port to 0.0.0.0:port: the kernel lets clients in on the narrower one until it is closed."""
    host, port = harness.free_address()
    narrow, wide = f"{host}:{port}", f"0.0.0.0:{port}"
    add(site, narrow)

    def change():
        site.listeners[-1] = wide
        site.write_config()

    for client in connect_while_rolling(site, (host, port), change):
        assert client.read().body == b"here"
        client.close()
    with harness.Client((host, port)) as client:
        assert client.get("/").body == b"here"
