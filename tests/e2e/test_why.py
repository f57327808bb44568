"""`perdure why` explains each reason for which an address cannot be listened on, made for real, in words for people."""
import contextlib
import errno
import os
import pathlib
import pwd
import re
import signal
import socket
import subprocess
import sys

import pytest

import harness
import holding
from holding import Network, Nobody, Program, why

sys.path.insert(0, str(harness.REPOSITORY / "tests" / "differential"))

import servers  # noqa: E402  (found by the line above: where nginx is)

pytestmark = pytest.mark.sanitized

# The kernel gives it to nobody by itself, and no other process that runs tests has it in any namespace.
PORT = 11000 + os.getpid() % 20000

needs_root = pytest.mark.skipif(not harness.IS_ROOT, reason="needs namespaces, or another user")


@pytest.fixture
def program():
    """program(code, *arguments) → a Program that is ended with the test."""
    with contextlib.ExitStack() as programs:
        def make(*arguments, **options):
            made = Program(*arguments, **options)
            programs.callback(made.close)
            return made
        yield make


@pytest.fixture
def network():
    """network(settings) → a network namespace of the test's own."""
    with contextlib.ExitStack() as networks:
        def make(*settings):
            made = Network(settings)
            networks.callback(made.close)
            return made
        yield make


@pytest.fixture
def nobody():
    user = Nobody()
    yield user
    user.close()


@pytest.fixture
def address():
    """(host, port) of a loopback address that no other test has."""
    return harness.free_address()


@pytest.fixture
def low():
    """(host, port) of an address that no other test has, the port being none for outgoing connections."""
    host, _ = harness.free_address()
    return host, PORT


def text_of(address):
    return harness.host_port(address)


def close_first(address, count=1, reuse=1):
    """A server on ADDRESS that has served COUNT clients, closed their connections first, and ended."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
    server.bind(address)
    server.listen()
    clients = [holding.connect(address) for _ in range(count)]
    for _ in clients:
        server.accept()[0].close()
    server.close()
    return clients


def leave_time_wait(address, count=1, reuse=1):
    for client in close_first(address, count, reuse):
        client.close()
    holding.wait_states(text_of(address), *["TIME_WAIT"] * count)


# ---- free ----

def test_a_free_port_is_said_to_be_free(low):
    answer = why(text_of(low))
    assert answer.code == 0 and answer.json["causes"] == []
    answer.says(f"{text_of(low)} is free: a program can listen there now.", "What to do: nothing.",
                f"Tried: {text_of(low)} with SO_REUSEADDR: works; without: works")


def test_what_was_tried_is_let_go_of_at_once(low):
    assert why(text_of(low)).code == 0
    socket.create_server(low).close()


@pytest.mark.parametrize("words, says", [
    (["0"], "\"0\" is not a port; write a number from 1 to 65535"), (["localhost:80"], "names are not looked up"),
    (["http"], "\"http\" is no port (names are not looked up); write a number from 1 to 65535"),
    (["65536"], "\"65536\" is not a port; write a number"), (["9" * 20], "is not a port; write a number"),
    (["::1"], "needs brackets and a port"),
    ([], "why: of which port? write, for one: perdure why 8000"), (["80", "81"], "one word too many"),
    (["80", "--now"], "why does not take --now")])
def test_wrong_usage_exits_2(words, says):
    done = subprocess.run([harness.BUILD / "perdure", "why", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and says in done.stderr and done.stdout == ""


# ---- who listens ----

def test_a_listener_is_named_with_pid_user_age_and_command(program, low):
    holder = program("l = listener((sys.argv[1], int(sys.argv[2]))); tell('listens')", *low)
    answer = why(text_of(low))
    user = answer.json["processes"][0]["user"]
    answer.says(f"{text_of(low)} cannot be listened on now: \"Address already in use\" (EADDRINUSE).",
                f"holder listens on {text_of(low)}.", f"pid {holder.pid}, user {user}, for ", " -c ",
                "with SO_REUSEADDR: EADDRINUSE; without: EADDRINUSE", f"What to do: stop holder (kill {holder.pid})")
    assert answer.code == 1 and answer.first() == "listener"
    assert answer.causes["listener"]["holders"] == [holder.pid]


def test_it_fits_a_screen(low):
    leave_time_wait(low, count=6)
    page = why(text_of(low)).page.splitlines()
    assert len(page) <= 24 and max(map(len, page)) <= 80, page


def wait_settled(server, predecessor=0):
    """No process of SERVER is still to come; its supervisor is not PREDECESSOR any more."""
    def look():
        supervisor = (server.status() or {"supervisor": {"pid": predecessor}})["supervisor"]
        return supervisor["pid"] != predecessor and supervisor["keeper_pid"] > 0
    harness.wait_until(look, server.log)
    return server.wait_serving()


def test_a_supervisor_is_told_with_all_its_workers(make_server):
    server = make_server(workers=2).start()
    workers = wait_settled(server)
    answer = why(server.address).says(f"perdure listens on {server.address}.", f"pid {server.supervisor_pid()}, user",
                                      "processes that it started have the same socket",
                                      "What to do: to change what it serves: perdure reload -c "
                                      f"{server.config_path}; to end it: perdure stop -c {server.config_path};")
    assert {worker["pid"] for worker in workers} < set(answer.causes["listener"]["holders"])
    assert answer.causes["listener"]["holder_kind"] == "perdure"


def test_a_listener_on_every_address_holds_each_one(program):
    holder = program("l = listener(('0.0.0.0', 0)); tell(l.getsockname()[1])")
    host = harness.free_address()[0]
    answer = why(f"{host}:{holder.line}")
    assert answer.code == 1
    answer.says(f"holder listens on 0.0.0.0:{holder.line}. That means every address of this machine, so {host}:")


def test_a_listener_on_one_address_keeps_every_address_from_being_had(program, address):
    program("l = listener((sys.argv[1], int(sys.argv[2]))); tell('listens')", *address)
    answer = why(str(address[1]))
    assert answer.code == 1
    answer.says(f"0.0.0.0:{address[1]} cannot be listened on now", f"holder listens on {text_of(address)}. Who asks "
                f"for every address (0.0.0.0:{address[1]}) asks for this one, too.")


def test_a_dual_stack_listener_holds_ipv4_too(program):
    holder = program("l = listener(('::', 0), family=socket.AF_INET6, v6only=0); tell(l.getsockname()[1])")
    answer = why(f"127.0.0.1:{holder.line}")
    assert answer.code == 1
    answer.says(f"holder listens on [::]:{holder.line}. This socket serves IPv4, too: [::]:{holder.line} also holds "
                f"0.0.0.0:{holder.line}.")


def test_a_listener_for_ipv6_alone_is_not_in_the_way_of_ipv4(program):
    holder = program("l = listener(('::', 0), family=socket.AF_INET6, v6only=1); tell(l.getsockname()[1])")
    assert why(f"127.0.0.1:{holder.line}").code == 0
    assert why(f"[::1]:{holder.line}").code == 1


def test_ipv4_is_in_the_way_of_a_dual_stack_socket(program):
    holder = program("l = listener(('0.0.0.0', 0)); tell(l.getsockname()[1])")
    answer = why(f"[::]:{holder.line}")
    assert answer.code == 1, "most programs' [::] would fail"
    answer.says(f"[::]:{holder.line} is free for IPv6 alone, as perdure uses it. It is taken for a socket that serves "
                "IPv4, too", f"holder listens on 0.0.0.0:{holder.line}", "; for IPv4 as well: EADDRINUSE",
                "let your program set IPV6_V6ONLY on that socket")


def test_several_sockets_on_one_address_are_told_as_such(program, low):
    """SO_REUSEPORT."""
    code = "l = listener((sys.argv[1], int(sys.argv[2])), port=1); tell('listens')"
    holders = [program(code, *low), program(code, *low)]
    answer = why(text_of(low)).says("2 sockets share this address: all have set SO_REUSEPORT",
                                    *[f"pid {holder.pid}, user" for holder in holders])
    assert answer.code == 1 and set(answer.causes["listener"]["holders"]) == {holder.pid for holder in holders}
    remedy = re.search(r"What to do: stop holder \((kill [\d ]+)\)", answer.text)
    subprocess.run(remedy[1].split(), check=True)
    for holder in holders:
        holder.process.wait(harness.PATIENCE_S)
    assert why(text_of(low)).code == 0


def test_a_full_queue_is_told(program, low):
    program("""
