"""The operator's verbs: what they do, what they say, and how they exit (LSB)."""
import os
import signal
import socket
import subprocess

import pytest

import harness

pytestmark = pytest.mark.sanitized

VERBS = ("run", "start", "stop", "reload", "diff", "restart", "reopen", "status", "check", "serve")


def perdure(*words):
    return subprocess.run([harness.BUILD / "perdure", *words], capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL, check=False)


# ---- the way of a day ----

def test_start_returns_when_the_service_answers(make_server):
    server = make_server()
    (server.root / "a.txt").write_bytes(b"a")
    assert server.verb("start").returncode == 0
    assert server.get("/a.txt").body == b"a"
    assert server.is_serving()


def test_start_lets_go_of_who_called_it(make_server):
    """Somebody kept a copy of the caller's standard error, and `perdure start | tee`, or an ssh, waited for ever."""
    server = make_server()
    read_end, write_end = os.pipe()
    subprocess.run(server.command("start"), stdout=write_end, stderr=write_end, env=server.environment(), check=True)
    os.close(write_end)
    os.set_blocking(read_end, False)
    with os.fdopen(read_end, "rb", buffering=0) as pipe:
        said = harness.wait_until(lambda: read_available(pipe.fileno()), "it said nothing")
        assert said and read_available(pipe.fileno()) == b"", "the pipe is still held open"


def read_available(fd):
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return None


def test_stop_returns_when_all_are_gone(make_server):
    server = make_server(workers=3).start()
    pids = [server.supervisor_pid()] + [w[key] for w in server.workers() for key in ("pid", "keeper_pid")]
    assert server.stop().returncode == 0
    assert not any(harness.is_alive(pid) for pid in pids)
    with pytest.raises(ConnectionRefusedError):
        server.connect()
    assert not (server.run_dir / "perdure.pid").exists()


def test_stop_lets_responses_under_way_finish(make_server):
    server = make_server(workers=1)
    data = os.urandom(1 << 20) * 16
    (server.root / "large.bin").write_bytes(data)
    server.start()
    with server.connect(receive_buffer=16384) as client:
        client.request("/large.bin")
        assert client.read_head().status == 200
        stopping = subprocess.Popen(server.command("stop"), stdout=subprocess.DEVNULL)
        assert client.take(len(data)) == data
        client.assert_closed()
    assert stopping.wait(harness.PATIENCE_S) == 0


def test_stop_closes_idle_connections_at_once(server):
    (server.root / "a.txt").write_bytes(b"a")
    with server.connect() as client:
        assert client.get("/a.txt").status == 200
        stopping = subprocess.Popen(server.command("stop"), stdout=subprocess.DEVNULL)
        client.assert_closed()
    assert stopping.wait(harness.PATIENCE_S) == 0


def test_stop_now_does_not_wait(make_server):
    server = make_server(workers=1)
    (server.root / "large.bin").write_bytes(bytes(1 << 25))
    server.start()
    with server.connect(receive_buffer=4096) as client:
        client.request("/large.bin")
        assert client.read_head().status == 200
        assert server.stop("--now").returncode == 0
    assert server.verb("status").returncode == 3


def test_stop_timeout_ends_a_stop(make_server):
    server = make_server(workers=1, stop_timeout="300ms")
    (server.root / "large.bin").write_bytes(bytes(1 << 25))
    server.start()
    with server.connect(receive_buffer=4096) as client:
        client.request("/large.bin")
        assert client.read_head().status == 200
        assert server.stop().returncode == 0


def test_the_same_port_serves_again_at_once(server):
    """TIME_WAIT on our side, from connections that we closed, must not keep it down."""
    for _ in range(5):
        with server.connect() as client:
            client.request("/", "Connection: close")
            client.read_to_end()
        assert server.stop().returncode == 0
        server.start()


def test_restart_renews_every_process(server):
    before = {server.supervisor_pid()} | {w["pid"] for w in server.workers()}
    done = server.verb("restart")
    assert done.returncode == 0, done.stderr
    after = {w["pid"] for w in server.wait_serving()}
    assert not before & after
    assert server.get("/").status == 403


# ---- in the foreground ----

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_run_ends_by_signal_with_exit_0(make_server, number):
    server = make_server().run()
    assert server.get("/").status == 403
    server.foreground.send_signal(number)
    assert server.foreground.wait(harness.PATIENCE_S) == 0


