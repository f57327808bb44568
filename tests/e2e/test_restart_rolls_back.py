"""A restart onto programs that cannot live is put back on those before; the caller is told why, and no client notices."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import threading

import pytest

import crashing_supervisor
import harness
import impostor

STORM = {"keepalive": 12, "close": 8, "idle": 50, "download": 2, "pipeline": 4}

@pytest.fixture
def replaceable(make_server):
    """A server under load whose programs may be replaced; afterwards, the programs before must serve."""
    server = make_server(ready_timeout="1s")
    harness.fill_corpus(server.root)
    program = pathlib.Path(server.copy_programs())
    server.program = program
    done = verb(server, "start")
    assert done.returncode == 0, done.stderr
    server.wait_serving()
    with harness.Judge(server.address, server.root, **STORM):
        yield server
        harness.wait_until(server.is_serving, server.log)
        status = server.status()
        assert status["generation"] == 1 and status["lost_connections"] == 0
        assert status["last_result"]["verb"] == "restart" and status["last_result"]["exit_code"] == 1
        for name in ("perdure", "perdure-worker"):
            replace(server, name, harness.BUILD / name)
        done = verb(server, "restart")
        assert done.returncode == 0, done.stdout + done.stderr
    assert all(w["generation"] == server.status()["generation"] for w in server.wait_serving())


def verb(server, name):
    words = server.command(name)
    return subprocess.run([str(server.program), *words[1:]], capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL, env=server.environment())


def replace(server, name, source):
    """As a package manager does: a new file is renamed over the old."""
    fresh = server.program.parent / f"{name}.new"
    shutil.copy2(source, fresh)
    fresh.rename(server.program.parent / name)


def assert_refused(server, reason):
    done = verb(server, "restart")
    assert done.returncode == 1, done.stdout + done.stderr
    assert reason in done.stderr, done.stderr
    assert reason in server.verb("status").stdout
    return done


DEEDS = pytest.mark.parametrize("deed, reason", [
    ("raise(SIGABRT)", "died before it was ready: signal 6 (SIGABRT)"),
    ("return 3", "died before it was ready: exit 3"),
    ("for (;;) pause()", "was not ready within ready_timeout"),
], ids=["crashes at start", "exits at start", "never reports ready"])


@DEEDS
def test_a_worker_program_that_cannot_get_ready_is_not_tried_on_clients(replaceable, deed, reason):
    """It is seen at the rehearsal: the workers are those from before, and so is the supervisor's image."""
    before, images = [worker["pid"] for worker in replaceable.workers()], replaceable.status()["supervisor"]["images"]
    impostor.install(replaceable.program, deed)
    done = assert_refused(replaceable, reason)
    assert "a worker of the new program " in done.stderr
    assert [worker["pid"] for worker in replaceable.workers()] == before
    assert replaceable.status()["supervisor"]["images"] == images
    harness.wait_until(lambda: len(of_workers(replaceable)) == 2 * len(before), lambda: of_workers(replaceable))


@DEEDS
def test_a_worker_program_that_cannot_get_ready_after_its_rehearsal(replaceable, deed, reason):
    impostor.install(replaceable.program, deed, rehearses=True)
    done = assert_refused(replaceable, reason)
    assert "generation 2 is given up, generation 1 serves on" in done.stderr


def of_workers(server):
    """The processes of workers and their keepers."""
    return {pid: words for pid, words in harness.processes_of(server.directory, server.token).items()
            if words.startswith(("perdure: worker", "perdure: keeper ")) and "supervisor" not in words}


def test_a_worker_program_that_cannot_be_executed(replaceable):
    (replaceable.program.parent / "perdure-worker").chmod(0o644)
    assert_refused(replaceable, "executable")


def test_a_worker_program_that_is_none(replaceable):
    script = replaceable.directory / "script"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    replace(replaceable, "perdure-worker", script)
    assert_refused(replaceable, "perdure-worker: ")


def test_a_worker_program_that_crashes_after_some_requests(replaceable):
    """The new one has a target that the one before has not, and somebody asks for it all the time."""
    over = threading.Event()

    def ask():
        while not over.is_set():
            with contextlib.suppress(OSError, AssertionError):
                with replaceable.connect() as client:
                    client.get("/.test/crash")

    replace(replaceable, "perdure-worker", harness.BUILD / "targets" / "perdure-worker")
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert_refused(replaceable, "its workers keep dying")
    finally:
        over.set()
        asking.join()


def test_a_supervisor_program_that_dies_before_it_has_taken_over(replaceable):
    former = replaceable.supervisor_pid()
    harness.replace_program(replaceable.program, "exec $real --contract", "exit 7")
    words = replaceable.command("restart")
    real = str(harness.BUILD / "perdure")
    done = subprocess.run([real, *words[1:]], capture_output=True, text=True, timeout=60, check=False,
                          env=replaceable.environment())
    assert done.returncode == 1 and "the new supervisor program died before it had taken over" in done.stderr, done
    assert replaceable.supervisor_pid() != former


def program_of(pid):
    facts = os.stat(f"/proc/{pid}/exe")
    return facts.st_dev, facts.st_ino


def restart_by_another_program(server):
    """The program in place of ours may not live for long enough to ask by it."""
    words = server.command("restart")
    return subprocess.run([str(harness.BUILD / "perdure"), *words[1:]], capture_output=True, text=True, timeout=60,
                          check=False, env=server.environment())


def assert_former_program(server, former, reason):
    """The supervisor's program is the one before the restart, and so is the next one's."""
    harness.wait_until(lambda: program_of(server.supervisor_pid()) == former and server.is_serving(), server.log)
    assert reason in server.verb("status").stdout
    pid = server.supervisor_pid()
    os.kill(pid, 9)
    harness.wait_until(lambda: server.supervisor_pid() not in (0, pid) and server.is_serving(), server.log)
    assert program_of(server.supervisor_pid()) == former


@pytest.mark.parametrize("after_ms", [1, 20, 300])
def test_a_supervisor_program_that_takes_over_and_dies_again_and_again(replaceable, after_ms):
    former = program_of(replaceable.supervisor_pid())
    crashing_supervisor.install(replaceable.program, after_ms)
    done = restart_by_another_program(replaceable)
    assert done.returncode == 1 and "the new supervisor program " in done.stderr, done
    assert_former_program(replaceable, former, "the new supervisor program ")


def test_a_supervisor_program_that_dies_again_and_again_after_the_restart_was_accepted(replaceable):
    former = program_of(replaceable.supervisor_pid())
    crashing_supervisor.install(replaceable.program, 3000)
    done = restart_by_another_program(replaceable)
    assert done.returncode == 0, done
    harness.wait_until(lambda: "is given up after its roll" in replaceable.log(), replaceable.log, 60)
    assert_former_program(replaceable, former, "the new supervisor program keeps dying")


def test_with_the_workers_program_the_supervisors_is_put_back_too(replaceable):
    former = program_of(replaceable.supervisor_pid())
    replace(replaceable, "perdure", harness.BUILD / "perdure")
    impostor.install(replaceable.program, "raise(SIGABRT)", rehearses=True)
    assert_refused(replaceable, "died before it was ready")
    assert_former_program(replaceable, former, "died before it was ready")
