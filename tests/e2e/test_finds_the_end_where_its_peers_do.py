"""No request ends elsewhere for perdure than for llhttp, nginx and Apache, nor is it taken where two of them refuse it.

The requests are composed (tests/differential/grammar.py), the same ones each time; tests/differential/search.py looks
among others, for as long as it is told. What is explained is in tests/differential/differences.toml.
"""
import collections
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "differential"))

import answers  # noqa: E402  (found by the line above)
import ends  # noqa: E402
import grammar  # noqa: E402
import harness  # noqa: E402
import search  # noqa: E402

pytestmark = pytest.mark.sanitized

SEED, COUNT = "perdure", 1000 if harness.SANITIZED else 5000
TAKEN = ends.Verdict("taken", ("probe",), False)
SMUGGLED = ends.Verdict("taken", ("mark0", "probe"), False)
WAITS = ends.Verdict("waits", (), True)
ANSWERED_AND_WAITS = ends.Verdict("taken", (), True)
REFUSED = ends.Verdict("refused", (), False)
CLOSED = ends.Verdict("taken", (), False)


def of(perdure, llhttp=TAKEN, nginx=TAKEN, apache=TAKEN):
    return {"perdure": perdure, "llhttp": llhttp, "nginx": nginx, "apache": apache}


def test_composed_requests_end_where_llhttp_nginx_and_apache_say():
    counts = collections.Counter()
    with search.asked() as addresses:
        faults = search.search(addresses, SEED, range(COUNT), counts)
    assert not faults, "\n".join(search.tell(SEED, *fault) for fault in faults)
    assert min(counts["perdure", first] for first in ("taken", "refused")) > COUNT / 10, search.tell_counts(counts)


def test_the_same_seed_composes_the_same_requests():
    first, again = ([grammar.composed("a", number).bytes() for number in range(50)] for _ in range(2))
    assert first == again
    assert first != [grammar.composed("b", number).bytes() for number in range(50)]


@pytest.mark.parametrize("verdicts, risks", [
    (of(TAKEN), {}),
    (of(REFUSED), {}),
    (of(TAKEN, llhttp=REFUSED), {}),
    (of(TAKEN, llhttp=REFUSED, apache=CLOSED), {"llhttp": "refuses", "apache": "refuses"}),
    (of(SMUGGLED, llhttp=SMUGGLED), {"nginx": "another end", "apache": "another end"}),
    (of(TAKEN, nginx=SMUGGLED), {"nginx": "another end"}),
    (of(WAITS, *[REFUSED] * 3), {}),
    (of(WAITS), {"llhttp": "another end", "nginx": "another end", "apache": "another end"}),
    (of(TAKEN, nginx=ANSWERED_AND_WAITS), {"nginx": "another end"}),
    (of(CLOSED, nginx=SMUGGLED), {}),
], ids=["all alike", "stricter", "one refuses", "two refuse", "smuggled", "swallowed", "in doubt", "longer", "shorter",
        "closed"])
def test_what_can_be_used_is_a_risk_and_what_is_stricter_is_none(verdicts, risks):
    assert ends.risks(verdicts) == risks


@pytest.mark.parametrize("line, verdict", [
    ("HPE_OK /page.txt /probe.txt", TAKEN),
    ("HPE_OK /page.txt /mark0.txt /probe.txt", SMUGGLED),
    ("HPE_OK+", WAITS),
    ("HPE_OK+ /page.txt", ANSWERED_AND_WAITS),
    ("HPE_INVALID_METHOD+", REFUSED),
    ("HPE_INVALID_METHOD+ /page.txt", ends.Verdict("taken", ("refused",), False)),
])
def test_llhttps_lines_are_understood(line, verdict):
    assert ends.verdict_of_line(line) == verdict


@pytest.mark.parametrize("data, closed, verdict", [
    (b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", True, REFUSED),
    (b"", True, REFUSED),
    (b"", False, WAITS),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", False, ANSWERED_AND_WAITS),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
     % (len(answers.PROBE_TEXT), answers.PROBE_TEXT), True, TAKEN),
])
def test_a_servers_answers_are_understood(data, closed, verdict):
    assert ends.verdict_of(data, closed, b"GET") == verdict
