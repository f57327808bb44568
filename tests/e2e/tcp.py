"""tcp.py — the states of a server's connections, as the kernel tells them; and a network of a test's own."""
import collections
import contextlib
import ctypes
import os
import subprocess

import harness

CLONE_NEWNET = 0x40000000  # sched.h
STATES = {1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE",
          8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "NEW_SYN_RECV"}


def hexadecimal(address):
    """As /proc/net/tcp writes it."""
    host, port = address
    return "".join(f"{int(part):02X}" for part in reversed(host.split("."))) + f":{port:04X}"


def states(address):
    """How many sockets of this machine have ADDRESS as their own, by state; but for the listener."""
    found = collections.Counter()
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[1] == hexadecimal(address):
                found[STATES[int(fields[3], 16)]] += 1
    del found["LISTEN"]
    return found


def state_of(address, client):
    """The state of the socket at ADDRESS whose peer is the socket CLIENT has, or had when it told its name."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[1:3] == [hexadecimal(address), hexadecimal(client)]:
                return STATES[int(fields[3], 16)]
    return None


def wait_state(address, client, *wanted):
    harness.wait_until(lambda: state_of(address, client) in wanted,
                       lambda: f"{address} to {client} is {state_of(address, client)}, not {wanted}")


def _call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


@contextlib.contextmanager
def own_network():
    """This process, and what it starts meanwhile, in a network namespace in which only the loopback is: the kernel counts
    by namespace, and when there are too many in TIME_WAIT (net.ipv4.tcp_max_tw_buckets) it forgets them at once. Only root
    can have that; others stay where they are."""
    if not harness.IS_ROOT:
        yield
        return
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", CLONE_NEWNET)
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            _call("setns", home, CLONE_NEWNET)
    finally:
        os.close(home)
