"""holding.py — programs that hold an address in every way there is, for the tests of `perdure why`."""
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys

import harness

# Programs of which each says one line when it stands as it should, and then waits for its end.
PRELUDE = """
import os, signal, socket, sys, time
def tell(*words):
    print(*words, flush=True)
def listener(address, reuse=1, family=socket.AF_INET, v6only=None, port=0, listen=8):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, port)
    if v6only is not None:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    s.bind(address)
    if listen:
        s.listen(listen)
    return s
"""


class Program:
    """A Python program of its own name (the kernel's comm) that runs CODE; `line` is the first thing that it said."""

    def __init__(self, code, *arguments, name="holder", prefix=()):
        code = f"{PRELUDE}\nopen('/proc/self/comm', 'w').write({name!r})\n{code}\nsignal.pause()\n"
        self.process = subprocess.Popen([*prefix, sys.executable, "-c", code, *map(str, arguments)],
                                        stdout=subprocess.PIPE, text=True)
        ready, _, _ = select.select([self.process.stdout], [], [], harness.PATIENCE_S)
        self.line = self.process.stdout.readline().strip() if ready else ""
        if not self.line:
            self.close()
            raise AssertionError(f"said nothing: {code}")

    @property
    def pid(self):
        return self.process.pid

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Answer:
    """What `perdure why` said, as text and as JSON; with the same facts, or this fails."""

    def __init__(self, words, **options):
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, **options)
        as_json = subprocess.run([*words, "--json"], capture_output=True, text=True, check=False, timeout=60, **options)
        assert done.stderr == "" and as_json.stderr == "", done.stderr + as_json.stderr
        self.code = done.returncode
        self.page = done.stdout
        self.text = one_line(done.stdout)
        self.json = json.loads(as_json.stdout)
        assert as_json.returncode == self.code and self.json["bind_would_succeed"] == (self.code == 0)
        self.causes = {cause["cause"]: cause for cause in self.json["causes"]}
        self.expect_same_facts()

    def expect_same_facts(self):
        text = without_times(self.text)
        for line in [line for cause in self.json["causes"][:6] for line in cause["text"]] + self.json["what_to_do"]:
            assert without_times(one_line(line)) in text, f"only in the JSON: {line}\n{self.page}"
        for state in (socket_["state"] for index, socket_ in enumerate(self.json["sockets"])
                      if any(index in cause["sockets"] for cause in self.json["causes"])):
            assert state in text or state in ("LISTEN", "BOUND", "ESTABLISHED"), state

    def says(self, *words):
        for word in words:
            assert word in self.text, f"not said: {word}\n{self.page}"
        return self

    def first(self):
        return self.json["causes"][0]["cause"]


def one_line(text):
    return " ".join(text.split())


def without_times(text):
    """A second may pass between two answers, and processes come and go."""
    return re.sub(r"\b\d+ (s|process(?:es)? of other users)\b", r"N \1", text)


def why(*arguments, prefix=(), program=None, **options):
    return Answer([*prefix, str(program or harness.BUILD / "perdure"), "why", *map(str, arguments)], **options)


class Nobody:
    """The program where an ordinary user may run it."""

    def __init__(self):
        self.directory = harness.make_directory()
        self.program = shutil.copy2(harness.BUILD / "perdure", self.directory / "perdure")

    def why(self, *arguments, prefix=()):
        user = pwd.getpwnam("nobody")
        return why(*arguments, program=self.program, prefix=prefix, user=user.pw_uid, group=user.pw_gid,
                   extra_groups=[])

    def close(self):
        shutil.rmtree(self.directory)


class Network:
    """A network namespace with nothing but its loopback, and SETTINGS (sysctl) as pairs."""

    def __init__(self, settings=()):
        self.process = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"],
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "up\n"
        for name, value in settings:
            self.run("sysctl", "-q", "-w", f"{name}={value}")

    @property
    def inside(self):
        return ("nsenter", "-t", str(self.process.pid), "-n")

    def run(self, *words):
        return subprocess.run([*self.inside, *words], check=True, capture_output=True, text=True).stdout

    def why(self, *arguments):
        return why(*arguments, prefix=self.inside)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def wait_states(address, *states, prefix=()):
    """The kernel has exactly these on ADDRESS: closing takes a moment."""
    def look():
        return sorted(entry["state"] for entry in json.loads(subprocess.run(
            [*prefix, str(harness.BUILD / "perdure"), "why", "--no-try", "--json", address], capture_output=True,
            text=True, check=False).stdout)["sockets"])
    harness.wait_until(lambda: look() == sorted(states), lambda: f"{look()} are not {states}")


def kill_all(pids, number=signal.SIGKILL):
    for pid in pids:
        harness.kill(pid, number)


def connect(address, source=None):
    return socket.create_connection(address, source_address=source)


def comm(pid):
    return harness.read_proc(pid, "comm").decode().strip()


def own_name():
    return comm(os.getpid())