l = listener((sys.argv[1], int(sys.argv[2])), listen=1)
clients = [socket.socket() for _ in range(2)]
[client.connect(l.getsockname()) for client in clients]
tell('full')""", *low)
    why(text_of(low)).says("its queue is full, 2 clients wait: it does not accept them")


def test_a_program_cannot_write_to_the_terminal_by_its_name(program, low):
    program("l = listener((sys.argv[1], int(sys.argv[2]))); tell('listens')", *low, "\033[2J", name="\033[31mred")
    page = why(text_of(low)).page
    assert "\033" not in page and "?[31mred listens" in page


ID = "0123456789abcdef" * 4


@needs_root
@pytest.mark.parametrize("group, told, remedy", [
    ("web.service", ", web.service: ", "stop holder (systemctl stop web.service)"),
    (f"docker-{ID}.scope", ", container docker 0123456789ab: ", "stop its container (docker stop 0123456789ab)"),
    (f"libpod-{ID}.scope", ", container podman 0123456789ab: ", "stop its container (podman stop 0123456789ab)"),
], ids=["unit", "docker", "podman"])
def test_unit_and_container_are_told_by_the_cgroup(program, low, group, told, remedy):
    parent = pathlib.Path("/sys/fs/cgroup")
    if (parent / "systemd").is_dir():
        parent = parent / "systemd"
    outer = parent / f"why-test-{os.getpid()}"
    try:
        (outer / group).mkdir(parents=True)
    except OSError as fault:
        pytest.skip(f"no cgroup can be made here: {fault}")
    holder = program("l = listener((sys.argv[1], int(sys.argv[2]))); tell('listens')", *low)
    try:
        (outer / group / "cgroup.procs").write_text(str(holder.pid))
        why(text_of(low)).says(told, f"What to do: {remedy}")
    finally:
        holder.process.kill()
        holder.process.wait()
        harness.wait_until(lambda: not (outer / group / "cgroup.procs").read_text(), "the cgroup is not empty")
        (outer / group).rmdir()
        outer.rmdir()


# ---- bound, and not listening ----

def test_a_socket_that_is_only_bound_is_found(program, low):
    holder = program("l = listener((sys.argv[1], int(sys.argv[2])), reuse=0, listen=0); tell('bound')", *low)
    answer = why(text_of(low))
    assert answer.code == 1 and answer.first() == "bound_not_listening"
    answer.says(f"holder has taken {text_of(low)} without listening there (bound only), which netstat and ss do not "
                "show.", f"pid {holder.pid}, user", f"What to do: stop holder (kill {holder.pid})")


def test_one_that_is_bound_with_so_reuseaddr_lets_others_pass(program, low):
    program("l = listener((sys.argv[1], int(sys.argv[2])), reuse=1, listen=0); tell('bound')", *low)
    answer = why(text_of(low))
    assert answer.code == 0
    answer.says("free for a program that sets SO_REUSEADDR", "It has set SO_REUSEADDR: others", "until it listens")
    why(text_of(low), "--no-try").says("If it has set SO_REUSEADDR, others who do may have the address, too")


# ---- connections that are left ----

def test_time_wait_hinders_only_who_does_not_set_so_reuseaddr(low):
    """The question of the beginning: netstat -l shows the port free, and bind says "Address already in use"."""
    leave_time_wait(low, count=3)
    answer = why(text_of(low))
    assert answer.code == 0 and answer.first() == "time_wait"
    answer.says(f"{text_of(low)} is free for a program that sets SO_REUSEADDR, as perdure and nearly every server do. "
                "It is taken for one that does not",
                "3 closed connections are kept by the kernel, for packets that may come late: 3 in TIME_WAIT. No "
                "program has them", "with 127.0.0.1; ",
                "with SO_REUSEADDR: works; without: EADDRINUSE",
                "What to do: let your program set SO_REUSEADDR before bind(2), as perdure does; or wait ")
    assert 0 < answer.causes["time_wait"]["last_goes_in_ms"] <= 60000
    assert re.search(r"; (all go in|the first goes in \d+ s, the last in) (5\d|60) s", answer.text), answer.page
    with socket.socket() as plain, pytest.raises(OSError, match="in use"):
        plain.bind(low)


def test_time_wait_of_a_server_without_so_reuseaddr_hinders_everybody(low):
    leave_time_wait(low, reuse=0)
    answer = why(text_of(low))
    assert answer.code == 1
    answer.says("They are in everybody's way, for the server that had them did not set SO_REUSEADDR",
                "with SO_REUSEADDR: EADDRINUSE")
    assert re.search(r"What to do: wait (5\d|60) s; so that it does not happen again, let the server set SO_REUSEADDR",
                     answer.text), answer.page


@needs_root
def test_time_wait_of_such_a_server_on_ipv4_hinders_a_dual_stack_socket(network, program):
    """It named SO_REUSEADDR as the remedy, which does not help."""
    net = network()
    program("""
