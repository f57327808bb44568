"""harness.py — what the end-to-end tests stand on: a perdure of their own, a client of exact bytes, the judge.

Nothing here sleeps for a fixed time in the hope that something will have happened: what can be waited for is waited
for, with a deadline that is only reached when the test fails.
"""
import contextlib
import itertools
import json
import os
import pathlib
import pwd
import random
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PERDURE_BUILD", REPOSITORY / "build")).resolve()
SANITIZED = "asan" in BUILD.parts
IS_ROOT = os.geteuid() == 0
PATIENCE_S = 20 if SANITIZED else 10

# What the supervisor may leave in its run directory: the lock file is never removed, so that it is never raced for.
MAY_STAY = {"perdure.lock"}
NEVER_IN_A_LOG = ("can't happen", "AddressSanitizer", "LeakSanitizer", "runtime error")


def wait_until(condition, what, seconds=PATIENCE_S):
    """The first true value of condition(); fails with WHAT, a string or a function, after SECONDS."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            words = what() if callable(what) else what
            raise AssertionError(f"after {seconds} s: {str(words)[:1500]}{str(words)[1500:][-2500:]}")
        time.sleep(0.005)  # between two looks


# ---- addresses and directories ----

_numbers = itertools.count(1)


def free_address():
    """(host, port) that nobody else uses: each process that runs tests has loopback addresses of its own, and each test
    another of them, so that tests in parallel cannot take each other's ports between this look and their bind."""
    pid, number = os.getpid(), next(_numbers)
    host = f"127.{10 + pid % 80}.{1 + number % 250}.{1 + pid // 80 % 250}"
    with socket.socket() as probe:
        probe.bind((host, 0))
        return host, probe.getsockname()[1]


def free_address_v6():
    """The same on ::1, of which there is but one: all tests share its ports."""
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return probe.getsockname()[:2]


