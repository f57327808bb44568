"""verdict.py — from the figures of all rounds to medians, ratios, and whether what must be is met. No measuring here."""
import dataclasses
import statistics

from contestants import LIMIT, PEERS, PERDURE
from works import ALONE, FIGURES, PEER


@dataclasses.dataclass(frozen=True)
class Line:
    """One figure of one work in one setting."""
    setting: str
    work: str
    title: str
    figure: str
    medians: dict       # by server; without those that have no such figure
    to_limit: float     # perdure's to the limit's; None if there is no such ratio
    to_peer: float      # perdure's to the best peer's
    best_peer: str
    must: object        # a Must, or None
    is_met: bool        # None: nobody said what must be, or there is no such figure


def values(found, server, figure):
    """Of each round, in order; None where there is none."""
    return [round_.get(figure) for round_ in found.get(server, [])]


def median(numbers):
    known = [number for number in numbers if number is not None]
    return statistics.median(known) if known else None


def ratio(ours, theirs):
    """The median of the rounds' ratios: what disturbs a round disturbs both."""
    return median([a / b if a is not None and b else None for a, b in zip(ours, theirs)])


def best_peer(medians, is_more_better):
    known = {name: medians[name] for name in PEERS if name in medians}
    if not known:
        return None
    return (max if is_more_better else min)(known, key=known.get)


def is_met(must, value):
    if value is None:
        return None
    return value >= must.bound if must.is_least else value <= must.bound


def judged_value(must, alone, to_limit, to_peer):
    return {ALONE: alone, LIMIT: to_limit, PEER: to_peer}[must.against]


def total(numbers):
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def line(setting, work, figure, found):
    of_all_rounds = total if figure == "errors" else median  # a median would hide those of few rounds
    medians = {server: of_all_rounds(values(found, server, figure)) for server in found}
    medians = {server: value for server, value in medians.items() if value is not None}
    best = best_peer(medians, FIGURES[figure][1])
    ours = values(found, PERDURE, figure)
    to_limit = ratio(ours, values(found, LIMIT, figure))
    to_peer = ratio(ours, values(found, best, figure)) if best else None
    must = next((must for must in work.musts if must.figure == figure and work.judged_in == setting.name), None)
    met = is_met(must, judged_value(must, medians.get(PERDURE), to_limit, to_peer)) if must else None
    return Line(setting.name, work.name, work.title, figure, medians, to_limit, to_peer, best, must, met)


def lines(setting, work, found):
    """A line for each figure that any server has, in the order of works.FIGURES; errors only if there are some."""
    have = {figure for server in found for round_ in found[server] for figure in round_}
    made = [line(setting, work, figure, found) for figure in FIGURES if figure in have]
    return [each for each in made if each.figure != "errors" or any(each.medians.values())]


def troubles(found):
    """What went wrong, by server; each once."""
    return sorted({(server, round_["trouble"]) for server in found for round_ in found[server] if "trouble" in round_})