l = listener(('127.0.0.1', 8000), reuse=0)
clients = [socket.create_connection(('127.0.0.1', 8000)) for _ in range(2)]
[l.accept()[0].close() for _ in clients]
[client.close() for client in clients]
l.close()
while open('/proc/self/net/tcp').read().count(' 06 ') < 2:
    time.sleep(0.001)
tell('waits')""", prefix=net.inside)
    answer = net.why("[::]:8000")
    assert answer.code == 1 and answer.causes["time_wait"]["hinders"] == "dual_stack"
    answer.says("They are in the way of a socket on [::]:8000 that is to serve IPv4, too",
                "What to do: let your program set IPV6_V6ONLY on that socket, as perdure does; or wait ")
    net.why("127.0.0.1:8000", "--no-try").says(
        "127.0.0.1:8000 is probably free for a program that sets SO_REUSEADDR",
        "if the server that had them did; if it did not, of everybody.")


def test_fin_wait_2_is_told(low):
    clients = close_first(low)
    holding.wait_states(text_of(low), "FIN_WAIT2")
    why(text_of(low)).says("1 closed connection is kept by the kernel", "1 in FIN_WAIT2", "it goes in ")
    clients[0].close()


FILLED = """
l = listener((sys.argv[1], int(sys.argv[2])))
client = socket.create_connection(l.getsockname())
connection, _ = l.accept()
l.close()
connection.setblocking(False)
try:
    while True:
        connection.send(bytes(65536))  # until the client, who does not read, takes no more
except BlockingIOError:
    pass
"""


def test_fin_wait_1_is_told(program, low):
    program(FILLED + "connection.close(); tell('closed')", *low)
    holding.wait_states(text_of(low), "FIN_WAIT1")
    answer = why(text_of(low)).says("1 in FIN_WAIT1", "go when the other side answers, or after some minutes")
    assert answer.code == 0


def test_last_ack_is_told(program, low):
    program(FILLED + "client.shutdown(socket.SHUT_WR)\n"
            "while connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b'\\x08': time.sleep(0.001)\n"
            "connection.close(); tell('closed')", *low)
    holding.wait_states(text_of(low), "LAST_ACK")
    why(text_of(low)).says("1 in LAST_ACK", "go when the other side answers")


def test_close_wait_names_the_program_that_forgot_to_close(program, low):
    holder = program("""
