"""Who set NOTIFY_SOCKET is told, by sd_notify(3)'s datagrams, how the service is; no systemd is needed for that."""
import socket
import time

import harness
import pytest


class Manager:
    """Hears what a service says."""

    def __init__(self, directory):
        self.path = directory / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(harness.PATIENCE_S)

    def hear(self):
        """The next notification: {variable: value}."""
        lines = self.socket.recv(65536).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)

    def hear_of(self, variable):
        """The next one that has VARIABLE, and how often WATCHDOG=1 was said before it."""
        fed = 0
        while variable not in (said := self.hear()):
            fed += said == {"WATCHDOG": "1"}
        return said, fed


@pytest.fixture
def managed(make_server):
    """run(**variables) → (a Server that runs under a Manager, with these in its environment; the Manager)."""
    managers = []

    def run(**variables):
        server = make_server()
        managers.append(Manager(server.directory))
        inherited = server.environment()
        server.environment = lambda: {**inherited, "NOTIFY_SOCKET": str(managers[-1].path), **variables}
        return server.run(), managers[-1]

    yield run
    for manager in managers:
        manager.socket.close()


def test_every_step_of_its_life_is_told(managed):
    server, manager = managed()
    said = manager.hear()
    assert said == {"READY": "1", "MAINPID": str(server.foreground.pid), "STATUS": f"serving on {server.address}"}

    before_us = time.monotonic_ns() // 1000
    server.reload(idle_timeout="30s")
    said = manager.hear()
    assert said["RELOADING"] == "1" and before_us <= int(said["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    said = manager.hear()
    assert said["READY"] == "1" and said["STATUS"].endswith("idle_timeout 65s -> 30s")

    server.write_config(text="nonsense\n" + server.config_text())
    server.verb("reload", config=server.config_path)
    assert "RELOADING" in manager.hear()
    said = manager.hear()
    assert said["READY"] == "1" and said["STATUS"].startswith(f"refused: {server.config_path}:1: ")

    server.write_config()
    assert server.stop().returncode == 0
    assert manager.hear() == {"STOPPING": "1", "STATUS": "stopping"}


def test_the_watchdog_is_fed_also_after_a_restart(managed):
    server, manager = managed(WATCHDOG_USEC="400000")
    for _ in range(5):
        manager.hear_of("WATCHDOG")
    assert server.verb("restart").returncode == 0
    said, _ = manager.hear_of("RELOADING")
    said, _ = manager.hear_of("READY")
    assert said["MAINPID"] == str(server.foreground.pid)
    for _ in range(5):
        manager.hear_of("WATCHDOG")


def test_the_watchdog_of_another_process_is_not_fed(managed):
    server, manager = managed(WATCHDOG_USEC="1000", WATCHDOG_PID="1")
    assert server.reload(idle_timeout="30s").returncode == 0
    assert server.stop().returncode == 0
    assert manager.hear_of("STOPPING")[1] == 0
