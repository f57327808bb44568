"""systemd.py — a real systemd as process 1 of namespaces of its own, on an overlay of this machine's root.

Between the tests' process and systemd stands a guard, a process of this file: it starts systemd, and ends it, and all
that it ever started, when the tests' process closes the pipe to it, be it by its end or by its death.
"""
import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import threading

import harness

SYSTEMD = pathlib.Path("/lib/systemd/systemd")
ROOT_SCRIPT = pathlib.Path(__file__).with_name("systemd_root.sh")
CGROUP_PREFIX = "perdure-e2e-"
PATIENCE_S = harness.PATIENCE_S * 3  # its boot takes half a second, on a machine that does nothing else

NEW_NAMESPACES = {"mount": 0x00020000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000, "net": 0x40000000}
NEW_PID_NAMESPACE = 0x20000000
PR_SET_PDEATHSIG = 1
# What a machine says that lets nobody make namespaces, mounts or cgroups, be he root.
REFUSALS = ("Operation not permitted", "ermission denied", "Read-only file system", "No space left on device")
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    """A call of libc's that says -1 when it failed."""
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def cgroup2():
    """Where this machine has its one hierarchy of version 2; None: nowhere."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] == "cgroup2":
            return pathlib.Path(before.split()[4])
    return None


def why_not():
    """Why this machine cannot do it; None: as far as can be seen from here, it can."""
    if not harness.IS_ROOT:
        return "not root"
    if not SYSTEMD.exists():
        return f"there is no {SYSTEMD}"
    if cgroup2() is None:
        return "no hierarchy of cgroup2 is mounted"
    if not os.access(cgroup2(), os.W_OK):
        return f"{cgroup2()} is read-only"
    return None


# ---- the guard ----

def remove_cgroup(directory):
    """With all below it; False if it is not gone, for a process is in it."""
    for path, _, _ in os.walk(directory, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return not directory.exists()


def remove_stale_cgroups():
    """Of guards that were killed."""
    for directory in cgroup2().glob(CGROUP_PREFIX + "*"):
        if not pathlib.Path("/proc", directory.name.removeprefix(CGROUP_PREFIX)).exists():
            remove_cgroup(directory)


def become_systemd(cgroup, scratch):
    """As process 1 of the new PID namespace. It ends with the guard even if that is killed."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
    (cgroup / "cgroup.procs").write_text("0")
    for name, flag in NEW_NAMESPACES.items():
        try:
            call("unshare", flag)
        except OSError as fault:
            os.write(2, f"no {name} namespace: {fault}\n".encode())
            os._exit(1)
    os.execv("/bin/sh", ["sh", str(ROOT_SCRIPT), str(scratch)])


def boot(directory, cgroup):
    """Returns the pid that process 1 has here."""
    remove_stale_cgroups()
    cgroup.mkdir()
    call("unshare", NEW_PID_NAMESPACE)
    pid = os.fork()
    if pid == 0:
        os.dup2(2, 1)
        become_systemd(cgroup, directory / "scratch")
    return pid


def end(pid, directory, cgroup):
    """The kernel ends all others of the namespace before process 1 is gone."""
    if pid > 0:
        os.kill(pid, signal.SIGKILL)  # not reaped yet, so it is nobody else
        os.waitpid(pid, 0)
    # A process that is still on its way out keeps it for a moment.
    harness.wait_until(lambda: remove_cgroup(cgroup), f"{cgroup} is still in use", PATIENCE_S)
    (directory / "console").unlink()
    (directory / "scratch").rmdir()
    directory.rmdir()


