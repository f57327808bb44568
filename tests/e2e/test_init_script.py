"""The init script does all its verbs under load, with LSB's exit codes, and none of its clients notices.

It is called as at boot: with next to no environment, from /, and by its own path, so that nothing is handed to a
systemd that this machine may run.
"""
import concurrent.futures
import os
import signal
import subprocess

import pytest

import harness

SCRIPT = harness.REPOSITORY / "etc" / "init.d" / "perdure"
LOAD = {"keepalive": 8, "close": 4, "idle": 20, "download": 1}


def call(server, *verbs, **settings):
    token, _, value = server.token.partition("=")
    environment = {token: value, "DAEMON": str(harness.BUILD / "perdure"), "CONFIG": str(server.config_path),
                   "PERDURE_DEFAULTS": "/nonexistent", **settings}
    environment |= {name: words for name, words in os.environ.items() if name.endswith("SAN_OPTIONS")}
    return subprocess.run([str(SCRIPT), *verbs], env=environment, cwd="/", stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)


def test_all_verbs_under_load(make_server):
    server = make_server()
    harness.fill_corpus(server.root)
    assert call(server, "status").returncode == 3
    assert call(server, "try-restart").returncode == 0
    assert call(server, "status").returncode == 3, "try-restart has started what was not there"
    started = call(server, "start")
    assert started.returncode == 0 and "serving on" in started.stdout, started
    supervisor = server.supervisor_pid()
    with harness.Judge(server.address, server.root, **LOAD):
        assert call(server, "status").returncode == 0
        assert call(server, "start").returncode == 0  # it runs already
        for turn, verb in enumerate(["reload", "force-reload"] * 5):
            server.write_config(idle_timeout=f"{70 + turn}s")
            done = call(server, verb)
            assert done.returncode == 0 and f"-> {70 + turn}s" in done.stdout, done
        for verb in ["restart", "try-restart", "upgrade"] * 4:
            done = call(server, verb)
            assert done.returncode == 0 and "restarted" in done.stdout, done
    assert server.supervisor_pid() == supervisor
    assert call(server, "stop").returncode == 0
    assert call(server, "status").returncode == 3
    assert call(server, "stop").returncode == 0


def test_reload_tells_why_it_was_refused(server):
    server.write_config(text="nonsense\n" + server.config_text())
    done = call(server, "reload")
    assert done.returncode == 1
    assert f"refused: {server.config_path}:1: " in done.stdout
    assert call(server, "status").returncode == 0


@pytest.mark.parametrize("verbs", [["frobnicate"], []])
def test_an_unknown_verb_is_a_usage_error(server, verbs):
    done = call(server, *verbs)
    assert done.returncode == 2 and "Usage:" in done.stderr


@pytest.mark.parametrize("verb", ["reload", "force-reload", "upgrade"])
def test_what_only_a_running_one_can_do_fails_with_7(make_server, verb):
    server = make_server()
    done = call(server, verb)
    assert done.returncode == 7 and "not running" in done.stderr
    assert call(server, "status").returncode == 3, f"{verb} has started what was not there"


def test_workers_without_a_supervisor_are_taken_over_by_start_and_ended_by_stop(make_server):
    server = make_server()
    assert call(server, "start").returncode == 0
    for verb in ("start", "restart", "stop"):
        supervisor, workers = server.status()["supervisor"], [w["pid"] for w in server.wait_serving()]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in (supervisor["pid"], supervisor["keeper_pid"]):
                os.kill(pid, number)
        harness.wait_until(lambda: call(server, "status").returncode == 1, server.log)
        done = call(server, "reload")
        assert done.returncode == 7 and "2 workers serve on without one" in done.stderr
        done = call(server, verb)
        assert done.returncode == 0, done.stdout
        if verb != "stop":
            assert "took over 2 workers" in done.stdout
            assert [w["pid"] for w in server.wait_serving()] == workers
    assert call(server, "status").returncode == 3
    assert not any(harness.is_alive(pid) for pid in workers)


def test_restart_starts_what_is_not_there(make_server):
    server = make_server()
    assert call(server, "restart").returncode == 0
    assert call(server, "status").returncode == 0
    assert server.get().status == 403


def test_two_starts_at_once_are_one_service(make_server):
    server = make_server()
    with concurrent.futures.ThreadPoolExecutor() as both:
        done = list(both.map(lambda _: call(server, "start"), range(2)))
    assert [one.returncode for one in done] == [0, 0], done
    assert len(server.wait_serving()) == 2


def test_a_start_that_fails_says_why(make_server):
    server = make_server()
    server.write_config(text="nonsense\n" + server.config_text())
    done = call(server, "start")
    assert done.returncode == 1 and f"{server.config_path}:1: " in done.stdout
    assert call(server, "status").returncode == 3


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_without_a_configuration_it_is_not_configured(make_server, verb):
    server = make_server()
    done = call(server, verb, CONFIG=str(server.directory / "none.conf"))
    assert done.returncode == 6 and "none.conf is not there" in done.stderr


@pytest.mark.parametrize("verb, code", [("start", 5), ("reload", 5), ("stop", 0), ("status", 4)])
def test_without_the_program_it_is_not_installed(make_server, verb, code):
    server = make_server()
    done = call(server, verb, DAEMON=str(server.directory / "none"))
    assert done.returncode == code and "none is not there" in done.stderr


def test_settings_come_from_the_file_of_defaults(make_server):
    server = make_server()
    defaults = server.directory / "defaults"
    defaults.write_text(f"CONFIG={server.config_path}\n")
    assert call(server, "start", PERDURE_DEFAULTS=str(defaults), CONFIG="/nonexistent").returncode == 0
    assert call(server, "status").returncode == 0
