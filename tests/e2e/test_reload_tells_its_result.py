"""Who asks for a reload, through whichever door, is told the same of it; those who ask meanwhile share the next one."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

import harness
from test_init_script import call as init_script

pytestmark = pytest.mark.sanitized


# ---- doors ----

@pytest.fixture
def manager(tmp_path, monkeypatch):
    """What systemd would hear. Its watchdog is fed all the time, and is left out."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(harness.PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def next_state():
            while True:
                state = heard.recv(65536).decode()
                if state != "WATCHDOG=1":
                    return dict(line.split("=", 1) for line in state.split("\n"))
        yield next_state


def by_verb(server):
    done = server.verb("reload", config=server.good_path)
    return done.returncode, done.stdout + done.stderr


def by_init_script(server):
    done = init_script(server, "reload", CONFIG=str(server.good_path))
    first, _, rest = done.stdout.partition("\n")
    assert first.startswith("Reloading HTTP server")
    return done.returncode, rest


def by_signal(server):
    os.kill(server.supervisor_pid(), signal.SIGHUP)
    return None, None


DOORS = {by_verb: r"perdure reload \(pid \d+, uid \d+\)", by_init_script: r"perdure reload \(pid \d+, uid \d+\)",
         by_signal: rf"SIGHUP \(pid {os.getpid()}, uid {os.getuid()}\)"}


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_the_same_words_through_every_door(make_server, manager, door):
    server = make_server().start()
    assert manager()["READY"] == "1"
    server.write_config(idle_timeout="30s", head_timeout="20s")
    expect(server, manager, door, 0, ["reloaded: generation 2", "idle_timeout 65s -> 30s", "head_timeout 30s -> 20s"])
    expect(server, manager, door, 0, ["identical, nothing to do"])
    server.write_config(text=server.config_text_after("\nworkers = many\n"))
    expect(server, manager, door, 1, [f"refused: {server.config_path}:2: workers = many is not a number; .*"])