l = listener((sys.argv[1], int(sys.argv[2])))
clients = [socket.create_connection(l.getsockname()) for _ in range(3)]
connections = [l.accept()[0] for _ in clients]
l.close()
[client.close() for client in clients]
tell('forgets')""", *low, name="forgetful")
    holding.wait_states(text_of(low), *["CLOSE_WAIT"] * 3)
    answer = why(text_of(low))
    assert answer.first() == "close_wait" and answer.causes["close_wait"]["holders"] == [holder.pid]
    answer.says("forgetful has not closed 3 connections that the other side has closed (CLOSE_WAIT): it forgot to, "
                "unless it is about to.", "with 127.0.0.1", f"pid {holder.pid}, user",
                f"stop forgetful (kill {holder.pid})")


def test_clients_that_nobody_accepted_are_not_among_those_that_were_forgotten(program, low):
    program("""
l = listener((sys.argv[1], int(sys.argv[2])))
clients = [socket.create_connection(l.getsockname()) for _ in range(3)]
connection, _ = l.accept()
[client.close() for client in clients]
tell('forgets')""", *low)
    holding.wait_states(text_of(low), "LISTEN", *["CLOSE_WAIT"] * 3)
    why(text_of(low)).says("holder has not closed 1 connection that the other side has closed", "it forgot to,",
                           "2 clients went away before anybody accepted the connection (CLOSE_WAIT).")


def test_open_connections_of_a_server_that_listens_no_more_are_told(program, low):
    holder = program("""
l = listener((sys.argv[1], int(sys.argv[2])), reuse=0)
client = socket.create_connection(l.getsockname())
connection, _ = l.accept()
l.close()
tell('stays')""", *low)
    answer = why(text_of(low))
    assert answer.code == 1
    answer.says("1 connection on this port is still open, although nobody listens there any more: 1 in ESTABLISHED.",
                "did not set SO_REUSEADDR", f"pid {holder.pid}, user", f"What to do: stop holder (kill {holder.pid})")


def test_connections_are_told_beside_their_listener(program, low):
    program("""
l = listener((sys.argv[1], int(sys.argv[2])))
clients = [socket.create_connection(l.getsockname()) for _ in range(2)]
connections = [l.accept()[0] for _ in clients]
clients[0].close()
tell('serves')""", *low)
    holding.wait_states(text_of(low), "LISTEN", "ESTABLISHED", "CLOSE_WAIT")
    answer = why(text_of(low))
    assert answer.first() == "listener"
    answer.says("holder has not closed 1 connection that the other side has closed (CLOSE_WAIT)",
                "1 connection of its clients is open.")


# ---- outgoing connections ----

OUTGOING = """
l = listener((sys.argv[1], int(sys.argv[2])))
client = socket.socket()
client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: as if it had not been bound
client.bind((sys.argv[3], 0))
client.connect(l.getsockname())
connection, _ = l.accept()
tell(client.getsockname()[1])
"""


def test_a_port_that_an_outgoing_connection_was_given_is_told(program, low):
    source = harness.free_address()[0]
    holder = program(OUTGOING, *low, source, name="fetcher")
    answer = why(f"{source}:{holder.line}")
    assert answer.code == 1 and answer.first() == "outgoing_connection"
    answer.says(f"fetcher connected to elsewhere, and the kernel picked port {holder.line} for 1 connection of it",
                "net.ipv4.ip_local_port_range", f"to {text_of(low)}: 1 in ESTABLISHED", f"pid {holder.pid}, user",
                f"reserve the port: add {holder.line} to net.ipv4.ip_local_reserved_ports")


def test_it_is_told_as_well_after_that_one_has_closed(program, low):
    source = harness.free_address()[0]
    holder = program(OUTGOING + "client.close(); connection.close(); l.close()", *low, source)
    holding.wait_states(f"{source}:{holder.line}", "TIME_WAIT")
    answer = why(f"{source}:{holder.line}")
    assert answer.code == 1
    answer.says("A program that has closed meanwhile connected to elsewhere", "What to do: wait ")


CONNECT_TWICE = """
peer = listener(('127.0.0.2', 9000))
def connect():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('127.0.0.1', int(sys.argv[1])))
    s.connect(('127.0.0.2', 9000))
    return s
first = connect()
connection, _ = peer.accept()
first.close()
connection.close()
try:
    connect()
    tell(0)
except OSError as error:
    tell(error.errno)
