"""processes.py — whose child is who, and pauses shorter than a sleep can be."""
import ctypes
import os
import time

import harness


PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


def children_of(pid):
    return [int(child) for child in harness.read_proc(pid, f"task/{pid}/children").split()]


def adopt_orphans():
    """Whose parent died is a child of this process from now on, prctl(2)."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def pause(seconds):
    """To the microsecond: a sleep would be too long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
