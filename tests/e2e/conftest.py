"""conftest.py — the fixtures of the end-to-end tests: servers that are stopped and looked over when a test ends."""
import contextlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import faults  # noqa: E402  (found by the line above)
import harness  # noqa: E402
import systemd  # noqa: E402
import systemd_machine  # noqa: E402
import tcp  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "sanitized: about conversations, not about speed: also run under the sanitizers")


def pytest_sessionstart(session):
    missing = [name for name in ("perdure", "perdure-worker", "judge") if not (harness.BUILD / name).exists()]
    if missing and not session.config.option.collectonly:
        print(f"not built in {harness.BUILD}: {' '.join(missing)}; run: make all judges", file=sys.stderr)


@pytest.fixture
def own_network():
    """To be asked for before any server."""
    with tcp.own_network():
        yield


@contextlib.contextmanager
def making(kind):
    """make(workers=2, key=value …) → a server of KIND, not started yet; several if called again."""
    servers = []

    def make(**options):
        server = kind(**options)
        servers.append(server)
        return server

    yield make
    wrong = []
    for server in servers:
        try:
            server.close()
        except AssertionError as fault:
            wrong.append(str(fault))
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def make_server():
    with making(harness.Server) as make:
        yield make


@pytest.fixture
def make_faulty_server():
    """Of the programs whose calls fail on order."""
    with making(faults.FaultyServer) as make:
        yield make


@pytest.fixture
def server(make_server):
    """A Server that serves an empty directory, started, with two workers."""
    return make_server().start()


@pytest.fixture
def loaded_server(make_server):
    """make(**keys) → a Server, started, that serves the files the judge asks for."""
    def make(**options):
        server = make_server(**options)
        harness.fill_corpus(server.root)
        return server.start()

    return make


@pytest.fixture
def machine():
    """A booted systemd with perdure installed, and files to serve."""
    try:
        made = systemd_machine.Machine()
    except systemd.Refused as fault:
        pytest.skip(str(fault))
    with made:
        made.install()
        yield made
        print(made.journal())
        for words in harness.NEVER_IN_A_LOG:
            assert words not in made.journal()