"""


@needs_root
def test_connecting_from_a_port_to_a_peer_in_time_wait_is_told(network, program):
    """EADDRNOTAVAIL, which SO_REUSEADDR does not help against."""
    net = network(("net.ipv4.tcp_timestamps", 0))
    assert int(program(CONNECT_TWICE, PORT, prefix=net.inside).line) == errno.EADDRNOTAVAIL
    answer = net.why(f"127.0.0.1:{PORT}")
    answer.says(f"Connecting from port {PORT} to one of these peers fails until then with \"Cannot assign requested "
                "address\" (EADDRNOTAVAIL), for TCP timestamps are off here (net.ipv4.tcp_timestamps); SO_REUSEADDR "
                "does not help: 127.0.0.2:9000 (")
    assert answer.code == 0
    net.run("sysctl", "-q", "-w", "net.ipv4.tcp_timestamps=1")
    net.why(f"127.0.0.1:{PORT}").says("if that peer does not use TCP timestamps; SO_REUSEADDR does not help")


# ---- orphans ----

@pytest.fixture
def nginx(low):
    """The pids of an nginx's master and workers, on LOW."""
    subprocess.run([harness.REPOSITORY / "scripts" / "peers"], check=True)
    directory = harness.make_directory()
    (directory / "nginx.conf").write_text(servers.NGINX.format(
        user=f"user {servers.USER};", directory=directory, host=low[0], port=low[1], root=directory
    ).replace("daemon off; ", "").replace("worker_processes 1", "worker_processes 2"))
    subprocess.run([servers.UNPACKED / "usr/sbin/nginx", "-e", directory / "nginx.log", "-c",
                    directory / "nginx.conf"], check=True)
    master = int(harness.wait_until(lambda: (directory / "nginx.pid").read_text(), "no nginx.pid"))
    workers = harness.wait_until(lambda: len(found := children(master)) == 2 and found, "no workers")
    harness.wait_until(lambda: all(harness.read_proc(pid, "cmdline").startswith(b"nginx: worker process")
                                   for pid in workers), "they have not said yet what they are")
    yield master, workers
    holding.kill_all([master, *workers])
    harness.wait_until(lambda: not any(map(harness.is_alive, [master, *workers])), "nginx stays")
    subprocess.run(["rm", "-rf", directory], check=True)


def parent_of(pid):
    return int(harness.read_proc(pid, "stat").rsplit(b")", 1)[1].split()[1])


def children(pid):
    return [int(word) for word in harness.read_proc(pid, f"task/{pid}/children").split()]


@needs_root
def test_an_nginx_is_told_as_a_master_with_workers(nginx, low):
    master, workers = nginx
    answer = why(text_of(low)).says(f"nginx listens on {text_of(low)}.", f"pid {master}, user root",
                                    "nginx: master process", "2 processes that it started have the same socket: pids")
    assert set(answer.causes["listener"]["holders"]) == {master, *workers}


@needs_root
def test_workers_whose_master_cannot_be_looked_at_are_no_orphans(nginx, low, nobody):
    """It told the workers' own user that the master was dead, and to end them."""
    as_user = ("setpriv", f"--reuid={servers.USER}", f"--regid={servers.USER}", "--clear-groups")
    answer = why(text_of(low), program=nobody.program, prefix=as_user)
    assert answer.causes["listener"]["holder_kind"] == "program"
    assert "Orphans" not in answer.text


@needs_root
def test_orphans_of_nginx_are_told_and_the_remedy_works(nginx, low):
    master, workers = nginx
    os.kill(master, signal.SIGKILL)
    harness.wait_until(lambda: not harness.is_alive(master), "the master lives")
    answer = why(text_of(low))
    assert answer.code == 1 and answer.causes["listener"]["holder_kind"] == "nginx_orphans"
    answer.says(f"Orphans: workers of an nginx whose master process is dead listen on {text_of(low)}.",
                *[f"pid {worker}, user www-data" for worker in workers])
    remedy = re.search(r"What to do: end them \((kill -QUIT [\d ]+)\)", answer.text)
    subprocess.run(remedy[1].split(), check=True)
    harness.wait_until(lambda: not any(map(harness.is_alive, workers)), "the workers live")
    assert why(text_of(low)).code == 0


def test_orphans_of_perdure_are_told(make_server):
    server = make_server(workers=2).start()
    wait_settled(server)
    supervisor = server.status()["supervisor"]
    both = [supervisor["pid"], supervisor["keeper_pid"]]
    holding.kill_all(both, signal.SIGSTOP)  # or one would make another of the other
    harness.wait_until(lambda: all(harness.proc_status(pid)["State"][0] == "T" for pid in both), "they do not stop")
    holding.kill_all(both)
    harness.wait_until(lambda: not any(map(harness.is_alive, both)), "they live")
    answer = why(server.address)
    assert answer.causes["listener"]["holder_kind"] == "perdure_orphans"
    answer.says(f"Orphans: workers of a perdure whose supervisor is dead listen on {server.address}.",
                "What to do: start perdure again (perdure start, with its configuration)")
    server.start()  # and that is the remedy
    assert why(server.address).causes["listener"]["holder_kind"] == "perdure"


def test_a_supervisor_that_took_over_is_told_as_one(make_server):
    """It is younger than its workers, which are not its children."""
    server = make_server(workers=2).start()
    first = server.supervisor_pid()
    os.kill(first, signal.SIGKILL)
    wait_settled(server, predecessor=first)
    answer = why(server.address).says(f"perdure listens on {server.address}.", f"pid {server.supervisor_pid()}, user")
    assert answer.causes["listener"]["holder_kind"] == "perdure"


