"""The verbs while the supervisor is killed: each gets the right answer, of whoever is the supervisor then.

The supervisor is stopped first: what the verb asks lies in the control socket, unread, when it is killed.
"""
import json
import os
import random
import signal
import subprocess
import threading
import time

import pytest

import harness
from test_kill_supervisor import begin, kill_supervisor, processes, result, wait_whole


def waits_for_an_answer(caller):
    """It sleeps until its socket has a packet."""
    return b"skb_wait" in harness.read_proc(caller.pid, "wchan")


def killed_meanwhile(server, *words, after_s=None):
    """Exit code and output of the verb whose supervisor is killed before it has read the question, or AFTER_S later."""
    pid = server.supervisor_pid()
    os.kill(pid, signal.SIGSTOP)
    harness.wait_until(lambda: harness.proc_status(pid)["State"][0] == "T", "the supervisor goes on")
    caller = begin(server, *words)
    harness.wait_until(lambda: waits_for_an_answer(caller), "the verb does not ask")
    if after_s is not None:
        until = time.monotonic() + after_s
        os.kill(pid, signal.SIGCONT)
        while time.monotonic() < until:
            pass
    os.kill(pid, signal.SIGKILL)
    return result(caller)


def test_status_is_told_by_the_next_one(server):
    former, before = server.supervisor_pid(), processes(server)
    code, said = killed_meanwhile(server, "status", "--json")
    status = json.loads(said)
    assert code == 0 and status["supervisor"]["pid"] != former and status["supervisor"]["takeovers"] == 1
    assert {w["slot"]: w["pid"] for w in status["workers"]} == {slot: pair[0] for slot, pair in before.items()}


def test_diff_is_told_by_the_next_one(server):
    server.write_config(idle_timeout="44s")
    code, said = killed_meanwhile(server, "diff")
    assert code == 1 and said == "idle_timeout 65s -> 44s\n", said
    assert server.status()["generation"] == 1


def test_reload_says_what_changed(server):
    server.write_config(idle_timeout="44s")
    code, said = killed_meanwhile(server, "reload")
    assert code == 0 and said == "reloaded: generation 2\nidle_timeout 65s -> 44s\n", said


def test_a_reload_that_is_refused_says_why(server):
    server.write_config("nonsense = 7\n")
    code, said = result_with(server, "reload")
    assert code == 1 and "refused: " in said and "nonsense" in said, said


def result_with(server, verb):
    """The same with a configuration that does not load: the verb is told another file to find the run directory by."""
    pid = server.supervisor_pid()
    os.kill(pid, signal.SIGSTOP)
    words = server.command(verb)
    words[words.index("-c") + 1] = str(server.good_path)
    caller = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=server.environment())
    harness.wait_until(lambda: waits_for_an_answer(caller), "the verb does not ask")
    os.kill(pid, signal.SIGKILL)
    return result(caller)


def test_restart_is_done(server):
    before = processes(server)
    code, said = killed_meanwhile(server, "restart")
    assert code == 0 and said.startswith("restarted: generation 2"), said
    wait_whole(server)
    assert not set(before.values()) & set(processes(server).values())


def test_while_it_reads_the_question_and_answers_it(server):
    """Status was told after five seconds that nobody answers, or that the supervisor went; a reload that nothing was to
    do."""
    for turn in range(60):
        began = time.monotonic()
        code, said = killed_meanwhile(server, "status", after_s=turn * 10e-6)
        assert code == 0 and "is running" in said, (turn, said)
        assert time.monotonic() - began < 4, turn
    for turn in range(60):
        server.write_config(idle_timeout=f"{2001 + turn}ms")
        code, said = killed_meanwhile(server, "reload", after_s=turn * 10e-6 if turn < 40 else turn * 0.3e-3)
        assert code == 0 and f"-> {2001 + turn}ms" in said, (turn, said)


@pytest.mark.parametrize("arguments", [(), ("--now",)], ids=["gracefully", "now"])
def test_stop_leaves_nobody(server, arguments):
    code, said = killed_meanwhile(server, "stop", *arguments)
    assert code == 0 and said == "perdure: stopped\n", said
    assert not harness.processes_of(server.directory, server.token)


def test_reopen_is_done(make_server):
    server = make_server()
    server.write_config(access_log=str(server.access_log))
    server.start()
    server.access_log.rename(server.access_log.with_suffix(".1"))
    code, said = killed_meanwhile(server, "reopen")
    assert code == 0 and said == "log files reopened\n", said
    assert server.access_log.exists()


def test_when_nobody_takes_over_that_is_said(server):
    """The supervisor and its keeper."""
    status = server.status()
    pid, keeper = status["supervisor"]["pid"], status["supervisor"]["keeper_pid"]
    for one in (pid, keeper):
        os.kill(one, signal.SIGSTOP)
    caller = begin(server, "reload")
    harness.wait_until(lambda: waits_for_an_answer(caller), "the verb does not ask")
    for one in (keeper, pid):
        os.kill(one, signal.SIGKILL)
    code, said = result(caller)
    assert code == 1 and ("serve on without one" in said or "went before it answered" in said), said


def test_whenever_it_dies_every_verb_tells_the_truth(loaded_server):
    """Kills at random instants, under reloads that each change something: none is told that nothing was to do, and
    none that nobody answered."""
    server = loaded_server(workers=2)
    chance, over, wrong = random.Random(5), threading.Event(), []

    def look():
        while not over.is_set():
            for words, good in (("status",), {0}), (("diff",), {0, 1}):
                done = server.verb(*words)
                if done.returncode not in good:
                    wrong.append((words, done.returncode, done.stdout, done.stderr))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for turn in range(30):
            server.write_config(idle_timeout=f"{2001 + turn}ms")
            caller = begin(server, "reload")
            until = time.monotonic() + chance.random() * 0.03
            while time.monotonic() < until:
                pass
            kill_supervisor(server)
            code, said = result(caller)
            assert code == 0 and f"-> {2001 + turn}ms" in said, (turn, said)
    finally:
        over.set()
        looking.join()
    assert not wrong, wrong
