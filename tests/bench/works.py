"""works.py — what is measured, and where it must be: one row for each work, in the order of the table."""
import dataclasses

import document_root
from contestants import LIMIT

PEER = "best peer"
ALONE = "alone"  # a must that needs nobody to be compared with

# What is read off a work: its words, and whether more of it is better.
FIGURES = {
    "cpu_us": ("CPU us/request", False),
    "cpu_us_per_mb": ("CPU us/MB", False),
    "rate": ("requests/s", True),
    "mb_per_s": ("MB/s", True),
    "p50_us": ("p50 us", False),
    "p99_us": ("p99 us", False),
    "idle_bytes": ("bytes/idle connection", False),
    "rate_alone": ("requests/s without", True),
    "rate_beside": ("requests/s beside", True),
    "beside_to_alone": ("beside/without", True),
    "cpu_beside_to_alone": ("CPU beside/without", False),
    "start_ms": ("start ms", False),
    "reload_ms": ("reload ms", False),
    "busiest_to_mean": ("busiest/mean", False),
    "errors": ("errors", False),
}


@dataclasses.dataclass(frozen=True)
class Must:
    """perdure's FIGURE, or its ratio to that of AGAINST, must be at most (or, where more is better, at least) BOUND."""
    figure: str
    against: str
    bound: float

    @property
    def is_least(self):
        return FIGURES[self.figure][1]


@dataclasses.dataclass(frozen=True)
class Work:
    """KIND: which measurement; see measure.py. JUDGED_IN: the setting in which its musts count."""
    name: str
    title: str
    musts: tuple = ()
    kind: str = "load"
    driver: str = "wrk"
    path: str = "/1k.bin"
    headers: tuple = ()
    status: int = 200
    body_bytes: int = None       # of each answer; None: not looked at
    connections: int = 64
    script: str = None
    arguments: tuple = ()
    is_by_byte: bool = False     # figures per megabyte: of large answers, few are whole when the time is up
    is_revalidation: bool = False
    has_site: bool = False
    has_limit: bool = False
    limit_bytes: int = 1024
    limit_options: tuple = ()
    perdure: dict = dataclasses.field(default_factory=dict)  # keys of its configuration
    settings: tuple = ("pinned", "two")
    judged_in: str = "pinned"


def _size(name, words, *musts, **more):
    size = document_root.SIZES[f"{name}.bin"]
    return Work(name, f"{words} keep-alive", musts, path=f"/{name}.bin", body_bytes=size, has_limit=True, limit_bytes=size,
                **more)


def _by_byte(name, words):
    return _size(name, words, Must("cpu_us_per_mb", PEER, 1.0), Must("mb_per_s", PEER, 1.0), is_by_byte=True)


TWO = {"settings": ("two",), "judged_in": "two"}
CLOSE = "Connection: close"

WORKS = (
    _size("1k", "1 KiB", Must("cpu_us", LIMIT, 1.06)),
    Work("1k-h2load", "1 KiB keep-alive by h2load", driver="h2load", has_limit=True),
    _size("10k", "10 KiB", Must("cpu_us", PEER, 0.88)),
    _size("100k", "100 KiB", Must("cpu_us", PEER, 0.92)),
    _by_byte("1m", "1 MiB"),
    _by_byte("8m", "8 MiB"),
    Work("close-client", "one request, client closes first", (Must("cpu_us", PEER, 1.0),), headers=(CLOSE,),
         has_limit=True, limit_options=("--announce",)),
    # Nobody waits for the client's FIN here, as the peers never do.
    Work("close-server", "one request, server closes", (Must("cpu_us", PEER, 0.95),), headers=(CLOSE,),
         has_limit=True, limit_options=("--close",), perdure={"client_close_timeout": "0s"}),
    Work("pipeline", "pipelined 16 deep", (Must("rate", PEER, 1.2),), script="pipelined.lua", arguments=(16,)),
    Work("pace", "1 KiB at 70 % of saturation", (Must("p99_us", PEER, 1.0),), kind="pace", driver="pacer", has_limit=True),
    Work("304", "not modified", (Must("cpu_us", PEER, 0.90),), status=304, is_revalidation=True),
    Work("404", "not found", (Must("cpu_us", PEER, 0.90),), path="/nothing.bin", status=404),
    Work("range", "1,000 bytes of 1 MiB", (Must("cpu_us", PEER, 0.90),), path="/1m.bin", status=206, body_bytes=1000,
         headers=("Range: bytes=500000-500999",)),
    Work("idle", "15,000 idle connections", (Must("idle_bytes", ALONE, 300), Must("beside_to_alone", ALONE, 0.97)),
         kind="idle"),
    Work("birth", "start, and reload with 2 workers", (Must("start_ms", ALONE, 20), Must("reload_ms", ALONE, 30)),
         kind="birth", **TWO),
    Work("split-64", "load split, 64 connections", (Must("busiest_to_mean", ALONE, 1.15),), kind="split", **TWO),
    Work("split-1000", "load split, 1,000 connections", (Must("busiest_to_mean", ALONE, 1.15),), kind="split",
         connections=1000, **TWO),
    # Room for all of them. nginx has as many descriptors for that as it may have; the others remember none for long.
    Work("site", "a site of 100,000 files", (Must("cpu_us", PEER, 0.95),), path="/site/d0/f0.html", has_site=True,
         perdure={"file_cache_memory": "1200m"},
         script="random_files.lua", arguments=(document_root.FOLDERS, document_root.FILES_EACH)),
)
NAMES = tuple(work.name for work in WORKS)