PREFORK = """
read, write = os.pipe()
if os.fork() == 0:
    if sys.argv[3] == 'own session':
        os.setsid()
    l = listener((sys.argv[1], int(sys.argv[2])))
    pids = []
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            os.close(write)
            signal.pause()
        pids.append(pid)
    os.write(write, ' '.join(map(str, pids)).encode())
    os._exit(0)
os.close(write)
words = b''
while True:
    more = os.read(read, 99)
    if not more:
        break
    words += more
os.wait()
tell(words.decode())"""


@pytest.mark.parametrize("session", ["own session", "session of a shell that lives"])
def test_orphans_of_another_server_are_told_and_the_remedy_works(program, low, session):
    holder = program(PREFORK, *low, session, name="prefork")
    orphans = [int(word) for word in holder.line.split()]
    if session != "own session" and parent_of(orphans[0]) != 1:
        holding.kill_all(orphans)
        pytest.skip("something here takes orphans in before init does")
    try:
        answer = why(text_of(low))
        assert answer.causes["listener"]["holder_kind"] == "orphans"
        answer.says(f"Orphans: processes of prefork whose parent is dead listen on {text_of(low)}.")
        remedy = re.search(r"What to do: end them \((kill [\d ]+)\)", answer.text)
        subprocess.run(remedy[1].split(), check=True)
        harness.wait_until(lambda: not any(map(harness.is_alive, orphans)), "they live")
        assert why(text_of(low)).code == 0
    finally:
        holding.kill_all(orphans)


# ---- the machine ----

@needs_root
def test_a_privileged_port_without_the_right_is_told(nobody):
    host, _ = harness.free_address()
    answer = nobody.why(f"{host}:81")
    assert answer.code == 1 and answer.first() == "privileged_port"
    answer.says("\"Permission denied\" (EACCES)", "Ports below 1024 (net.ipv4.ip_unprivileged_port_start) need "
                "root, or the capability CAP_NET_BIND_SERVICE; who asks now has neither", "AmbientCapabilities=",
                "choose a port from 1024 up", "Not seen: other network namespaces (containers)")
    root = why(f"{host}:81")
    assert root.code == 0
    root.says("who asks now has it, others may not")


@needs_root
def test_a_reserved_port_is_told(network):
    net = network(("net.ipv4.ip_local_reserved_ports", "40000,40010-40020"))
    for port, reserved in ((40000, True), (40015, True), (40001, False)):
        answer = net.why(f"127.0.0.1:{port}")
        assert answer.code == 0 and ("reserved_port" in answer.causes) == reserved
        assert ("ephemeral_port" in answer.causes) != reserved
    net.why("127.0.0.1:40000").says("Port 40000 is reserved (net.ipv4.ip_local_reserved_ports)")
    net.why("127.0.0.1:40001").says("Port 40001 is one of those that the kernel gives to outgoing connections, 32768 "
                                    "to 60999", "add 40001 to net.ipv4.ip_local_reserved_ports")


def test_an_address_of_another_machine_is_told():
    answer = why(f"192.0.2.1:{PORT}")
    assert answer.code == 1 and answer.first() == "address_not_local"
    answer.says("\"Cannot assign requested address\" (EADDRNOTAVAIL)", f"192.0.2.1:{PORT} is not an address of this "
                "machine: see \"ip address\"", f"What to do: listen on 0.0.0.0:{PORT} for every address")
    assert why(f"192.0.2.1:{PORT}", "--no-try").first() == "address_not_local"


@needs_root
def test_an_address_that_is_not_usable_yet_is_told(network, make_server):
    """As at boot. The remedy was an address that "ip address" shows, which it does; and a start said that it is none of
    this machine's."""
    net = network(("net.ipv6.conf.default.dad_transmits", 200))
    net.run("sh", "-c", "ip link add near type veth peer name far && ip link set near up && ip link set far up && "
                        "ip address add 2001:db8::7/64 dev near")
    answer = net.why("[2001:db8::7]:8000").says(
        "[2001:db8::7]:8000 is an address of this machine, but not usable yet", "What to do: tentative: wait some "
        "seconds, or start after the network is online; dadfailed: another machine has this address")
    assert answer.code == 1 and answer.first() == "address_not_local"
    server = make_server()
    server.listeners = ["[2001:db8::7]:8000"]
    server.write_config()
    done = subprocess.run([*net.inside, *server.command("check")], capture_output=True, text=True, check=False)
    assert "cannot listen on [2001:db8::7]:8000: an address of this machine that is not usable yet" in done.stderr


@needs_root
def test_ipv6_that_is_turned_off_is_told(network):
    net = network(("net.ipv6.conf.all.disable_ipv6", 1))
    answer = net.why(f"[::1]:{PORT}").says(f"[::1]:{PORT} is not an address of this machine", f"listen on [::]:{PORT}")
    assert answer.code == 1 and net.why(f"127.0.0.1:{PORT}").code == 0


# ---- what cannot be seen from here ----

