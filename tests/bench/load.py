"""load.py — runs wrk, h2load and the pacer against one address, and reads what they say."""
import collections
import json
import pathlib
import re
import subprocess
import tempfile

import harness
from setting import on_processors

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_S = 60  # beyond its duration

# bytes: all that was received, heads too. Times are in microseconds. errors: answers that were none, or not of status 2xx
# or 3xx.
Load = collections.namedtuple("Load", "requests seconds bytes p50_us p99_us errors")

TIME_US = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}
BYTES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}


def microseconds(text):
    """Of "1.50ms", as wrk writes times."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m|h)", text).groups()
    return float(number) * TIME_US[unit]


def bytes_of(text):
    """Of "51.34MB", as wrk and h2load write sizes."""
    number, unit = re.fullmatch(r"([\d.]+)([KMGT]?B)", text).groups()
    return float(number) * BYTES[unit]


def percentile(ordered, percent):
    """Of values in order, so that PERCENT of them are not above it."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


# ---- what they say ----

def read_wrk(said):
    requests, took, received = re.search(r"(\d+) requests in ([\d.]+\w+), ([\d.]+\w+) read", said).groups()
    quantile = dict(re.findall(r"^ +(50|99)% +([\d.]+\w+) *$", said, re.MULTILINE))
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    errors = sum(int(count) for count in sockets.groups()) if sockets else 0
    # wrk says 0.00us where its table of latencies has no value there.
    return Load(int(requests), microseconds(took) / 1e6, bytes_of(received), microseconds(quantile["50"]) or None,
                microseconds(quantile["99"]) or None, errors + (int(refused[1]) if refused else 0))


def read_h2load(said, log):
    """LOG is its --log-file: when a request began, its answer's status, and how long it took. The summary has no
    percentiles."""
    took = re.search(r"^finished in ([\d.]+\w+),", said, re.MULTILINE)[1]
    done, failed = re.search(r"(\d+) done, \d+ succeeded, (\d+) failed", said).groups()
    received = re.search(r"^traffic: \S+ \((\d+)\) total", said, re.MULTILINE)[1]
    times = sorted(int(line.split("\t")[2]) for line in log.splitlines())
    return Load(int(done), microseconds(took) / 1e6, float(received), percentile(times, 50), percentile(times, 99),
                int(failed))


def read_pacer(said):
    figures = json.loads(said)
    return Load(figures["requests"], figures["seconds"], 0.0, figures["p50_us"], figures["p99_us"], 0)


# ---- running them ----

def run(setting, seconds, words):
    with on_processors(setting.load_cpus):
        process = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, text=True)
    try:
        said, complaints = process.communicate(timeout=seconds + PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, f"{words[0]}: exit {process.returncode}: {complaints}{said}"[-500:]
    return said


def wrk_words(setting, seconds, url, connections=64, headers=(), script=None, arguments=()):
    words = ["wrk", f"-t{setting.load_threads}", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    for header in headers:
        words += ["-H", header]
    if script:
        words += ["-s", HERE / script]
    return [*words, url, *(["--", *arguments] if arguments else [])]


def wrk(setting, seconds, url, **more):
    return read_wrk(run(setting, seconds, wrk_words(setting, seconds, url, **more)))


def h2load(setting, seconds, url, connections=64):
    with tempfile.NamedTemporaryFile("r") as log:
        said = run(setting, seconds, ["h2load", "--h1", f"-t{setting.load_threads}", f"-c{connections}", "-D", seconds,
                                      f"--log-file={log.name}", url])
        return read_h2load(said, log.read())


def pacer(setting, seconds, address, target, rate=0):
    """RATE 0: as fast as they are answered."""
    host, port = address
    return read_pacer(run(setting, seconds, [harness.BUILD / "pacer", "--host", host, "--port", port, "--target", target,
                                             "--seconds", seconds, *(["--rate", rate] if rate else [])]))
