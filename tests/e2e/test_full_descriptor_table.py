"""Out of descriptors: accept rests with one warning, who is there is served, and it resumes by itself."""
import contextlib
import os

import pytest

import harness

NOBODY = 65534
DESCRIPTORS = 100


class PoorServer(harness.Server):
    """Started by an ordinary user whose hard limit of descriptors is low; root could raise it."""

    def command(self, verb, *arguments):
        identity = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if harness.IS_ROOT else []
        limit = ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"]
        return identity + limit + [self.copy_programs(), *super().command(verb, *arguments)[1:]]


@pytest.fixture
def poor_server():
    server = PoorServer(workers=1)
    (server.root / "a.txt").write_bytes(b"a")
    if harness.IS_ROOT:
        os.chown(server.directory, NOBODY, NOBODY)
    yield server.start()
    server.close()


def test_accept_rests_and_existing_clients_are_served(poor_server):
    pid = poor_server.workers()[0]["pid"]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(poor_server.connect()) for _ in range(10)]
        for client in clients:
            assert client.get("/a.txt").status == 200
        with contextlib.ExitStack() as crowd:
            late = [crowd.enter_context(poor_server.connect()) for _ in range(2 * DESCRIPTORS)]
            harness.wait_until(lambda: "accepting: resting" in poor_server.log(), poor_server.log)
            for _ in range(5):
                for client in clients:
                    assert client.get("/a.txt").status == 200
            assert len(late) == 2 * DESCRIPTORS
        assert poor_server.get("/a.txt").status == 200
        for client in clients:
            assert client.get("/a.txt").status == 200
    assert poor_server.log().count("accepting: resting") == 1
    assert poor_server.workers()[0]["pid"] == pid