@needs_root
def test_a_listener_in_another_network_namespace_is_told(network, nobody):
    net = network()
    holder = Program(f"l = listener(('127.0.0.1', {PORT})); tell('listens')", prefix=net.inside, name="apart")
    try:
        answer = why(f"127.0.0.1:{PORT}")
        assert answer.code == 0
        answer.says("In another network namespace somebody listens on this port.")
        command = re.search(rf"that of pid \d+ \(\w+\): (nsenter -t \d+ -n) perdure why {PORT}", answer.text)
        inside = why(f"127.0.0.1:{PORT}", prefix=command[1].split())
        assert inside.code == 1
        inside.says(f"apart listens on 127.0.0.1:{PORT}. pid {holder.pid}")
        unseen = nobody.why(f"127.0.0.1:{PORT}")
        unseen.says("Not seen: other network namespaces (containers)", "Run this as root")
    finally:
        holder.close()


@needs_root
def test_what_an_ordinary_user_cannot_see_is_said_with_how_to_see_it(program, nobody, low):
    program("l = listener((sys.argv[1], int(sys.argv[2]))); tell('listens')", *low)
    answer = nobody.why(text_of(low))
    assert answer.code == 1
    answer.says(f"A program that cannot be seen from here listens on {text_of(low)}.",
                "the socket belongs to user id 0", "Not seen: what ", "Run this as root to see it.",
                "What to do: find out who it is: run this as root")


@needs_root
def test_a_holder_in_another_pid_namespace_is_said_to_be_out_of_sight(program, low):
    program("l = listener((sys.argv[1], int(sys.argv[2]))); tell('listens')", *low)
    answer = why(text_of(low), prefix=("unshare", "--pid", "--fork", "--mount-proc"))
    assert answer.code == 1
    answer.says("A program that cannot be seen from here listens", "Not seen: who has the socket.",
                "Run this on the host, outside of any container.")


@needs_root
def test_hidden_processes_are_said_to_be_hidden(program, nobody, low):
    program("l = listener((sys.argv[1], int(sys.argv[2]))); tell('listens')", *low)
    words = "mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid=nobody --regid=nogroup --clear-groups " \
            f'{nobody.program} "$@"'
    answer = why(text_of(low), program="why", prefix=("unshare", "--mount", "sh", "-c", words))
    answer.says("Not seen: other users' processes, which /proc hides here (hidepid, or ProtectProc of a unit).")


@needs_root
@pytest.mark.skipif(harness.SANITIZED, reason="the leak sanitizer cannot run below strace")
def test_where_the_kernel_does_not_tell_its_sockets_proc_does(program, low):
    holder = program("""
l = listener((sys.argv[1], int(sys.argv[2])))
client = socket.create_connection(l.getsockname())
connection, _ = l.accept()
client.close()
tell('forgets')""", *low)
    holding.wait_states(text_of(low), "LISTEN", "CLOSE_WAIT")
    answer = why(text_of(low), prefix=("strace", "-qq", "-o", "/dev/null", "-e", "trace=recvmsg", "-e",
                                       "inject=recvmsg:error=EACCES"))
    assert answer.code == 1 and answer.json["unseen"]["sock_diag"] == "EACCES"
    answer.says("The kernel does not tell its sockets (NETLINK_SOCK_DIAG: Permission denied); this is from "
                "/proc/net/tcp", f"holder listens on {text_of(low)}.", f"pid {holder.pid}, user", "CLOSE_WAIT")


# ---- --no-try ----

@pytest.mark.skipif(harness.SANITIZED, reason="the leak sanitizer cannot run below strace")
@pytest.mark.parametrize("options, binds", [(["--no-try"], False), ([], True)])
def test_no_try_tries_nothing(low, options, binds, tmp_path):
    trace = tmp_path / "trace"
    subprocess.run(["strace", "-f", "-o", trace, "-e", "trace=bind,listen,connect", harness.BUILD / "perdure", "why",
                    text_of(low), *options], check=True, capture_output=True)
    calls = [line for line in trace.read_text().splitlines() if "AF_INET" in line or "listen(" in line]
    assert (calls != []) == binds, calls


def test_no_try_tells_the_same_of_what_can_be_seen(program, low):
    program("l = listener((sys.argv[1], int(sys.argv[2]))); tell('listens')", *low)
    tried, looked = why(text_of(low)), why(text_of(low), "--no-try")
    assert looked.code == tried.code == 1
    looked.says(f"holder listens on {text_of(low)}", "Nothing was tried (--no-try)")
    assert "Tried:" not in looked.text and not looked.json["tried"]


# ---- unix sockets ----

@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.sock"


def test_a_unix_socket_is_told_with_who_listens_and_nobody_notices(program, path):
    holder = program("l = listener(sys.argv[1], family=socket.AF_UNIX); l.setblocking(False); tell('listens')\n"
                     "signal.signal(signal.SIGUSR1, lambda *_: None)\nsignal.pause()\n"
                     "try:\n    l.accept(); tell('somebody came')\n"
                     "except BlockingIOError:\n    tell('nobody came')", path)
    answer = why(f"unix:{path}")
    assert answer.code == 1 and answer.first() == "file_listener"
    answer.says(f"holder listens on unix:{path}.", f"pid {holder.pid}, user", f"What to do: stop holder (kill "
                f"{holder.pid}); or choose another path.")
    os.kill(holder.pid, signal.SIGUSR1)
    assert holder.process.stdout.readline() == "nobody came\n"


