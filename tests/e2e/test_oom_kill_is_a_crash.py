"""The memory cgroup's OOM killer takes a worker: its request is the suspect, everybody else's connection goes on."""
import os
import pathlib

import pytest

from test_poisoned_request_costs_only_itself import TargetServer

LIMIT_BYTES = 96 * 1024 * 1024


class MemoryCgroup:
    """A cgroup of the test's own with a limit of memory, version 1 or 2."""

    def __init__(self):
        one = pathlib.Path("/sys/fs/cgroup/memory")
        self.is_version_1 = (one / "memory.limit_in_bytes").exists()
        self.path = (one if self.is_version_1 else pathlib.Path("/sys/fs/cgroup")) / f"perdure-test-{os.getpid()}"
        self.path.mkdir()
        limit = "memory.limit_in_bytes" if self.is_version_1 else "memory.max"
        try:
            (self.path / limit).write_text(str(LIMIT_BYTES))
        except OSError:
            self.remove()
            raise

    def take(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid))

    def remove(self):
        self.path.rmdir()


@pytest.fixture
def cgroup():
    try:
        group = MemoryCgroup()
    except OSError as fault:
        pytest.skip(f"no memory cgroup can be made here: {fault}")
    yield group
    group.remove()


def test_the_request_that_ate_the_memory_gets_500_and_a_neighbour_notices_nothing(cgroup):
    server = TargetServer(workers=1)
    try:
        (server.root / "index.html").write_text("still here")
        server.start()
        # Children are born into their parent's group; the worker that serves now is moved by hand.
        cgroup.take(server.supervisor_pid())
        for worker in server.workers():
            cgroup.take(worker["pid"])
            cgroup.take(worker["keeper_pid"])
        with server.connect() as neighbour:
            assert neighbour.get("/").body == b"still here"
            assert server.get("/.test/eat").status == 500
            assert neighbour.get("/").body == b"still here"
        assert server.successions()["crash"] == 2
        assert "the OOM killer (signal 9)" in server.log()
        assert "GET /.test/eat HTTP/1.1" in server.log()
    finally:
        server.close()
