"""faults.py — a perdure whose calls fail on order: the build `make faults`, and the file that its processes share with us.

The layout of that file is tests/faults/inject.h's.
"""
import errno
import mmap
import os
import re
import struct
import subprocess

import harness

BUILD = harness.BUILD / "faults"
LAYOUT, RULES, CALLS_MAX = 0x7066, 8, 64
ROLES = {"supervisor": 1, "supervisors_keeper": 2, "worker": 3, "keeper": 4}
INTERRUPTIBLE = 0xffff
HALF = 0  # in the place of an errno: half the bytes are written

# What a call fails with on a machine in trouble, if that is not a lack of memory.
USUAL_ERRORS = {"fopen": "EMFILE", "open": "EMFILE", "openat2": "ENFILE", "opendir": "EMFILE", "fcntl": "EMFILE",
                "dup2": "EBUSY", "dup3": "EBUSY", "pipe2": "ENFILE", "socket": "EMFILE", "socketpair": "ENFILE",
                "accept4": "EMFILE", "listen": "EADDRINUSE", "connect": "EAGAIN", "epoll_create1": "EMFILE",
                "epoll_ctl": "ENOSPC", "epoll_wait": "EINTR", "poll": "EINTR", "signalfd": "EMFILE",
                "pidfd_open": "EMFILE", "fork": "EAGAIN", "clone": "EAGAIN", "waitpid": "EINTR", "read": "EINTR",
                "write": "ENOSPC", "pread": "EIO", "pwrite": "ENOSPC", "recv": "EINTR", "descriptors": "EMFILE",
                "sendmsg": "ENOBUFS", "setrlimit": "EPERM", "mkdir": "ENOSPC", "rename": "ENOSPC", "flock": "ENOLCK"}

_definition = (harness.REPOSITORY / "tests/faults/calls.def").read_text()
_table = re.findall(r"^CALL\((\w+), ([01])\)$", _definition, re.MULTILINE)
CALLS = {name: number for number, (name, _) in enumerate(_table, 1)}
CAN_BE_INTERRUPTED = [name for name, may_be in _table if may_be == "1"]

_head = struct.Struct("=IIq")
_rule = struct.Struct("=8IQ")
_COUNTS_AT = _head.size + RULES * _rule.size
_BYTES = _COUNTS_AT + 4 * CALLS_MAX * (len(ROLES) + 1)


def usual_error(call):
    return USUAL_ERRORS.get(call, "ENOMEM")


class Rule:
    """One order. It holds until it is lifted."""

    def __init__(self, plan, number):
        self.plan, self.number = plan, number
        self.at = _head.size + number * _rule.size

    def _read(self):
        return _rule.unpack_from(self.plan.memory, self.at)

    @property
    def failed(self):
        """How many calls have failed by it."""
        return self._read()[7]

    def where(self):
        """The function that made the last call that failed, and its line."""
        _, role, *_, where = self._read()
        program = "perdure" if role in (1, 2) else "perdure-worker"
        said = subprocess.run(["addr2line", "-f", "-s", "-e", str(BUILD / program), hex(where - 1)],
                              capture_output=True, text=True, check=False).stdout.split()
        return " ".join(said[:2])

    def lift(self):
        struct.pack_into("=I", self.plan.memory, self.at, 0)

    def wait_failed(self, count=1):
        return harness.wait_until(lambda: self.failed >= count, lambda: f"{self.failed} calls have failed")


class Faults:
    """The orders for one server."""

    def __init__(self, directory):
        self.path = directory / "faults"
        with open(self.path, "w+b") as file:
            file.truncate(_BYTES)
            self.path.chmod(0o666)
            self.memory = mmap.mmap(file.fileno(), _BYTES)
        _head.pack_into(self.memory, 0, LAYOUT, 0, 0)

    def fail(self, role, call, error="ENOMEM", first=1, times=1, step=1):
        """The FIRSTth of ROLE's calls from now on fails, and with TIMES, every STEPth after it; with TIMES 0 without
        end. CALL may be INTERRUPTIBLE, ERROR may be HALF."""
        number = next(i for i in range(RULES) if Rule(self, i)._read()[0] == 0)
        rule = Rule(self, number)
        code = getattr(errno, error) if isinstance(error, str) else error
        wanted = call if call == INTERRUPTIBLE else CALLS[call]
        _rule.pack_into(self.memory, rule.at, 0, ROLES[role], code, first, step, times, 0, 0, 0)
        struct.pack_into("=I", self.memory, rule.at, wanted)
        return rule

    def lift_all(self):
        for number in range(RULES):
            Rule(self, number).lift()

    def jump(self, seconds):
        """The clock that people read goes so far forward; negative: back."""
        struct.pack_into("=q", self.memory, 8, seconds)

    def count(self, on=True):
        """Begin to count all calls, from 0."""
        self.memory[_COUNTS_AT:] = bytes(_BYTES - _COUNTS_AT)
        struct.pack_into("=I", self.memory, 4, int(on))

    def counted(self):
        """{(role, call): how often}, since count()."""
        found = {}
        for role, number in ROLES.items():
            for call, index in CALLS.items():
                at = _COUNTS_AT + 4 * (number * CALLS_MAX + index)
                count = struct.unpack_from("=I", self.memory, at)[0]
                if count:
                    found[role, call] = count
        return found


class FaultyServer(harness.Server):
    """Runs the programs of `make faults`. Its verbs obey no order, but for those that become a supervisor."""

    def __init__(self, **options):
        super().__init__(**options)
        self.faults = Faults(self.directory)

    def command(self, verb, *arguments):
        return [str(BUILD / "perdure"), *super().command(verb, *arguments)[1:]]

    def environment(self):
        plain = super().environment()
        return {**plain, "PERDURE_FAULTS": str(self.faults.path)} if self.may_fail else plain

    may_fail = False

    def verb(self, verb, *arguments, **options):
        self.may_fail = verb == "start"
        try:
            return super().verb(verb, *arguments, **options)
        finally:
            self.may_fail = False

    def run(self):
        self.may_fail = True
        try:
            return super().run()
        finally:
            self.may_fail = False