def test_a_second_term_stops_now(make_server):
    server = make_server(workers=1)
    (server.root / "large.bin").write_bytes(bytes(1 << 25))
    server.run()
    with server.connect(receive_buffer=4096) as client:
        client.request("/large.bin")
        assert client.read_head().status == 200
        server.foreground.terminate()
        harness.wait_until(lambda: "stopping" in server.log(), "it does not stop")
        assert server.foreground.poll() is None
        server.foreground.terminate()
        assert server.foreground.wait(harness.PATIENCE_S) == 0


def test_ttin_and_ttou_are_a_worker_more_and_less(server):
    os.kill(server.supervisor_pid(), signal.SIGTTIN)
    harness.wait_until(lambda: len(server.wait_serving()) == 3, server.log)
    for count in (2, 1):
        os.kill(server.supervisor_pid(), signal.SIGTTOU)
        harness.wait_until(lambda: len(server.wait_serving()) == count, server.log)
    assert server.get("/").status == 403


def test_workers_ignore_the_supervisors_signals(server):
    before = [(w["pid"], w["keeper_pid"]) for w in server.workers()]
    for pid in (pid for pair in before for pid in pair):
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
                       signal.SIGTTIN, signal.SIGTTOU):
            os.kill(pid, number)
    assert server.get("/").status == 403
    assert [(w["pid"], w["keeper_pid"]) for w in server.wait_serving()] == before


# ---- status ----

def test_status_exits_as_lsb_says(make_server):
    server = make_server()
    assert server.verb("status").returncode == 3
    server.start()
    done = server.verb("status")
    assert done.returncode == 0 and server.address in done.stdout
    server.stop()
    assert server.verb("status").returncode == 3
    (server.run_dir / "perdure.pid").write_text("4194000\n")
    assert server.verb("status").returncode == 1
    server.start()
    assert server.verb("status").returncode == 0


def test_status_json_has_what_scripts_rely_on(server):
    status = server.status()
    assert status["supervisor"]["pid"] == int((server.run_dir / "perdure.pid").read_text())
    assert status["generation"] == 1
    assert [listener["address"] for listener in status["listeners"]] == [server.address]
    assert sorted(worker["slot"] for worker in status["workers"]) == [0, 1]
    for worker in status["workers"]:
        assert worker["pid"] > 1 and worker["keeper_pid"] > 1 and worker["state"] == "serving"
        assert {"connections", "requests", "successions"} <= set(worker)
        assert {"crash", "hang", "reload", "upgrade"} <= set(worker["successions"])


def test_status_counts_connections_and_requests(server):
    with server.connect() as client:
        for _ in range(5):
            client.get("/")
        harness.wait_until(lambda: server.requests_counted() == 5, lambda: server.workers())
        assert sum(worker["connections"] for worker in server.workers()) == 1
    harness.wait_until(lambda: sum(worker["connections"] for worker in server.workers()) == 0, "still connected")


# ---- what is asked of nobody ----

def test_stopping_what_does_not_run_is_success(make_server):
    assert make_server().verb("stop").returncode == 0


@pytest.mark.parametrize("verb", ["reload", "restart", "reopen"])
def test_verbs_fail_when_nothing_runs(make_server, verb):
    done = make_server().verb(verb)
    assert done.returncode != 0 and "not running" in done.stderr


def test_a_second_start_says_who_runs_and_succeeds(server):
    pid = server.supervisor_pid()
    done = server.verb("start")
    assert done.returncode == 0 and str(pid) in done.stdout
    assert server.supervisor_pid() == pid


# ---- what cannot be started: one line with cause and remedy, exit 1, nothing left ----

def assert_refused(server, *words, verb="start"):
    done = server.verb(verb)
    assert done.returncode == 1, f"{done.stdout}{done.stderr}"
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert not harness.processes_of(server.directory, server.token)


def test_a_port_in_use(make_server):
    server = make_server()
    with socket.create_server((server.host, server.port)):
        assert_refused(server, server.address, "in use")
        assert_refused_in_foreground(server, "in use")


def assert_refused_in_foreground(server, word):
    done = server.verb("run")
    assert done.returncode == 1 and word in done.stderr + server.log()


def test_a_port_in_use_by_another_perdure_is_said_so(make_server):
    first, second = make_server().start(), make_server()
    second.listeners = [first.address]
    second.write_config()
    assert_refused(second, first.address, "in use", str(first.supervisor_pid()))
    assert first.get("/").status == 403