def test_other_files_at_a_unix_socket_s_path_are_told(program, path):
    assert why(path).code == 0 and not path.exists()
    path.write_text("mine")
    why(path).says(f"{path} is a file and no socket.", "remove it, if nobody needs it")
    path.unlink()
    path.mkdir()
    why(path).says(f"{path} is a directory and no socket.", "What to do: choose another path.")
    path.rmdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    why(path).says(f"{path} was left by a process that is gone", "perdure replaces it by itself", f"rm {path}")
    path.unlink()
    program("l = listener(sys.argv[1], family=socket.AF_UNIX, listen=0); tell('bound')", path)
    why(path).says(f"holder has bound {path} and does not listen on it.")
    assert why("/no/such/directory/a.sock").says("its directory does not exist", "make the directory").code == 1


@needs_root
def test_a_read_only_file_system_is_told(path):
    path.parent.chmod(0o755)
    mounted = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o ro none {path.parent} && exec "$@"', "sh")
    answer = why(f"unix:{path}", prefix=mounted).says("\"Read-only file system\" (EROFS)", "it is on a read-only file "
                                                      "system.", "What to do: choose another path.")
    assert answer.code == 1


@needs_root
def test_a_directory_that_may_not_be_written_to_is_told(nobody, path):
    nobody.why("unix:/etc/a.sock").says("\"Permission denied\" (EACCES)", "who asks now may not write to its directory",
                                        "give the directory to the user who starts")


@needs_root
def test_a_stale_file_that_may_not_be_connected_to_is_nobody_s(nobody):
    """It was said to have a listener that cannot be seen."""
    path = nobody.directory / "a.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    path.chmod(0o600)
    answer = nobody.why(f"unix:{path}")
    assert answer.code == 1 and answer.first() == "file_stale"
    answer.says("nobody listens on it in this network namespace; others cannot be seen",
                f"What to do: as root, or as the owner of the directory: rm {path}")


# ---- in short ----

def test_perdure_says_in_one_line_why_it_cannot_start(make_server, program):
    server = make_server()
    holder = program("l = listener((sys.argv[1], int(sys.argv[2]))); tell('listens')", server.host, server.port)
    for verb in ("start", "run"):
        done = server.verb(verb)
        assert done.returncode == 1
        line = next(line for line in (done.stderr + server.log()).splitlines() if "cannot listen" in line)
        assert re.search(rf"perdure.conf:\d+: cannot listen on {server.address}: in use by holder \(pid {holder.pid}, "
                         rf"user \w+, for \d+ \w+.*\); stop it, or choose another port; more: perdure why "
                         rf"{server.address}$", line), line


@needs_root
def test_who_may_not_look_is_told_as_much_as_can_be_seen(make_server, program):
    server = make_server()
    program("l = listener((sys.argv[1], int(sys.argv[2]))); tell('listens')", server.host, server.port)
    user = pwd.getpwnam("nobody")
    done = subprocess.run([server.copy_programs(), "serve", "/", "-l", server.address], user=user.pw_uid,
                          group=user.pw_gid, extra_groups=[], capture_output=True, text=True, check=False, timeout=60,
                          env=server.environment())
    assert done.returncode == 1
    assert (f"cannot listen on {server.address}: in use by a process of user id 0 that cannot be seen from here; stop it"
            in done.stderr), done.stderr


def test_a_reload_says_it_too(server, program):
    holder = program("l = listener((sys.argv[1], 0), reuse=0, listen=0); tell(l.getsockname()[1])", server.host)
    server.listeners.append(f"{server.host}:{holder.line}")
    server.write_config()
    done = server.verb("reload")
    assert done.returncode == 1 and done.stderr.startswith("refused: ")
    assert f": cannot listen on {server.listeners[-1]}: in use by holder (pid {holder.pid}, user " in done.stderr
    assert "which is bound there although it does not listen; stop it, or choose another port" in done.stderr


def test_a_start_says_how_long_time_wait_lasts(make_server):
    server = make_server()
    leave_time_wait((server.host, server.port), reuse=0)
    done = server.verb("start")
    assert done.returncode == 1
    assert re.search(r"in use by 1 closed connection that the kernel still keeps \(TIME_WAIT or before\); wait \d+ s, "
                     "or choose another port", done.stderr), done.stderr


def test_check_warns_of_an_address_that_is_taken(make_server, program):
    server = make_server()
    assert server.verb("check").stderr == ""
    holder = program("l = listener((sys.argv[1], int(sys.argv[2]))); tell('listens')", server.host, server.port)
    done = server.verb("check")
    assert done.returncode == 0 and done.stdout == f"{server.config_path}: good\n"
    assert f"warning: {server.config_path}:" in done.stderr
    assert f"cannot listen on {server.address}: in use by holder (pid {holder.pid}, " in done.stderr
    holder.close()
    server.start()
    assert server.verb("check").stderr == "", "its own addresses are none that are taken"
