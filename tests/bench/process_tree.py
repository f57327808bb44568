"""process_tree.py — what a server's processes used and hold, all of them and all their threads, as /proc has it."""
import os
import pathlib
import re

import harness


def cpu_ns(pids):
    """Processor time so far: by /proc/PID/schedstat, which counts nanoseconds where stat(5) counts ticks."""
    used = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            used += int(harness.read_proc(pid, f"task/{task}/schedstat").split()[0])
    return used


def pss_bytes(pids):
    """Memory, with each page that several processes share divided by their number."""
    return sum(int(re.search(rb"^Pss:\s+(\d+) kB", harness.read_proc(pid, "smaps_rollup"), re.MULTILINE)[1]) * 1024
               for pid in pids)


def epoll_sets(pids):
    """What each epoll set of PIDS has in it, as sets of inodes: a worker, be it a process or a thread, has a set."""
    found = []
    for pid in pids:
        for fd in harness.open_descriptors(pid):
            try:
                if os.readlink(f"/proc/{pid}/fd/{fd}") == "anon_inode:[eventpoll]":
                    text = pathlib.Path(f"/proc/{pid}/fdinfo/{fd}").read_text(encoding="ascii")
                    found.append(frozenset(re.findall(r"^tfd:.* ino:([0-9a-f]+)", text, re.MULTILINE)))
            except FileNotFoundError:
                pass  # closed meanwhile
    return found
