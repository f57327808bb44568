"""The init script does all its verbs under load, with LSB's exit codes, and none of its clients notices."""
import subprocess

import harness

SCRIPT = harness.REPOSITORY / "etc" / "init.d" / "perdure"
LOAD = {"keepalive": 8, "close": 4, "idle": 20, "download": 1}


def call(server, verb):
    environment = {**server.environment(), "DAEMON": str(harness.BUILD / "perdure"), "CONFIG": str(server.config_path),
                   "PERDURE_DEFAULTS": "/nonexistent"}
    return subprocess.run([str(SCRIPT), verb], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)


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
        for verb in ["restart", "try-restart"] * 5:
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


def test_an_unknown_verb_is_a_usage_error(server):
    done = call(server, "frobnicate")
    assert done.returncode == 2 and "Usage:" in done.stderr
