"""perdure, nginx, Apache and h2o get the same requests; each difference in the answers is explained, or this fails.

The requests are in tests/differential/corpus.py, the reasons in tests/differential/differences.toml.
"""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "differential"))

import answers  # noqa: E402  (found by the line above)
import differences  # noqa: E402
import everyone  # noqa: E402

pytestmark = pytest.mark.sanitized

SAME = {"perdure": "200 page.txt, kept", "nginx": "200 page.txt, kept", "h2o": "200 page.txt, kept"}
OTHER = {**SAME, "h2o": "400, closed"}
EXPLAINED = {"GET": {"perdure": "200 page.txt, kept", "h2o": "400, closed"}}


def faults_of(servers, explained):
    """What is not as explained. Asked again, with patience, before it is believed: a machine that is too busy has made
    an answer late, or lost a peer's connection."""
    faults = differences.faults(servers.ask(), explained)
    for _ in range(2):
        again = [name for name in faults if name in answers.CORPUS]
        told = servers.ask(again, quiet_s=answers.PATIENT_S, at_once=4) if again else {}
        still = differences.faults(told, {name: explained[name] for name in again if name in explained})
        faults = {name: still.get(name, fault) for name, fault in faults.items() if name in still or name not in again}
    return faults


def test_perdure_differs_from_its_peers_only_as_explained():
    with everyone.Everyone() as servers:
        faults = faults_of(servers, differences.read())
    lines = [f"{name}: {fault}\n    {answers.CORPUS.get(name, ())!r:.300}" for name, fault in faults.items()]
    assert not faults, f"{len(faults)} not as explained in {differences.PATH}:\n" + "\n".join(lines)


def test_what_is_the_same_or_explained_is_no_fault():
    assert not differences.faults({"GET": SAME, "HEAD": SAME}, {})
    assert not differences.faults({"GET": OTHER, "HEAD": SAME}, EXPLAINED)


@pytest.mark.parametrize("of, explained", [
    (OTHER, {}),
    (SAME, EXPLAINED),
    ({**OTHER, "h2o": "404, kept"}, EXPLAINED),
    ({**OTHER, "nginx": "404, kept"}, EXPLAINED),
    ({**OTHER, "perdure": "404, kept"}, EXPLAINED),
    (SAME, {"a request that is gone": EXPLAINED["GET"]}),
], ids=["unexplained", "gone", "another answer", "another peer", "perdure's changed", "not in the corpus"])
def test_a_difference_without_its_explanation_and_the_reverse_are_faults(of, explained):
    assert len(differences.faults({"GET": of}, explained)) == 1
