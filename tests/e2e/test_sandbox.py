"""A worker that was taken over finds nothing to take: each attempt is made from inside, by the programs of `make targets`."""
import os
import signal
import subprocess

import pytest

import harness
from harness import BUILD

pytestmark = pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers' own system calls are many: no seccomp there")


class Targets(harness.Server):
    def command(self, verb, *arguments):
        return [str(BUILD / "targets" / "perdure"), verb, "-c", str(self.config_path), *arguments]


@pytest.fixture
def targets(request):
    made = Targets(workers=2)
    (made.root / "index.html").write_bytes(b"here")
    made.start()
    yield made
    made.close()


def attempt(server, way):
    """The answer, and what the log says of it."""
    before = len(server.log())
    answer = server.get(f"/.test/try/{way}")
    return answer, server.log()[before:]


# ---- files ----

@pytest.mark.parametrize("way", ["openat2/etc/passwd", "openat2/proc/self/environ", "openat2/dev/null"])
def test_it_can_read_nothing_outside_the_roots(targets, way):
    """Files that everybody may read; /etc/shadow is refused to its user as well."""
    answer, log = attempt(targets, way)
    assert answer.status == 404
    assert f"refused: {way}: Permission denied" in log


@pytest.mark.parametrize("way", ["write", "truncate"])
def test_it_can_write_nothing_below_them(targets, way):
    """Though its user may."""
    victim = targets.root / "victim.txt"
    victim.write_bytes(b"whole")
    victim.chmod(0o666)
    _, log = attempt(targets, f"{way}{victim}")
    assert "refused: " in log and "Permission denied" in log
    assert victim.read_bytes() == b"whole"


def test_it_serves_what_is_below_them_through_links_too(targets):
    (targets.root / "a").mkdir()
    (targets.root / "a" / "b.txt").write_bytes(b"b")
    (targets.root / "link").symlink_to("a")
    for path in (targets.root / "a", targets.root / "a" / "b.txt"):
        path.chmod(0o755)
    assert targets.get("/link/b.txt").body == b"b"


# ---- system calls ----

def pid_for(server, whom):
    workers = server.wait_serving()
    return {"sibling": workers[1]["pid"], "keeper": workers[0]["keeper_pid"], "supervisor": server.supervisor_pid()}[whom]


@pytest.mark.parametrize("call, about", [
    ("openat", "/etc/passwd"), ("execve", "/bin/sh"), ("execveat", "/bin/sh"), ("socket", ""), ("bind", ""),
    ("kill", "sibling"), ("kill", "supervisor"), ("tgkill", "keeper"), ("ptrace", "keeper"),
    ("process_vm_writev", "keeper"), ("clone", ""), ("mmap", ""), ("rt_sigaction", ""), ("dup2", "/7"), ("pidfd_send_signal", "keeper")])
def test_a_system_call_that_it_has_no_need_of_ends_it(targets, call, about):
    way = call + (f"/{pid_for(targets, about)}" if about.isalpha() else about)
    with targets.connect() as neighbour:
        assert neighbour.get("/").body == b"here"
        answer, log = attempt(targets, way)
        assert answer.status == 500, "its request was in hand, twice"
        words = f"succeeded after a system call that the sandbox refused ({call})"
        harness.wait_until(lambda: targets.log().count(words) == 2, targets.log)
        assert "escaped" not in log and "refused: " not in log
        assert neighbour.get("/").body == b"here"
    deaths = [worker["last_death"] for worker in targets.workers() if worker["last_death"]]
    assert [(death["refused_call"], death["signal"]) for death in deaths] == [(call, signal.SIGSYS)]
    assert f"for the sandbox refused its system call {call}" in targets.verb("status").stdout
    for whom in ("sibling", "keeper", "supervisor"):
        assert harness.proc_status(pid_for(targets, whom))["State"][0] in "SR"


def keeper_channel(worker):
    """The number at which the keeper waits for orders: what its recvmsg(2) is about."""
    return int(harness.read_proc(worker["keeper_pid"], "syscall").split()[1], 16)