def expect(server, manager, door, code, lines):
    """A reload through DOOR ends with CODE, and everybody hears LINES, regular expressions, of it."""
    asked = time.monotonic_ns() // 1000
    skip = len(server.log())
    got, said = door(server)
    state = manager()
    assert state["RELOADING"] == "1" and asked <= int(state["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    state = manager()
    assert state["READY"] == "1" and int(state["MAINPID"]) == server.supervisor_pid()
    assert re.fullmatch("; ".join(lines), state["STATUS"]), state
    assert got in (None, code)
    text = server.status()["last_result"]["text"]
    assert said in (None, text)
    assert re.fullmatch("\n".join(lines), text.rstrip("\n")), text
    result = server.status()["last_result"]
    assert (result["verb"], result["exit_code"]) == ("reload", code)
    assert result["result"] == ("refused" if code else "accepted") and abs(result["when"] - time.time()) < 60
    assert re.fullmatch(DOORS[door], result["by"]), result
    shown = server.verb("status", config=server.good_path).stdout
    assert f"asked for by {result['by']}: {result['result']}\n" in shown
    for line in text.splitlines():
        assert f"  {line}\n" in shown
        assert f": {line}\n" in server.log()[skip:]
    assert f"reload: asked for by {result['by']}\n" in server.log()[skip:]


def test_a_comment_is_no_change(server):
    before = [worker["pid"] for worker in server.workers()]
    server.config_path.write_text("# new\n" + server.config_text())
    assert server.verb("reload").stdout == "identical, nothing to do\n"
    assert [worker["pid"] for worker in server.workers()] == before


def test_a_restart_is_told_to_systemd_too(make_server, manager):
    server = make_server().start()
    assert manager()["READY"] == "1"
    assert server.verb("restart").returncode == 0
    assert manager()["RELOADING"] == "1"
    assert manager()["STATUS"] == "restarted: generation 2"


# ---- merging ----

def start_verb(server, verb, program=None):
    words = server.command(verb)
    return subprocess.Popen([program or words[0], *words[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, env=server.environment())


def told(caller):
    text = caller.communicate(timeout=harness.PATIENCE_S)[0]
    return caller.returncode, text


def wait_asked(server, count):
    harness.wait_until(lambda: server.status()["supervisor"]["asked_next"] == count,
                       lambda: f"{server.status()['supervisor']}\n{server.log()}")


def test_twenty_callers_during_a_reload_share_one_more(make_server):
    """Each is told of the configuration as it was when it asked, or later."""
    server = make_server(hang_timeout="60s").start()
    with harness.held_reload(server, idle_timeout="30s") as first:
        server.write_config(idle_timeout="40s")
        callers = [start_verb(server, "reload") for _ in range(20)]
        os.kill(server.supervisor_pid(), signal.SIGHUP)
        wait_asked(server, 21)
    assert told(first) == (0, "reloaded: generation 2\nidle_timeout 65s -> 30s\n")
    for caller in callers:
        assert told(caller) == (0, "reloaded: generation 3\nidle_timeout 30s -> 40s\n")
    status = server.status()
    assert status["generation"] == 3 and status["last_result"]["by"].endswith(" and 20 more")
    assert server.log().count("reload: asked for by") == 2


def test_callers_that_go_make_room_for_others(make_server):
    """Their places were kept for ever: after as many as there are, a caller was never answered."""
    server = make_server(hang_timeout="60s").start()
    with harness.held_reload(server, idle_timeout="30s") as first:
        for count in range(1, 71):
            caller = start_verb(server, "reload")
            wait_asked(server, count)
            caller.kill()
            caller.communicate()
        last = start_verb(server, "reload")
        wait_asked(server, 71)
    assert told(first)[0] == 0
    assert told(last) == (0, "identical, nothing to do\n")


@pytest.fixture
def replaceable(make_server):
    """A server whose programs may be replaced: (server, path of perdure)."""
    server = make_server(hang_timeout="60s")
    program = pathlib.Path(server.copy_programs())
    assert told(start_verb(server, "start", program))[0] == 0
    return server, program


def test_a_reload_asked_for_during_a_restart_outlives_it(replaceable):
    """What was asked for before the new supervisor took over was forgotten, a SIGHUP without a trace."""
    server, program = replaceable
    gate = server.directory / "gate"
    os.mkfifo(gate)
    harness.replace_program(program, f"read line < {gate}; exec $real --contract")
    restart = start_verb(server, "restart")
    with open(gate, "wb"):  # opens when the script does
        server.write_config(idle_timeout="30s")
        reload = start_verb(server, "reload")
        os.kill(server.supervisor_pid(), signal.SIGHUP)
        wait_asked(server, 2)
    assert told(restart) == (0, "restarted: generation 2\nidle_timeout 65s -> 30s\n")
    assert told(reload) == (0, "identical, nothing to do\n")
    result = server.status()["last_result"]
    assert result["verb"] == "reload" and result["by"].endswith(" and 1 more")
    assert server.status()["supervisor"]["images"] == 2


def test_a_reload_is_not_refused_for_a_restart_that_it_was_merged_with(replaceable):
    server, program = replaceable
    with harness.held_reload(server, idle_timeout="30s") as first:
        harness.replace_program(program, "exit 1")
        server.write_config(idle_timeout="40s")
        restart, reload = start_verb(server, "restart"), start_verb(server, "reload")
        wait_asked(server, 2)
    assert told(first)[0] == 0
    code, text = told(restart)
    assert code == 1 and text.startswith("refused: "), text
    assert told(reload) == (0, "reloaded: generation 3\nidle_timeout 30s -> 40s\n")


def test_a_signal_during_the_start_is_not_lost(make_server):
    """It was, without a word: the configuration had been read, and the reload was refused to nobody."""
    server = make_server(workers=16)
    with start_verb(server, "start") as starting:
        pid_file = server.run_dir / "perdure.pid"
        os.kill(int(harness.wait_until(lambda: pid_file.exists() and pid_file.read_text(), "no pid")), signal.SIGHUP)
        assert told(starting)[0] == 0
    result = harness.wait_until(lambda: server.status()["last_result"], server.log)
    assert result["text"] == "identical, nothing to do\n" and result["by"].startswith("SIGHUP ")


# ---- a configuration that is not there, or not all of it ----

def break_it(server, how):
    server.config_path.unlink()
    if how == "directory":
        server.config_path.mkdir()
    elif how == "dangling link":
        server.config_path.symlink_to(server.directory / "nowhere")
    elif how == "unreadable":
        server.config_path.touch(mode=0)


@pytest.mark.parametrize("how, word", [
    ("removed", "No such file"), ("directory", "it is a directory"), ("dangling link", "No such file"),
    pytest.param("unreadable", "Permission denied", marks=pytest.mark.skipif(harness.IS_ROOT, reason="root may")),
])
def test_what_cannot_be_read_is_refused_and_what_runs_goes_on(server, how, word):
    break_it(server, how)
    for verb, code in (("reload", 1), ("diff", 2), ("restart", 1)):
        done = server.verb(verb, config=server.good_path)
        assert done.returncode == code
        assert done.stderr.startswith(f"refused: {server.config_path}: the configuration cannot be read: {word}"), done
    assert server.status()["generation"] == 1 and server.get("/").status == 403
    if how == "directory":
        server.config_path.rmdir()
    else:
        server.config_path.unlink(missing_ok=True)
    server.write_config(idle_timeout="30s")
    assert server.verb("reload").returncode == 0


def test_half_a_file_that_is_being_written_is_refused(server):
    """Half of a configuration may be a good one, of half the sites."""
    whole = server.config_text() + f'site "a.example" {{ root = "{server.root}" }}\n'
    with open(server.config_path, "w", encoding="utf-8") as file:
        file.write(server.config_text())
        file.flush()
        for verb, code in (("reload", 1), ("diff", 2)):
            done = server.verb(verb, config=server.good_path)
            assert done.returncode == code and "open for writing" in done.stderr, done
        assert server.status()["generation"] == 1
        file.write(whole[len(server.config_text()):])
    done = server.verb("reload")
    assert done.returncode == 0 and '+ site "a.example"' in done.stdout


def test_a_file_that_is_being_written_is_waited_for(server):
    with open(server.config_path, "w", encoding="utf-8") as file:
        file.write(server.config_text())
        file.flush()
        reload = subprocess.Popen(server.command("reload"), stdout=subprocess.PIPE, text=True)
        harness.wait_until(lambda: harness.processes_of(server.config_path, server.token), "nobody reads it")
        file.write(f'site "a.example" {{ root = "{server.root}" }}\n')
    code, text = told(reload)
    assert code == 0 and '+ site "a.example"' in text
