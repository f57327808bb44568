"""Nothing outside a site's root is ever served: whatever the path says, and whoever moves links about meanwhile."""
import contextlib
import ctypes
import itertools
import os
import threading
import time

import pytest

import harness

pytestmark = pytest.mark.sanitized

SECRET = b"secret: lies beside the root\n"
AT_FDCWD, RENAME_EXCHANGE = -100, 2
RACE_S = 2

DOTS = ["..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae", "%f0%80%80%ae%f0%80%80%ae",
        "%uff0e%uff0e", "%u002e%u002e", "..%00", "..%09", "..%20", "..;", "...", "....", ".%00.", "..%c0%80",
        "%2e%2e%2f..", "%ef%bc%8e%ef%bc%8e", "\xc0\xae\xc0\xae", "..%3b", "..%3f", "..%23", "./.."]
SLASHES = ["/", "%2f", "%2F", "%5c", "\\", "%252f", "%c0%af", "%e0%80%af", "%c1%9c", "//", "/./", "%u2215", "%u2216",
           "%ef%bc%8f", "/%2f", "\xc0\xaf"]
BEFORE = ["/", "//", "/sub/", "/sub/deeper/", "/nothing/", "/link/", "/a.txt/", "http://a.example/"]
WANTED = ["secret.txt", "etc/passwd"]


def targets():
    """Each way to say "..", with each way to say a slash, from here and there, to a file that is there."""
    for dots, slash, before in itertools.product(DOTS, SLASHES, BEFORE):
        for depth, wanted in ((1, WANTED[0]), (2, WANTED[0]), (12, WANTED[1])):
            yield before + (dots + slash) * depth + wanted.replace("/", slash)
    for wanted in WANTED:
        yield from (f"/{wanted}%00.html", f"/sub/..%00/../../{wanted}", f"/{wanted}", f"//{wanted}", f"///{wanted}",
                    f"/proc/self/root/{wanted}", f"file:///{wanted}", f"/..;/{wanted}", f"/%2e%2e//{wanted}",
                    f"/sub/link/../../{wanted}", f"/up/{wanted}", f"/up/../{wanted}", f"/twice/{wanted}",
                    f"/root/{wanted}", f"/..\\{wanted}", f"/sub/..\\..\\{wanted}")


@pytest.fixture
def rooted(make_server):
    """A Server, not started, with a secret beside its root; it believes nothing that it has found before."""
    server = make_server(workers=1, file_cache_valid="0s")
    (server.directory / "secret.txt").write_bytes(SECRET)
    (server.root / "sub" / "deeper").mkdir(parents=True)
    (server.root / "a.txt").write_bytes(b"public\n")
    (server.root / "sub" / "a.txt").write_bytes(b"public\n")
    for name, target in (("link", "sub"), ("up", ".."), ("root", "/"), ("out.txt", "../secret.txt"), ("twice", "up")):
        (server.root / name).symlink_to(target)
    return server


class Asker:
    """Asks on one connection for as long as it is kept, and then on another."""

    def __init__(self, server):
        self.server, self.client, self.statuses = server, None, {}

    def ask(self, target):
        if self.client is None:
            self.client = self.server.connect()
        response = self.client.get(target)
        self.statuses[response.status] = self.statuses.get(response.status, 0) + 1
        if response["Connection"] == "close":
            self.close()
        return response

    def close(self):
        if self.client is not None:
            self.client.close()
            self.client = None


@pytest.fixture
def ask(rooted):
    rooted.start()
    asker = Asker(rooted)
    yield asker
    asker.close()


def assert_public(response, target):
    assert b"secret: " not in response.body and b"root:x:0" not in response.body, f"{target} is the secret"


def test_no_spelling_of_a_path_leads_out(ask):
    for target in targets():
        response = ask.ask(target)
        assert_public(response, target)
        assert response.status in (301, 400, 403, 404), f"{target}: {response.status}, {response.body!r}"
    assert sum(ask.statuses.values()) > 9000, ask.statuses
    assert ask.statuses[400] > 500 and ask.statuses[404] > 500, ask.statuses


