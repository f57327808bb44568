"""ends.py — where perdure, llhttp, nginx and Apache find the end of the same request, and which of them refuse it.

Two things are a risk of request smuggling: perdure takes what two of the others refuse; or perdure and another both
take it, and go on at different bytes. That perdure refuses what others take is none.
"""
import concurrent.futures
import dataclasses
import pathlib
import re
import struct
import subprocess
import tomllib

import answers
import differences
import grammar

LLHTTP = pathlib.Path(__file__).resolve().parents[2] / "build" / "peers" / "llhttp_ends"
PEERS = ("llhttp", "nginx", "apache")
MARK_OF = {answers.PROBE_TEXT: "probe", **{text: name[:-4] for name, text in grammar.MARK_TEXT.items()}}
REFUSED = "refused"
REFUSES, ANOTHER_END = "refuses", "another end"
AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a server made of a stream. FIRST: "taken", "refused", or "waits" (for more of that request). BEHIND: what
    it found after that, in order: a mark's name if it is the mark. OPEN: the connection goes on."""
    first: str
    behind: tuple
    open: bool

    def __str__(self):
        return ", ".join([self.first, *self.behind, "kept" if self.open else "closed"])


# ---- verdicts ----

def is_refusal(status):
    """Of a request's form. What is refused for its method, or its file, has been understood."""
    return status in (400, 408, 411, 413, 414, 431) or status >= 500


def word(response):
    return MARK_OF.get(response.body, REFUSED if is_refusal(response.status) else "another")


def verdict_of(data, closed, method):
    responses, rest = answers.responses_of(data, [method + b" "])
    words = [word(response) for response in responses if response.status >= 200]
    if rest:
        words.append("a text")
    if not words:
        return Verdict(REFUSED if closed else "waits", (), not closed)
    if words[0] in MARK_OF.values():  # what was before it was no request
        return Verdict("taken", tuple(words), not closed)
    refused = words[0] == REFUSED and closed and len(words) == 1
    return Verdict(REFUSED if refused else "taken", tuple(words[1:]), not closed)


def verdict_by_socket(address, request, quiet_s):
    stream = request.bytes()
    return verdict_of(*answers.converse(address, (stream,), quiet_s), stream.split(b" ")[0].strip())


def verdict_of_line(line):
    """One line of llhttp_ends."""
    error, *targets = line.split(" ")
    known = {"/" + name: name[:-4] for name in [*grammar.MARK_TEXT, "probe.txt"]}
    words = [known.get(target, "another") for target in targets]
    failed = not error.startswith("HPE_OK")
    if not words:
        return Verdict(REFUSED if failed else "waits", (), not failed)
    if words[0] == "another":
        words.pop(0)
    open_still = not failed and (error.endswith("+") or words[-1:] != ["probe"])
    return Verdict("taken", tuple(words + [REFUSED] * failed), open_still)


def verdicts_of_llhttp(requests):
    streams = [request.bytes() + answers.PROBE for request in requests]
    given = b"".join(struct.pack("<I", len(stream)) + stream for stream in streams)
    lines = subprocess.run([LLHTTP], input=given, stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
    assert len(lines) == len(requests), "llhttp_ends ended early"
    return [verdict_of_line(line) for line in lines]


def verdicts(addresses, requests, quiet_s=answers.QUIET_S, at_once=AT_ONCE):
    """For each of the REQUESTS {name of the server: its verdict}."""
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        asked = [{name: pool.submit(verdict_by_socket, address, request, quiet_s)
                  for name, address in addresses.items()} for request in requests]
        by_llhttp = verdicts_of_llhttp(requests)
    return [{"llhttp": known, **{name: future.result() for name, future in of.items()}}
            for of, known in zip(asked, by_llhttp)]


# ---- risks ----

def gives_up(verdict):
    """Refuses it, or closes where more might have been read: nginx answers before it reads a body."""
    return verdict.first == REFUSED or (not verdict.behind and not verdict.open)


def finds_another_end(ours, other):
    """Where the two part, we go on: with another request, or by waiting for more while the other has found one."""
    for mine, its in zip(ours.behind, other.behind):
        if mine != its:
            return mine != REFUSED
    mine, its = ours.behind[len(other.behind):], other.behind[len(ours.behind):]
    if mine:
        return other.open and mine[0] != REFUSED
    return bool(its) and ours.open and its[0] != REFUSED


def risks(of, excused=()):
    """{peer: "refuses" or "another end"}: who is at odds with perdure in a way that can be used. EXCUSED are pairs of
    these that do not count."""
    ours, others = of["perdure"], {name: of[name] for name in PEERS}
    if ours.first == REFUSED:
        return {}
    goes_on = bool(ours.behind) and ours.behind[0] != REFUSED
    refusing = [name for name, its in others.items() if (name, REFUSES) not in excused and
                (its.first == REFUSED or (goes_on and gives_up(its)))]
    found = {name: REFUSES for name in refusing if len(refusing) > 1 and ours.first == "taken"}
    return found | {name: ANOTHER_END for name, its in others.items() if (name, ANOTHER_END) not in excused and
                    its.first == "taken" and finds_another_end(ours, its)}


def read(path=differences.PATH):
    """[(pattern, the pairs that it excuses)] of differences.toml."""
    groups = tomllib.loads(path.read_text())["end"]
    for group in groups:
        assert group.keys() == {"why", "pattern", "peers", "how"} and group["why"].strip(), f"malformed: {group}"
        assert set(group["peers"]) <= {*PEERS} and group["how"] in (REFUSES, ANOTHER_END), f"unknown: {group}"
    return [(re.compile(group["pattern"].encode("latin-1")), {(peer, group["how"]) for peer in group["peers"]})
            for group in groups]


def unexplained(stream, of, explained):
    """The risks, without those that are explained for this stream."""
    return risks(of, {pair for pattern, pairs in explained if pattern.search(stream) for pair in pairs})
