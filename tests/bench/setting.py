"""setting.py — on which processors servers and loads run, and with how many workers."""
import collections
import contextlib
import os

# server_cpus, load_cpus: None leaves it to the kernel.
Setting = collections.namedtuple("Setting", "name title workers server_cpus load_cpus load_threads")

SETTINGS = (
    Setting("pinned", "one worker on processor 0, the load on processor 1", 1, {0}, {1}, 1),
    Setting("two", "two workers and the load, on any processor", 2, None, None, 2),
)


@contextlib.contextmanager
def on_processors(cpus):
    """What is started meanwhile runs on CPUS, with all that it starts."""
    before = os.sched_getaffinity(0)
    if cpus is not None:
        os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