def test_dots_that_stay_inside_lead_where_they_say(ask):
    for target in ("/sub/../a.txt", "/sub/deeper/../../a.txt", "/sub/%2e%2e/a.txt", "/./sub/./a.txt", "/link/a.txt",
                   "//sub//a.txt"):
        assert ask.ask(target).body == b"public\n", target


# ---- races ----

def exchange(one, other):
    """Swap two names at once."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), f"renameat2 {one} {other}")


@contextlib.contextmanager
def going_on(*moves):
    """Each of the MOVES is made again and again, by a thread of its own, until the context is left. Yields counts."""
    over, counts, faults = threading.Event(), [0] * len(moves), []

    def run(number, move):
        try:
            while not over.is_set():
                move()
                counts[number] += 1
        except OSError as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(moves)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not faults, faults


def race(ask, targets, *moves):
    """Ask while the MOVES go on, until all of it has happened often. Returns the statuses."""
    deadline = time.monotonic() + harness.PATIENCE_S * 2
    enough = time.monotonic() + RACE_S
    with going_on(*moves) as counts:
        while time.monotonic() < enough or min(counts) < 200 or len(ask.statuses) < 2:
            assert time.monotonic() < deadline, f"{counts} moves, {ask.statuses} answers"
            for target in targets:
                assert_public(ask.ask(target), target)
    return ask.statuses


def test_a_directory_that_becomes_a_link_outside_while_it_is_asked_for(rooted, ask):
    """The name is a directory with a public file, or a link to one with the secret, never for long."""
    outside = rooted.directory / "outside"
    outside.mkdir()
    (outside / "a.txt").write_bytes(SECRET)
    (rooted.root / "door").mkdir()
    (rooted.root / "door" / "a.txt").write_bytes(b"public\n")
    (rooted.root / "other").symlink_to(outside)
    statuses = race(ask, ["/door/a.txt", "/other/a.txt"], lambda: exchange(rooted.root / "door", rooted.root / "other"))
    assert set(statuses) == {200, 404}, statuses


def test_a_file_that_becomes_a_link_outside_while_it_is_asked_for(rooted, ask):
    file, link = rooted.root / "file.txt", rooted.root / "link.txt"
    file.write_bytes(b"public\n")
    link.symlink_to("../secret.txt")
    statuses = race(ask, ["/file.txt", "/link.txt"], lambda: exchange(file, link))
    assert set(statuses) == {200, 404}, statuses


def test_a_directory_that_is_moved_out_of_the_root_under_a_link_with_dots(rooted, ask):
    """What "../.." in a link leads to depends on where its directory is, and that is moved out of the root and back. The
    way is long, for who moves it to be in time."""
    inside, outside = rooted.root / "one" / "two", rooted.directory / "two"
    (inside / "three").mkdir(parents=True)
    (inside / "three" / "up.txt").symlink_to("../three/" * 200 + "../../secret.txt")
    (rooted.root / "one" / "secret.txt").write_bytes(b"public\n")
    (rooted.root / "one" / "way").symlink_to("two/three/up.txt")

    def move():
        os.rename(inside, outside)
        os.rename(outside, inside)

    race(ask, ["/one/two/three/up.txt", "/one/way"], move)


def test_listings_show_nothing_of_what_is_outside(rooted, ask):
    rooted.site["listing"] = True
    assert rooted.reload(workers=2).returncode == 0
    outside = rooted.directory / "outside"
    outside.mkdir()
    (outside / "secret: name.txt").write_bytes(SECRET)
    (rooted.root / "door").mkdir()
    (rooted.root / "other").symlink_to(outside)
    ask.close()
    statuses = race(ask, ["/door/", "/other/"], lambda: exchange(rooted.root / "door", rooted.root / "other"))
    assert set(statuses) == {200, 404}, statuses