@pytest.mark.parametrize("call", ["close", "dup2"])
def test_it_cannot_speak_to_its_keeper_in_the_supervisors_place(call):
    """The keeper reads orders from a number of the table that both share."""
    server = Targets(workers=1).start()
    try:
        worker = server.wait_serving()[0]
        server.get(f"/.test/try/{call}/{keeper_channel(worker)}")
        assert server.wait_serving()[0]["last_death"]["refused_call"] == call
    finally:
        server.close()


@pytest.mark.parametrize("way", ["scribble", "forge"])
def test_a_worker_that_writes_over_its_cell_harms_only_itself(targets, way):
    """Its place was lost for good: no successor could read the cell, and each was followed by another that could not."""
    workers = targets.wait_serving()
    clients = [targets.connect() for _ in range(16)]
    try:
        for client in clients:
            client.get("/")
        with targets.connect() as client:
            client.send(f"GET /.test/try/{way} HTTP/1.1\r\nHost: x\r\n\r\n")
            harness.wait_until(lambda: {w["pid"] for w in workers} - {w["pid"] for w in targets.wait_serving()}, targets.log)
        after = targets.wait_serving()
        kept = next(w for w in after if w["pid"] in {w["pid"] for w in workers})
        assert len(after) == 2
        assert ("its cell is ruined" in targets.log()) == (way == "forge")
        assert targets.log().count(": dropped: ") <= 16, "a line for each of 33792"
        assert targets.get("/").body == b"here"
        assert targets.status()["lost_connections"] <= 40000, "what it says in the cell is not believed"
        spared = 0
        for client in clients:
            try:
                spared += client.get("/").status == 200
            except (harness.Closed, OSError):
                pass
        assert spared == kept["connections"]
    finally:
        for client in clients:
            client.close()


def test_the_ledger_cannot_be_written_by_a_worker(targets):
    """It is there for the next supervisor, should this one and its keeper die at once."""
    seen = 0
    for worker in targets.wait_serving():
        for pid in (worker["pid"], worker["keeper_pid"]):
            for fd in harness.open_descriptors(pid):
                path = f"/proc/{pid}/fd/{fd}"
                if "ledger" in os.readlink(path):
                    seen += 1
                    flags = harness.read_proc(pid, f"fdinfo/{fd}").decode().split("flags:")[1].split()[0]
                    assert int(flags, 8) & os.O_ACCMODE == os.O_RDONLY
                    assert os.stat(path).st_mode & 0o777 == 0o600, "nor can it be opened anew"
    assert seen == 4


# ---- through successions ----

def seccomp_of(pid):
    status = harness.proc_status(pid)
    return status["Seccomp"], status["Seccomp_filters"]


def test_each_worker_is_confined_once_however_many_went_before(targets):
    """A filter that went on to the successor would be joined by another at each succession."""
    for _ in range(3):
        worker = targets.wait_succeeded(0, targets.kill_worker(0))
        assert seccomp_of(worker["pid"]) == ("2", "1")
        assert seccomp_of(worker["keeper_pid"]) == ("0", "0")
        assert worker["confined"] == {"no_capabilities": True, "landlock": worker["confined"]["landlock"], "seccomp": True}
        assert worker["confined"]["landlock"] > 0
        assert worker["keeper_confined"] == {"no_capabilities": True, "landlock": 0, "seccomp": False}


def address_space(pid):
    lines = harness.read_proc(pid, "maps").decode().splitlines()
    return {line.split("-")[0] for line in lines if "[vdso]" in line or "[stack]" in line or "perdure-worker" in line}


def canary(pid):
    """Of the 16 random bytes that the kernel gives each exec (AT_RANDOM); the C library makes the canary of them."""
    auxv = harness.read_proc(pid, "auxv")
    pairs = [int.from_bytes(auxv[i:i + 8], "little") for i in range(0, len(auxv), 8)]
    at = dict(zip(pairs[::2], pairs[1::2]))[25]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(at)
        return memory.read(16)


def test_a_successor_has_another_address_space_and_another_canary(targets):
    """Whoever learned the one by crashing a worker knows nothing of the next."""
    if not harness.IS_ROOT:
        pytest.skip("only root may look")
    seen = [(address_space(w["pid"]), canary(w["pid"])) for w in targets.wait_serving()]
    for _ in range(2):
        worker = targets.wait_succeeded(0, targets.kill_worker(0))
        seen.append((address_space(worker["pid"]), canary(worker["pid"])))
    for i, (space, value) in enumerate(seen):
        assert space
        for other_space, other_value in seen[:i]:
            assert not space & other_space and value != other_value


