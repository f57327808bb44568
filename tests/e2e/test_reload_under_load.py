"""Reloads and restarts under load: no connection is closed, no byte is lost, nobody drains."""
import os
import random
import signal
import subprocess
import time

import harness

STORM = {"keepalive": 12, "close": 8, "idle": 100, "download": 2, "slow": 2, "pipeline": 8, "trickle": 8}


def test_fifty_reloads_under_load_are_not_noticed(loaded_server):
    server = loaded_server()
    with harness.Judge(server.address, server.root, **STORM) as judge:
        for turn in range(50):
            server.site["headers"] = [f"X-Turn: {turn}"]
            done = server.reload(workers=2)
            assert done.returncode == 0, done.stderr
            assert server.get("/1.bin")["X-Turn"] == str(turn)
    assert judge.figures["responses"] > 1000
    assert server.status()["generation"] == 51
    assert len(server.wait_serving()) == 2


def test_reloads_that_change_the_number_of_workers_are_not_noticed(loaded_server):
    server = loaded_server(workers=1)
    with harness.Judge(server.address, server.root, **STORM):
        for count in (3, 2, 4, 1, 2):
            done = server.reload(workers=count)
            assert done.returncode == 0, done.stderr
            harness.wait_until(lambda: len(server.wait_serving()) == count, server.log)
    assert server.status()["lost_connections"] == 0


def test_refused_reloads_are_not_noticed(loaded_server):
    server = loaded_server()
    with harness.Judge(server.address, server.root, **STORM):
        for _ in range(20):
            server.write_config(text="nonsense\n" + server.config_text())
            assert server.verb("reload").returncode == 1
    server.write_config()
    assert server.status()["generation"] == 1


def test_kills_during_reloads_are_not_noticed(loaded_server):
    """Whoever succeeds whom: the supervisor is rolling while its workers are shot."""
    server = loaded_server()
    with harness.Judge(server.address, server.root, **STORM):
        for turn in range(15):
            server.write_config(idle_timeout=f"{60 + turn}s")
            os.kill(server.supervisor_pid(), signal.SIGHUP)
            for worker in server.workers():
                harness.kill(worker["pid"], signal.SIGKILL)  # or it has just retired
            harness.wait_until(lambda: server.is_serving() and not server.status()["supervisor"]["rolling"]
                               and server.status()["generation"] > turn + 1, server.log)
    assert server.status()["lost_connections"] == 0


def test_the_death_of_a_keeper_while_its_worker_retires_is_not_noticed(loaded_server):
    """Once, a worker that retired exited at once: until its successor was forked, its keeper held everything alone."""
    server = loaded_server(workers=1)
    chance = random.Random(7)
    with harness.Judge(server.address, server.root, **STORM):
        for turn in range(60):
            worker = server.wait_serving()[0]
            server.write_config(idle_timeout=f"{60 + turn}s")
            os.kill(server.supervisor_pid(), signal.SIGHUP)
            instant = time.monotonic() + chance.random() * 0.03
            while time.monotonic() < instant and harness.proc_status(worker["pid"]).get("State", "Z")[0] != "Z":
                pass  # a sleep would be too long; a retired worker that is dead has its keeper alone
            harness.kill(worker["keeper_pid" if turn % 3 else "pid"], signal.SIGKILL)  # or it has left already
            harness.wait_until(lambda: is_done(server, turn), server.log)
    assert server.status()["lost_connections"] == 0


def is_done(server, turn):
    status = server.status()
    return server.is_serving() and not status["supervisor"]["rolling"] and status["generation"] > turn + 1


def test_many_who_ask_at_once_are_all_answered_and_not_noticed(loaded_server):
    """Reloads, restarts, diffs and signals across each other, while the file changes."""
    server = loaded_server()
    verbs = ["reload", "diff", "reload", "restart", "reload"] * 4
    with harness.Judge(server.address, server.root, **STORM):
        for turn in range(5):
            server.write_config(idle_timeout=f"{60 + turn}s")
            callers = [subprocess.Popen(server.command(verb), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True) for verb in verbs]
            os.kill(server.supervisor_pid(), signal.SIGHUP)
            for verb, caller in zip(verbs, callers):
                said = caller.communicate(timeout=harness.PATIENCE_S * 3)[0]
                assert caller.returncode in ((0, 1) if verb == "diff" else (0,)), f"{verb}: {said}"
            assert server.verb("diff").stdout == "identical, nothing to do\n"
    assert server.status()["lost_connections"] == 0


def test_reopening_logs_under_load_is_not_noticed(loaded_server):
    server = loaded_server()
    server.write_config(access_log=str(server.access_log))
    assert server.verb("reload").returncode == 0
    with harness.Judge(server.address, server.root, **STORM):
        for turn in range(10):
            server.access_log.rename(server.directory / f"access.log.{turn}")
            assert server.verb("reopen").returncode == 0