def host_port(address):
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def make_directory():
    """A temporary directory that workers, which run as another user, may read too."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="perdure-e2e-", dir="/tmp"))
    directory.chmod(0o755)
    return directory


def fill_corpus(root, large_bytes=8 * 1024 * 1024):
    """Files for the judge: empty, tiny, around the sizes of buffers, odd names, and one large."""
    chance = random.Random(7)
    (root / "some where").mkdir(parents=True)
    for size in (0, 1, 2, 999, 1024, 1460, 4095, 4096, 4097, 16384, 65536, 200_000):
        (root / f"{size}.bin").write_bytes(chance.randbytes(size))
    for number in range(8):
        (root / "some where" / f"page {number} & more.html").write_bytes(chance.randbytes(1024))
    (root / "large.dat").write_bytes(chance.randbytes(large_bytes))
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return root


# ---- processes ----

def read_proc(pid, name):
    """The bytes of /proc/PID/NAME; empty if the process is gone or is not ours to look at."""
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def proc_status(pid):
    """/proc/PID/status as a dictionary of strings."""
    lines = read_proc(pid, "status").decode().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_alive(pid):
    """Zombies are not alive."""
    return proc_status(pid).get("State", "Z")[0] not in "ZX"


def kill(pid, number):
    """Signal PID, which a status named: False if it is gone since, or was none."""
    try:
        return pid > 1 and os.kill(pid, number) is None
    except ProcessLookupError:
        return False


def open_descriptors(pid):
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []


def open_sockets(pid):
    """Which ones, as the kernel numbers them."""
    links = set()
    for descriptor in open_descriptors(pid):
        try:
            links.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
        except OSError:
            pass  # closed since
    return {link for link in links if link.startswith("socket:")}


def resident_kib(pid):
    return int(proc_status(pid)["VmRSS"].split()[0])


def processes_of(directory, token):
    """Processes that have anything to do with DIRECTORY (arguments, open files) or were born with TOKEN."""
    found = {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        if pid == os.getpid() or not is_alive(pid):
            continue
        words = read_proc(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")
        belongs = str(directory) in words or token in read_proc(pid, "environ").decode(errors="replace")
        for fd in [] if belongs else open_descriptors(pid):
            try:
                belongs |= os.readlink(f"/proc/{pid}/fd/{fd}").startswith(str(directory) + "/")
            except OSError:
                pass
        if belongs:
            found[pid] = words
    return found


# ---- the server ----

class Server:
    """One perdure with its own directory, address and configuration. Stopped, and looked over, by close()."""

    def __init__(self, directory=None, workers=2, listing=False, **keys):
        self.directory = directory or make_directory()
        self.root = self.directory / "www"
        self.root.mkdir(exist_ok=True)
        self.root.chmod(0o755)
        self.host, self.port = free_address()
        self.run_dir = self.directory / "run"
        self.error_log = self.directory / "error.log"
        self.access_log = self.directory / "access.log"
        self.config_path = self.directory / "perdure.conf"
        self.good_path = self.directory / "good.conf"  # what write_config() wrote last that was no TEXT
        self.token = f"PERDURE_TEST={self.directory.name}"
        self.listeners = [f"{self.host}:{self.port}"]
        self.site = {"listing": listing}
        self.more = ""
        self.keys = {"workers": workers, "run_dir": str(self.run_dir), "error_log": str(self.error_log), **keys}
        if IS_ROOT:
            self.keys.setdefault("user", "www-data")
        self.foreground = None
        self.said = ""  # what the verbs printed
        self.write_config()

    @property
    def address(self):
        return host_port((self.host, self.port))

    @property
    def url(self):
        return f"http://{self.address}"

    # ---- configuration ----

    @staticmethod
    def _value(value):
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (list, tuple)):
            return "{ " + ", ".join(f'"{word}"' for word in value) + " }"
        bare = isinstance(value, int) or value == "auto" or value[:1].isdigit()
        return str(value) if bare else f'"{value}"'

    def config_text(self):
        lines = [f"{key} = {self._value(value)}" for key, value in self.keys.items()]
        lines += [f'listen "{address}" {{ }}' for address in self.listeners]
        site = "\n".join(f"    {key} = {self._value(value)}" for key, value in self.site.items())
        lines += [f'site "*" {{\n    root = "{self.root}"\n{site}\n}}', self.more]
        return "\n".join(lines) + "\n"

    def write_config(self, text=None, **keys):
        """Keys given change what is kept. TEXT is written as it stands, and may be bad: the verbs that look for a
        running perdure are then given the last good one beside it."""
        self.keys.update(keys)
        self.config_path.write_text(self.config_text() if text is None else text)
        if text is None:
            self.good_path.write_text(self.config_text())

    def config_text_after(self, text):
        """The config with TEXT before it, which may set keys that are set further down: those are left out."""
        begins = text.lstrip().split(" ")[0] + " ="
        return text + "".join(line + "\n" for line in self.config_text().splitlines() if not line.startswith(begins))

    # ---- verbs ----

    def environment(self):
        name, _, value = self.token.partition("=")
        return {**os.environ, name: value}

    def copy_programs(self):
        """Where another user may run them: the build directory may lie below a home that is closed to others."""
        copies = self.directory / "bin"
        copies.mkdir(exist_ok=True)
        for name in ("perdure", "perdure-worker"):
            if not (copies / name).exists():
                shutil.copy2(BUILD / name, copies / name)
        return str(copies / "perdure")

    def command(self, verb, *arguments):
        return [str(BUILD / "perdure"), verb, "-c", str(self.config_path), *arguments]

    def verb(self, verb, *arguments, seconds=60, config=None):
        """Run it to its end; with CONFIG for another configuration file than ours."""
        words = self.command(verb, *arguments)
        if config is not None:
            words[words.index("-c") + 1] = str(config)
        # Into files: who held on to a pipe would make us wait, instead of failing the test that is about that.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(words, stdout=out, stderr=err, stdin=subprocess.DEVNULL, timeout=seconds,
                                  env=self.environment(), check=False)
            out.seek(0)
            err.seek(0)
            done.stdout, done.stderr = out.read(), err.read()
        if verb != "status":
            self.said += f"$ perdure {verb} -> {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def start(self):
        done = self.verb("start")
        assert done.returncode == 0, done.stderr
        return self

    def run(self):
        """In the foreground, as a child of this process; returns when it serves."""
        with open(self.directory / "run.out", "ab") as out:
            self.foreground = subprocess.Popen(self.command("run"), stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                               env=self.environment())
        wait_until(lambda: self.foreground.poll() is not None or self.is_serving(), self.log)
        assert self.foreground.poll() is None, self.log()
        return self

    def stop(self, *arguments, config=None):
        done = self.verb("stop", *arguments, config=config)
        if self.foreground is not None:
            self.foreground.wait(PATIENCE_S)
        return done

    def reload(self, **keys):
        if keys:
            self.write_config(**keys)
        return self.verb("reload")

    # ---- looking ----

    def status(self):
        """What `status --json` says, or None if nobody answers."""
        done = self.verb("status", "--json", config=self.good_path)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def workers(self):
        status = self.status()
        return status["workers"] if status else []

    def is_serving(self):
        workers = self.workers()
        return len(workers) > 0 and all(w["state"] == "serving" and w["keeper_pid"] > 0 for w in workers)

    def wait_serving(self):
        """Every worker serves and has a keeper."""
        wait_until(self.is_serving, lambda: f"not all serve: {self.workers()}\n{self.log()}")
        return self.workers()

    def supervisor_pid(self):
        return self.status()["supervisor"]["pid"]

    def successions(self):
        """Over all workers: {"crash": 3, "reload": 1, …}."""
        sums = {}
        for worker in self.workers():
            for cause, count in worker["successions"].items():
                sums[cause] = sums.get(cause, 0) + count
        return sums

    def deaths(self):
        """Workers that were succeeded after a kill or a crash. How many of which is not for a test to say that others run
        beside: while the OOM killer takes somebody anywhere on the machine, a kill -9 looks like its doing."""
        successions = self.successions()
        return successions["kill"] + successions["crash"]

    def requests_counted(self):
        return sum(worker["requests"] for worker in self.workers())

    def log(self):
        text = self.error_log.read_text(errors="replace") if self.error_log.exists() else ""
        out = self.directory / "run.out"
        return text + (out.read_text(errors="replace") if out.exists() else "")

    # ---- disturbing ----

    def kill_worker(self, slot=0, number=signal.SIGKILL, keeper=False):
        """Kill the worker (or its keeper) of SLOT; returns the pid it had."""
        worker = next(w for w in self.workers() if w["slot"] == slot)
        pid = worker["keeper_pid" if keeper else "pid"]
        assert pid > 1
        os.kill(pid, number)
        return pid

    def wait_succeeded(self, slot, pid):
        """The worker of SLOT has another pid than PID, and serves, and has a keeper."""
        def look():
            return next((w for w in self.workers() if w["slot"] == slot and w["pid"] not in (0, pid)
                         and w["state"] == "serving" and w["keeper_pid"] > 0), None)
        return wait_until(look, lambda: f"worker {slot} has no successor: {self.workers()}\n{self.log()}")

    def wait_new_keeper(self, slot, pid):
        def look():
            return next((w for w in self.workers() if w["slot"] == slot and w["keeper_pid"] not in (0, pid)
                         and w["state"] == "serving"), None)
        return wait_until(look, lambda: f"worker {slot} has no new keeper: {self.workers()}\n{self.log()}")

    # ---- talking ----

    def connect(self, **options):
        return Client((self.host, self.port), **options)

    def get(self, target="/", *headers, method="GET"):
        with self.connect() as client:
            return client.get(target, *headers, method=method)

    # ---- the end ----

    def stop_if_running(self):
        if self.verb("status", config=self.good_path).returncode in (0, 1):  # 1: workers may go on without a supervisor
            done = self.stop("--now", config=self.good_path)
            assert done.returncode == 0, f"stop --now: {done.stdout}{done.stderr}"
        if self.foreground is not None and self.foreground.poll() is None:
            self.foreground.terminate()
            self.foreground.wait(PATIENCE_S)

    def kill_leftovers(self):
        left = found = processes_of(self.directory, self.token)
        while found:  # a keeper may have started another supervisor meanwhile
            for pid in found:
                kill(pid, signal.SIGKILL)
            found = [pid for pid in processes_of(self.directory, self.token) if is_alive(pid)]
        return left

    def close(self):
        """Stop it; then nothing may be left: no process, no file, no line in the log that says it went wrong."""
        try:
            self.stop_if_running()
            left = self.kill_leftovers()
            assert not left, f"left running: {left}"
            files = {path.name for path in self.run_dir.iterdir()} if self.run_dir.exists() else set()
            assert files <= MAY_STAY, f"left in run_dir: {files - MAY_STAY}"
            for words in NEVER_IN_A_LOG:
                assert words not in self.log() + self.said, f'the log says "{words}"'
        finally:
            self.kill_leftovers()
            print(f"---- config\n{self.config_text()}---- verbs\n{self.said}"
                  f"---- log\n{self.log()[-20000:]}")
            shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def held_reload(server, **keys):
    """A reload to KEYS that has begun to roll and gets no further until the context is left: its `perdure reload`."""
    pid = server.workers()[0]["pid"]
    kill(pid, signal.SIGSTOP)
    try:
        server.write_config(**keys)
        caller = subprocess.Popen(server.command("reload"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env=server.environment())
        wait_until(lambda: server.status()["supervisor"]["rolling"], server.log)
        yield caller
    finally:
        kill(pid, signal.SIGCONT)


def replace_program(program, contract, otherwise='exec $real "$@"'):
    """Instead of PROGRAM, a script: CONTRACT when a supervisor asks whether it could take over, else OTHERWISE."""
    real = program.with_name(program.name + ".real")
    program.rename(real)
    program.write_text(f'#!/bin/sh\nreal={real}\nif [ "$1" = --contract ]; then {contract}; fi\n{otherwise}\n')
    program.chmod(0o755)


class OwnPrograms(Server):
    """Runs copies of the programs, which a test may replace."""

    def command(self, verb, *arguments):
        return [self.copy_programs(), verb, "-c", str(self.config_path), *arguments]

    def install(self, name, program):
        """PROGRAM, a path or a script's text, in place of NAME."""
        path = self.directory / "bin" / name
        new = path.with_suffix(".new")
        if isinstance(program, str):
            new.write_text(program)
            new.chmod(0o755)
        else:
            shutil.copy2(program, new)
        new.rename(path)

    def upgrade(self, build=BUILD, names=("perdure", "perdure-worker")):
        for name in names:
            self.install(name, build / name)

    def outdated(self):
        """Processes of ours whose program is no longer the one on disk."""
        now = {(self.directory / "bin" / name).stat().st_ino for name in ("perdure", "perdure-worker")}
        found = {}
        for pid, words in processes_of(self.directory, self.token).items():
            try:
                is_judge = words.startswith(str(BUILD / "judge"))
                if not is_judge and os.stat(f"/proc/{pid}/exe").st_ino not in now:
                    found[pid] = words
            except OSError:
                pass
        return found