def test_a_bound_port_where_the_last_of_two_is_taken(make_server):
    server = make_server()
    with socket.create_server((server.host, 0)) as taken:
        server.listeners.append("{}:{}".format(*taken.getsockname()))
        server.write_config()
        assert_refused(server, server.listeners[-1], "in use")
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_an_address_that_is_not_ours(make_server):
    server = make_server()
    server.listeners = ["203.0.113.7:8000"]
    server.write_config()
    assert_refused(server, "203.0.113.7:8000")


def test_a_missing_root(make_server):
    server = make_server()
    server.root.rmdir()
    assert_refused(server, str(server.root), str(server.config_path))


@pytest.mark.skipif(not harness.IS_ROOT, reason="only root changes users")
def test_an_unknown_user(make_server):
    assert_refused(make_server(user="nobody-of-that-name"), "nobody-of-that-name", "perdure.conf:")


def test_a_run_dir_without_a_parent(make_server):
    server = make_server()
    server.write_config(run_dir=str(server.directory / "no" / "such" / "parent"))
    assert_refused(server, "no/such/parent")


def test_a_run_dir_that_is_a_file(make_server):
    server = make_server()
    server.write_config(run_dir=str(server.config_path))
    assert_refused(server, "perdure.conf")
    server.write_config(run_dir=str(server.run_dir))


def test_a_read_only_run_dir(make_server):
    """/proc/sys is a directory in which even root can make nothing."""
    server = make_server()
    server.write_config(run_dir="/proc/sys/perdure")
    assert_refused(server, "/proc/sys/perdure")
    server.write_config(run_dir=str(server.run_dir))


def test_a_log_that_cannot_be_written(make_server):
    server = make_server()
    server.write_config(access_log=str(server.directory / "no-such" / "access.log"))
    assert_refused(server, "access_log", "no-such")


@pytest.mark.parametrize("text, words", [
    ("workers = many\n", ("perdure.conf:1:", "workers")),
    ("\nnonsense\n", ("perdure.conf:2:",)),
    ("idle_timeout = 5\n", ("perdure.conf:1:", "idle_timeout")),
])
def test_a_config_that_does_not_load(make_server, text, words):
    server = make_server()
    server.write_config(text=server.config_text_after(text))
    assert_refused(server, *words)
    assert_refused(server, *words, verb="check")
    server.write_config()
    assert server.verb("check").returncode == 0


def test_a_config_that_is_not_there(make_server):
    server = make_server()
    server.config_path.unlink()
    assert_refused(server, "perdure.conf", "No such file")
    server.write_config()


# ---- the command line ----

def test_help_names_every_verb_and_the_signals():
    done = perdure("--help")
    assert done.returncode == 0
    for word in VERBS + ("HUP", "USR2", "--version"):
        assert word in done.stdout
    assert perdure("--version").stdout.startswith("perdure ")


@pytest.mark.parametrize("words", [(), ("strat",), ("start", "-c"), ("status", "--now"), ("stop", "--nonsense"),
                                   ("start", "a", "b")])
def test_a_wrong_command_line_is_refused(words):
    done = perdure(*words)
    assert done.returncode in (1, 2) and done.stderr


def test_serve_needs_no_config(make_server):
    """perdure serve DIR -l ADDR:PORT; a run directory of its own, and nothing left behind."""
    server = make_server()
    (server.root / "a.txt").write_bytes(b"a")
    process = subprocess.Popen([harness.BUILD / "perdure", "serve", server.root, "-l", server.address],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=server.environment())
    try:
        def answers():
            try:
                return server.get("/a.txt").body == b"a"
            except ConnectionRefusedError:
                assert process.poll() is None
                return False
        harness.wait_until(answers, "it does not serve")
    finally:
        process.terminate()
        assert process.wait(harness.PATIENCE_S) == 0


def test_serve_says_where_it_serves_once_it_does(server):
    """The line was once composed and never printed."""
    address = "{}:{}".format(*harness.free_address())
    command = [str(harness.BUILD / "perdure"), "serve", str(server.root), "-l", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          env=server.environment()) as serving:
        try:
            assert harness.is_readable(serving.stdout, harness.PATIENCE_S), "it says nothing"
            line = serving.stdout.readline()
            assert str(server.root) in line and f"http://{address}/" in line, line
            host, port = address.split(":")
            with harness.Client((host, int(port))) as client:
                assert client.get("/none").status == 404
        finally:
            serving.send_signal(signal.SIGINT)
        assert serving.wait(harness.PATIENCE_S) == 0