def guard(directory):
    """Says systemd's pid on standard output, 0 if there is none, and ends it at the end of standard input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which systemd would inherit
    cgroup = cgroup2() / f"{CGROUP_PREFIX}{os.getpid()}"
    pid = 0
    try:
        pid = boot(directory, cgroup)
    except OSError as fault:
        print(fault, file=sys.stderr, flush=True)
    print(pid, flush=True)
    sys.stdin.read()
    end(pid, directory, cgroup)


# ---- what tests use ----

class Refused(Exception):
    """The machine did not let systemd boot; why_not() could not know."""


class Systemd:
    """A booted systemd. close() ends it; nothing of it is left then."""

    def __init__(self):
        self.directory = harness.make_directory()
        self.console_path = self.directory / "console"
        (self.directory / "scratch").mkdir()
        with open(self.console_path, "wb") as console:
            self.guard = subprocess.Popen([sys.executable, __file__, str(self.directory)], text=True,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=console,
                                          start_new_session=True)
        try:
            self.pid = int(self.guard.stdout.readline())
            harness.wait_until(lambda: self.is_gone() or self.is_up(), self.console, PATIENCE_S)
            if self.is_gone():
                refused = any(words in self.console() for words in REFUSALS)
                raise (Refused if refused else AssertionError)(self.console())
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.guard.stdin.close()
        self.guard.wait(PATIENCE_S * 2)
        self.guard.stdout.close()
        assert self.guard.returncode == 0 and not self.directory.exists(), self.console()

    def is_gone(self):
        return self.pid == 0 or not harness.is_alive(self.pid)

    def is_up(self):
        return self.systemctl("is-active", "bare.target").returncode == 0

    def console(self):
        return self.console_path.read_text(errors="replace") if self.console_path.exists() else ""

    # ---- in it ----

    @property
    def root(self):
        """Its root directory, as seen from outside."""
        return pathlib.Path(f"/proc/{self.pid}/root")

    def run(self, *words, seconds=PATIENCE_S, **options):
        """WORDS in it, to their end."""
        command = ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                   f"--root={self.root}", f"--wd={self.root}", *words]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
                              check=False, **options)

    def systemctl(self, *words, **options):
        return self.run("systemctl", "--no-pager", *words, **options)

    def show(self, unit, *properties):
        """{property: value}"""
        lines = self.systemctl("show", unit, f"--property={','.join(properties)}").stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self, unit=None):
        return self.run("journalctl", "--no-pager", "--output=cat", *(["--unit", unit] if unit else [])).stdout

    def processes(self, unit):
        """The pids in the unit's cgroup, as this machine counts them."""
        path = self.show(unit, "ControlGroup").get("ControlGroup")
        directory = cgroup2() / f"{CGROUP_PREFIX}{self.guard.pid}" / path.lstrip("/") if path else None
        if directory is None or not directory.exists():
            return []
        with contextlib.suppress(OSError):
            return [int(pid) for pid in (directory / "cgroup.procs").read_text().split()]
        return []

    def outer(self, pid):
        """This machine's number of the process that has PID in it; None: there is none."""
        for directory in pathlib.Path("/proc").glob("[0-9]*"):
            numbers = harness.proc_status(directory.name).get("NSpid", "").split()
            if len(numbers) == 2 and numbers[1] == str(pid) and self.has(directory.name):
                return int(numbers[0])
        return None

    def has(self, pid):
        try:
            return os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{self.pid}/ns/pid")
        except OSError:
            return False

    @property
    def through_its_network(self):
        """The words before a command of this machine that is to run on its network."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net"]

    def on_its_network(self, action):
        """action() in a thread of its own that is on its network: sockets stay on the network they were made on."""
        results = []

        def act():
            try:
                with open(f"/proc/{self.pid}/ns/net", "rb") as network:
                    call("setns", network.fileno(), NEW_NAMESPACES["net"])
                results.append((action(), None))
            except BaseException as fault:  # to be raised in the thread that asked
                results.append((None, fault))

        thread = threading.Thread(target=act)
        thread.start()
        thread.join()
        value, fault = results[0]
        if fault is not None:
            raise fault
        return value


if __name__ == "__main__":
    guard(pathlib.Path(sys.argv[1]))