def links_of(pid):
    """What the descriptors of PID are: "socket:[12345]"."""
    links = set()
    for fd in open_descriptors(pid):
        with contextlib.suppress(FileNotFoundError):
            links.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return links


def servers_end(connection):
    """The server's end of the socket CONNECTION, as links_of() tells it."""
    def hexadecimal(address):
        host, port = address
        return "".join(f"{int(part):02X}" for part in reversed(host.split("."))) + f":{port:04X}"

    mine, other = hexadecimal(connection.getsockname()), hexadecimal(connection.getpeername())
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[1:3] == [other, mine]:
                return f"socket:[{fields[9]}]"
    raise AssertionError("the connection is not in /proc/net/tcp")


def crash(pid, number=signal.SIGSEGV):
    """Let PID, a worker, fault by itself, with SIGSEGV or SIGILL: the next that it executes is a store to address 0, or
    no instruction. A signal that is sent is no fault of the program's. False if it is gone."""
    code = {signal.SIGSEGV: b"\x31\xc0\x89\x00", signal.SIGILL: b"\x0f\x0b"}[number]
    if not kill(pid, signal.SIGSTOP):
        return False
    try:
        wait_until(lambda: proc_status(pid).get("State", "X")[0] in "TZX", f"{pid} does not stop")
        at = int(read_proc(pid, "syscall").split()[-1], 16)
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(at)
            memory.write(code)
    except (OSError, IndexError):
        return False
    return kill(pid, signal.SIGCONT)


