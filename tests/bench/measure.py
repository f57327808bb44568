"""measure.py — one round of a work at one server: a dictionary of figures, by the names that works.py has for them."""
import contextlib
import socket
import subprocess
import time

import contestants
import load
import process_tree
from harness import host_port
from setting import on_processors

IDLE = 15000
BUSY = 200  # more than there are besides those
IDLE_PATIENCE_S = 120  # to make them all
SATURATION_SHARE = 0.7
LOOKS_S = 0.05  # between two looks at how connections are spread


def url(contestant, work):
    return f"http://{host_port(contestant.address)}{work.path}"


def headers_for(contestant, work):
    """With the validator of this very server, where the work is about that."""
    if not work.is_revalidation:
        return work.headers
    tag = contestants.get(contestant.address, work.path, ())[2]
    assert tag, f"{contestant.name} gives no ETag"
    return (*work.headers, f"If-None-Match: {tag}")


def check_answer(contestant, work):
    """It answers what the work is about; of what it answers under load, only the kind of status is looked at."""
    if contestant.name == contestants.LIMIT:
        return
    status, size, _ = contestants.get(contestant.address, work.path, headers_for(contestant, work))
    assert status == work.status, f"{contestant.name}: status {status}, not {work.status}"
    assert work.body_bytes in (None, size), f"{contestant.name}: {size} bytes, not {work.body_bytes}"


# ---- load ----

def drive(contestant, work, setting, seconds):
    if work.driver == "h2load":
        return load.h2load(setting, seconds, url(contestant, work), connections=work.connections)
    if work.driver == "pacer":
        return load.pacer(setting, seconds, contestant.address, work.path)
    return load.wrk(setting, seconds, url(contestant, work), connections=work.connections,
                    headers=headers_for(contestant, work), script=work.script, arguments=work.arguments)


def figures_of(work, done, cpu_ns):
    refused = done.requests if work.status >= 400 else 0
    figures = {"p50_us": done.p50_us, "p99_us": done.p99_us, "errors": done.errors - refused}
    if work.is_by_byte:
        return {"cpu_us_per_mb": cpu_ns / 1e3 / (done.bytes / 1e6), "mb_per_s": done.bytes / 1e6 / done.seconds, **figures}
    return {"cpu_us": cpu_ns / 1e3 / done.requests, "rate": done.requests / done.seconds, **figures}


def under(contestant, work, act):
    """The figures of act(), a load, with the processor time that the server used meanwhile."""
    pids = contestant.pids()
    before = process_tree.cpu_ns(pids)
    done = act()
    return figures_of(work, done, process_tree.cpu_ns(pids) - before)


def measure_load(contestant, work, setting, seconds, _shared):
    return under(contestant, work, lambda: drive(contestant, work, setting, seconds))


# ---- a steady rate ----

def saturate(everyone, work, setting, seconds):
    """The rate for all of them: a share of the most that any peer answers, so that all have the same to do."""
    chosen = [one for one in everyone.values() if one.name in contestants.PEERS] or list(everyone.values())
    loads = [drive(one, work, setting, seconds) for one in chosen]
    return SATURATION_SHARE * max(done.requests / done.seconds for done in loads)


def measure_pace(contestant, work, setting, seconds, rate):
    return under(contestant, work, lambda: load.pacer(setting, seconds, contestant.address, work.path, rate))


# ---- idle connections ----

@contextlib.contextmanager
def idle_connections(address, count):
    """COUNT connections that were answered once."""
    deadline = time.monotonic() + IDLE_PATIENCE_S
    with contextlib.ExitStack() as ends:
        for number in range(count):
            assert time.monotonic() < deadline, f"only {number} connections in {IDLE_PATIENCE_S} s"
            client = ends.enter_context(socket.create_connection(address, timeout=contestants.PATIENCE_S))
            client.sendall(b"GET /1k.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
            got = b""
            while len(got) < got.find(b"\r\n\r\n") + 4 + 1024 or b"\r\n\r\n" not in got:
                more = client.recv(4096)
                assert more, "the server closed a connection that was to be kept"
                got += more
        yield


def measure_idle(contestant, work, setting, seconds, _shared):
    """On a server that has just started: memory that it had once, it may keep, and need no more of it."""
    count = min(IDLE, contestant.connections - BUSY)
    alone = measure_load(contestant, work, setting, seconds, None)
    pids = contestant.pids()
    before = process_tree.pss_bytes(pids)
    with idle_connections(contestant.address, count):
        grown = process_tree.pss_bytes(pids) - before
        beside = measure_load(contestant, work, setting, seconds, None)
    return {"idle_bytes": grown / count, "rate_alone": alone["rate"], "rate_beside": beside["rate"],
            "beside_to_alone": beside["rate"] / alone["rate"], "cpu_beside_to_alone": beside["cpu_us"] / alone["cpu_us"],
            "errors": alone["errors"] + beside["errors"]}


# ---- start and reload ----

def measure_birth(contestant, work, setting, _seconds, _shared):
    """Of a server that is not running yet."""
    with on_processors(setting.server_cpus):
        started_s = contestants.start(contestant)
    contestant.settle()
    check_answer(contestant, work)
    reloaded_s = contestant.reload()
    return {"start_ms": started_s * 1e3, "reload_ms": None if reloaded_s is None else reloaded_s * 1e3}


# ---- how connections are spread over the workers ----

def spread(before, now):
    """How many each set has that was in none before; those that have none left out."""
    known = frozenset().union(*before)
    return sorted(len(each) for each in {one - known for one in now} if each)


def measure_split(contestant, work, setting, seconds, _shared):
    """By connections: each of them asks as often as it is answered."""
    pids = contestant.epoll_pids()
    before = process_tree.epoll_sets(pids)
    seen = []
    words = load.wrk_words(setting, seconds, url(contestant, work), connections=work.connections)
    with on_processors(setting.load_cpus):
        wrk = subprocess.Popen(words, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + seconds + load.PATIENCE_S
        while wrk.poll() is None and time.monotonic() < deadline:
            seen.append(spread(before, process_tree.epoll_sets(pids)))
            time.sleep(LOOKS_S)
    finally:
        wrk.kill()
        wrk.wait()
    most = max(seen, key=sum, default=[])
    assert sum(most) > 0.9 * work.connections, f"of {work.connections} connections, {sum(most)} are in epoll sets"
    return {"busiest_to_mean": max(most) / (sum(most) / setting.workers)}


KINDS = {"load": measure_load, "pace": measure_pace, "idle": measure_idle, "birth": measure_birth, "split": measure_split}
