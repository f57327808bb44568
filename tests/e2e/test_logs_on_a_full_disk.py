"""A log that cannot be written stops nobody: lines wait, then are dropped and counted, and it is said once."""
import os
import pathlib
import re

import pytest

import faults
import harness

ROOM = 1024 * 1024


class CrampedServer(harness.Server):
    """Its logs are on a small file system that nobody else sees; LOGS is the way to it."""

    def command(self, verb, *arguments):
        plain = super().command(verb, *arguments)
        if verb != "start":
            return plain
        mount = f"mount -t tmpfs -o size={ROOM},mode=755 none {self.directory}/logs && exec \"$@\""
        return ["unshare", "--mount", "--propagation=private", "sh", "-c", mount, "sh", *plain]

    @property
    def logs(self):
        return pathlib.Path(f"/proc/{self.supervisor_pid()}/root{self.directory}/logs")

    def log(self):
        try:
            return (self.logs / "error.log").read_text(errors="replace")
        except (OSError, TypeError, AttributeError):
            return ""

    def fill(self):
        """Until nothing more fits."""
        with open(self.logs / "ballast", "ab", buffering=0) as ballast:
            for size in (65536, 4096, 1):
                try:
                    while ballast.write(b"x" * size):
                        pass
                except OSError:
                    pass

    def make_room(self):
        (self.logs / "ballast").unlink()


@pytest.fixture
def cramped():
    if not harness.IS_ROOT:
        pytest.skip("only root mounts")
    server = CrampedServer(workers=1)
    (server.directory / "logs").mkdir()
    server.write_config(error_log=f"{server.directory}/logs/error.log", access_log=f"{server.directory}/logs/access.log")
    (server.root / "a.txt").write_bytes(b"a")
    yield server.start()
    server.close()


def access_lines(server):
    return (server.logs / "access.log").read_text().splitlines()


@pytest.mark.sanitized
def test_lines_of_the_access_log_wait_for_room(cramped):
    cramped.fill()
    with cramped.connect() as client:
        for number in range(100):
            assert client.get(f"/a.txt?{number}").status == 200
        assert len(access_lines(cramped)) < 100
        cramped.make_room()
        harness.wait_until(lambda: len(access_lines(cramped)) == 100, lambda: access_lines(cramped)[-3:])
    found = [re.search(r"\?(\d+) HTTP", line).group(1) for line in access_lines(cramped)]
    assert found == [str(number) for number in range(100)]


@pytest.mark.sanitized
def test_they_wait_across_deaths(cramped):
    cramped.fill()
    with cramped.connect() as client:
        for number in range(30):
            assert client.get(f"/a.txt?{number}").status == 200
            if number % 10 == 5:
                pid = cramped.kill_worker()
                cramped.wait_succeeded(0, pid)
    cramped.make_room()
    harness.wait_until(lambda: len(access_lines(cramped)) == 30, lambda: access_lines(cramped)[-3:])


@pytest.mark.sanitized
def test_what_finds_no_room_at_all_is_counted_and_said_once(cramped):
    cramped.fill()
    many = 9000 if not harness.SANITIZED else 4000
    with cramped.connect() as client:
        for first in range(0, many, 50):
            client.send(b"".join(b"GET /a.txt?%05d HTTP/1.1\r\nHost: a\r\nUser-Agent: %s\r\n\r\n" % (first + i, b"u" * 50)
                                 for i in range(50)))
            for _ in range(50):
                assert client.read().status == 200
    cramped.make_room()
    with cramped.connect() as client:
        client.get("/a.txt")
    harness.wait_until(lambda: "written again" in cramped.log(), cramped.log)
    lost = int(re.search(r"access log: written again; (\d+) lines were lost", cramped.log()).group(1))
    assert 0 < lost < many
    assert cramped.log().count("written again") == 1
    assert cramped.log().count("lines are being dropped") == 1


# ---- partial and interrupted writes ----

faulty = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers have a malloc of their own")


@faulty
@pytest.mark.parametrize("error", [faults.HALF, "EINTR", "EAGAIN"])
def test_halves_of_lines_find_each_other(make_faulty_server, error):
    server = make_faulty_server(workers=1)
    server.write_config(access_log=str(server.access_log))
    server.start()
    rule = server.faults.fail("worker", "write", error, times=0, step=2)
    with server.connect() as client:
        for number in range(40):
            client.get(f"/{number}")
        pid = server.kill_worker()
        server.wait_succeeded(0, pid)
        for number in range(40, 80):
            client.get(f"/{number}")
    harness.wait_until(lambda: server.access_log.read_text().count("\n") >= 80, server.log)
    rule.lift()
    assert rule.failed > 10
    found = re.findall(r'"GET /(\d+) HTTP/1.1" 404 ', server.access_log.read_text())
    assert found == [str(number) for number in range(80)]


@faulty
def test_a_stop_says_what_is_lost_with_it(make_faulty_server):
    server = make_faulty_server(workers=1)
    server.write_config(access_log=str(server.access_log))
    server.start()
    with server.connect() as client:
        client.get("/a")
        harness.wait_until(lambda: server.access_log.read_text().count("\n") == 1, "no line")
    server.config_path.chmod(0o644)
    server.access_log.unlink()
    os.symlink("/dev/full", server.access_log)
    assert server.verb("reopen").returncode == 0
    with server.connect() as client:
        for _ in range(3):
            client.get("/a")
    server.stop()
    assert "3 lines are lost with this worker" in server.log()
    assert server.log().count("access log: cannot be written: No space left on device; lines wait") == 1


@faulty
def test_lines_of_the_error_log_that_were_lost_are_counted(make_faulty_server):
    """They were lost without a word."""
    server = make_faulty_server(workers=1)
    server.start()
    rule = server.faults.fail("supervisor", "write", "ENOSPC", times=0)
    for _ in range(3):
        pid = server.kill_worker()
        server.wait_succeeded(0, pid)
    rule.wait_failed(3)
    assert "succeeded" not in server.log()
    rule.lift()
    harness.wait_until(lambda: "lines of this log could not be written" in server.log(), server.log)
    assert server.log().count("lines of this log could not be written") == 1