def is_readable(file, seconds):
    """FILE has bytes or an end, within SECONDS. Not by select(2), which knows no descriptor above 1023."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


# ---- a client that sends exact bytes ----

class Closed(AssertionError):
    """The server closed the connection where a response was due."""


class Response:
    def __init__(self, head):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.head = head
        self.version, status, self.reason = first.split(" ", 2)
        self.status = int(status)
        self.fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        self.body = b""

    def all(self, name):
        return [value for field, value in self.fields if field == name.lower()]

    def __getitem__(self, name):
        """The field's only value; None if it is not there."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    def __repr__(self):
        return f"<{self.status} {self.reason}: {self.fields} {len(self.body)} bytes>"


class Client:
    """A socket that knows how responses are framed. Every wait has a deadline."""

    def __init__(self, address, seconds=PATIENCE_S, receive_buffer=None, source=None):
        self.seconds = seconds
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str)
                                    else socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket.settimeout(seconds)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(address)
        if not isinstance(address, str):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffered = b""
        self.host = "localhost" if isinstance(address, str) else host_port(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def more(self):
        """Buffer what comes next; False at the end."""
        data = self.socket.recv(65536)
        self.buffered += data
        return len(data) > 0

    def take(self, count):
        """So many bytes."""
        taken, self.buffered = bytearray(self.buffered[:count]), self.buffered[count:]
        while len(taken) < count:
            data = self.socket.recv(min(count - len(taken), 1 << 20))
            if not data:
                raise Closed(f"closed after {len(taken)} of {count} bytes of a body")
            taken += data
        return bytes(taken)

    def read_head(self):
        while b"\r\n\r\n" not in self.buffered:
            if not self.more():
                raise Closed(f"closed after {self.buffered!r}, where a response was due")
        head, _, self.buffered = self.buffered.partition(b"\r\n\r\n")
        return Response(head)

    def read(self, method="GET"):
        """One response, interim ones (1xx) too."""
        response = self.read_head()
        if method != "HEAD" and response.status not in (204, 304) and response.status >= 200:
            assert response["Content-Length"] is not None, f"no Content-Length: {response}"
            response.body = self.take(int(response["Content-Length"]))
        return response

    def request(self, target="/", *headers, method="GET", version="HTTP/1.1"):
        """Send one without a body; HEADERS are whole lines."""
        lines = [f"{method} {target} {version}", *headers]
        if not any(line.lower().startswith("host:") for line in headers) and version == "HTTP/1.1":
            lines.insert(1, f"Host: {self.host}")
        self.send("\r\n".join(lines) + "\r\n\r\n")

    def get(self, target="/", *headers, method="GET"):
        self.request(target, *headers, method=method)
        return self.read(method)

    def read_to_end(self):
        """All bytes up to the server's close; a reset after them is told as one."""
        while self.more():
            pass
        data, self.buffered = self.buffered, b""
        return data

    def is_quiet(self):
        """Nothing has come: neither bytes nor an end."""
        return self.buffered == b"" and not is_readable(self.socket, 0)

    def wait_readable(self, seconds):
        return is_readable(self.socket, seconds)

    def assert_closed(self):
        """Nothing more comes but the end."""
        assert self.read_to_end() == b""


# ---- the judge ----

class Judge:
    """The judge under way against SERVER. As a context: on leaving it is told to finish, and asserted to be content.
    THROUGH is a command that runs it elsewhere, by an exec."""

    def __init__(self, address, root, seconds=300, wait=True, through=(), **clients):
        self.directory = make_directory()
        self.json_path = self.directory / "verdict.json"
        words = [f"--{name.replace('_', '-')}={value}" for name, value in clients.items()]
        command = [*through, str(BUILD / "judge"), "--connect", address, "--root", str(root), "--seconds", str(seconds),
                   "--json", str(self.json_path), *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = ""
        self.figures = None
        if wait:
            self.wait_loaded()

    def wait_loaded(self):
        """Every one of its clients was answered."""
        deadline = time.monotonic() + PATIENCE_S * 2
        while "loaded:" not in self.said:
            assert is_readable(self.process.stdout, max(0, deadline - time.monotonic())), \
                f"the judge's clients are not all answered: {self.said}"
            line = self.process.stdout.readline()
            assert line, f"the judge is over before it began: {self.said}"
            self.said += line

    def finish(self):
        """Its figures, troubles or not."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self):
        """The same, when it ends by itself. Both may be called again."""
        if self.figures is not None:
            return self.figures
        self.said += self.process.communicate(timeout=60)[0]
        assert self.process.returncode in (0, 1), self.said
        self.figures = json.loads(self.json_path.read_text())
        print(self.said)
        return self.figures

    def __enter__(self):
        return self

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __exit__(self, kind, *_):
        try:
            self.finish()
        finally:
            self.close()
        if kind is None:
            assert_no_trouble(self.figures, self.said)


def assert_no_trouble(figures, said=""):
    assert figures["trouble_total"] == 0, f"{figures['trouble']}\n" + "\n".join(figures["described"]) + said
    assert figures["announced_closes"] == 0, "connections to be kept alive were closed, if politely"
    assert figures["responses"] > 0


def account(name):
    return pwd.getpwnam(name)