# ---- a keeper that a confined worker made ----

@pytest.mark.parametrize("how", ["kill", "reload", "restart"])
def test_a_confined_keeper_hands_everything_down(targets, how):
    """It cannot exec, and its children would be confined to the old roots: the supervisor forks the successor."""
    (targets.root / "large.dat").write_bytes(bytes(8 << 20))
    (targets.root / "large.dat").chmod(0o644)
    clients = [targets.connect() for _ in range(300)]
    slow = targets.connect()
    try:
        for client in clients:
            assert client.get("/").body == b"here"
        slow.send("GET /large.dat HTTP/1.1\r\nHost: x\r\n\r\n")
        for slot in (0, 1):
            targets.wait_new_keeper(slot, targets.kill_worker(slot, keeper=True))
        assert all(w["keeper_confined"]["seccomp"] for w in targets.wait_serving())
        if how == "kill":
            for slot in (0, 1):
                targets.wait_succeeded(slot, targets.kill_worker(slot))
        else:
            assert targets.verb(how).returncode == 0
            assert targets.reload(idle_timeout="61s").returncode == 0
        workers = targets.wait_serving()
        for client in clients:
            assert client.get("/").body == b"here"
        assert len(slow.read("GET").body) == 8 << 20
        assert not any(w["keeper_confined"]["seccomp"] for w in workers), "the lineage is as free as before"
        assert sum(w["dropped"] for w in workers) == 0
    finally:
        for client in [*clients, slow]:
            client.close()


def test_after_that_a_reload_may_name_other_roots(targets):
    other = targets.directory / "other"
    other.mkdir()
    other.chmod(0o755)
    (other / "index.html").write_bytes(b"there")
    for slot in (0, 1):
        targets.wait_new_keeper(slot, targets.kill_worker(slot, keeper=True))
    with targets.connect() as client:
        assert client.get("/").body == b"here"
        targets.root = other
        assert targets.reload(file_cache_valid="0s").returncode == 0
        assert client.get("/").body == b"there"


# ---- where there is none ----

# A process whose children get EPERM from seccomp(2) or landlock_create_ruleset(2), as in a container.
WITHOUT = r"""
import ctypes, os, struct, sys
number, libc = int(sys.argv[1]), ctypes.CDLL(None, use_errno=True)
code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
libc.prctl(38, 1, 0, 0, 0)
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(program)))
assert libc.prctl(22, 2, filter) == 0
os.execv(sys.argv[2], sys.argv[2:])
"""
NUMBERS = {"x86_64": {"seccomp": 317, "landlock": 444}, "aarch64": {"seccomp": 277, "landlock": 444}}


def start_without(server, what):
    number = NUMBERS[os.uname().machine][what]
    return subprocess.run(["python3", "-c", WITHOUT, str(number), *server.command("start")], capture_output=True,
                          text=True, timeout=60, env=server.environment(), check=False)


@pytest.mark.parametrize("what", ["seccomp", "landlock"])
def test_a_kernel_without_is_warned_of_once(make_server, what):
    server = make_server(workers=2)
    (server.root / "a.txt").write_bytes(b"a")
    assert start_without(server, what).returncode == 0
    assert server.get("/a.txt").body == b"a"
    server.wait_succeeded(0, server.kill_worker(0))
    assert server.log().count("workers are not confined by what this machine has not") == 1
    assert "NO" in server.verb("status").stdout
    confined = server.workers()[0]["confined"]
    assert not confined[what] and confined["no_capabilities"]


@pytest.mark.parametrize("what", ["seccomp", "landlock"])
def test_with_require_sandbox_it_does_not_start(make_server, what):
    server = make_server(workers=1, require_sandbox=True)
    done = start_without(server, what)
    assert done.returncode == 1
    assert f"require_sandbox: {what} is missing" in done.stderr + server.log()


def test_with_require_sandbox_it_starts_here(make_server):
    server = make_server(workers=1, require_sandbox=True).start()
    assert server.get("/").status in (403, 404)
