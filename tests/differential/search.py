#!/usr/bin/python3
"""search.py — looks for composed requests of which perdure finds another end than its peers do; 1 if there are any.

    tests/differential/search.py [--seed S] [--minutes M | --count N]    S: any word; this hour's, if none is given
    tests/differential/search.py --seed S --only I                       what each makes of this one
"""
import argparse
import collections
import contextlib
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import answers  # noqa: E402  (found by the line above)
import ends  # noqa: E402
import everyone  # noqa: E402
import grammar  # noqa: E402

AT_A_TIME = 2000


@contextlib.contextmanager
def asked():
    """The addresses of perdure and of the peers, which serve the marks, too."""
    with everyone.Everyone() as servers:
        for name, text in grammar.MARK_TEXT.items():
            (servers.perdure.root / name).write_bytes(text)
        yield {name: address for name, address in servers.addresses.items() if name in ("perdure", *ends.PEERS)}


def search(addresses, seed, numbers, counts):
    """[(number, request, verdicts, risks)] of what is not explained. Asked again, with patience, before it is believed:
    a busy machine has made an answer late. COUNTS sums what each server made of them."""
    explained = ends.read()
    requests = {number: grammar.composed(seed, number) for number in numbers}

    def of_risk(number, verdicts):
        return ends.unexplained(requests[number].bytes(), verdicts, explained)

    def ask(of, **patience):
        verdicts = dict(zip(of, ends.verdicts(addresses, [requests[number] for number in of], **patience)))
        return verdicts, [number for number in of if of_risk(number, verdicts[number])]

    verdicts, suspects = ask(list(requests))
    counts.update((server, its.first) for of in verdicts.values() for server, its in of.items())
    verdicts, suspects = ask(suspects, quiet_s=answers.PATIENT_S, at_once=4)
    return [(number, requests[number], verdicts[number], of_risk(number, verdicts[number])) for number in suspects]


def tell(seed, number, request, verdicts, risks):
    said = "\n".join(f"    {server}: {its}" for server, its in sorted(verdicts.items()))
    done = ", ".join(request.oddities) or "legal"
    at_odds = ", ".join(f"{peer} {how}" for peer, how in risks.items()) or "nobody is at odds with perdure"
    return f"--seed {seed} --only {number} ({done}): {at_odds}\n{said}\n    {request.bytes()!r}"


def tell_counts(counts):
    firsts = ("taken", "refused", "waits")
    return "\n".join(f"{server}: " + ", ".join(f"{counts[server, first]} {first}" for first in firsts)
                     for server in ("perdure", *ends.PEERS))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", default=time.strftime("%Y%m%d%H"))
    parser.add_argument("--count", type=int, default=AT_A_TIME)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--only", type=int)
    return parser.parse_args()


def main():
    wanted = arguments()
    counts, found, number = collections.Counter(), 0, 0
    with contextlib.redirect_stdout(sys.stderr), asked() as addresses:
        if wanted.only is not None:
            request = grammar.composed(wanted.seed, wanted.only)
            verdicts, = ends.verdicts(addresses, [request])
            print(tell(wanted.seed, wanted.only, request, verdicts, ends.risks(verdicts)))
            return 0
        deadline = time.monotonic() + wanted.minutes * 60 if wanted.minutes else None
        while time.monotonic() < deadline if deadline else number < wanted.count:
            count = AT_A_TIME if deadline else min(AT_A_TIME, wanted.count - number)
            for fault in search(addresses, wanted.seed, range(number, number + count), counts):
                found += 1
                print(tell(wanted.seed, *fault), flush=True)
            number += count
    print(f"{number} requests by seed {wanted.seed}, {found} at odds and not explained\n{tell_counts(counts)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
