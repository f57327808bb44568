"""rounds.py — the rounds of a work: all servers in turn, in another order each time; what disturbs one disturbs all."""
import subprocess

import contestants
import measure
from setting import on_processors

FRESH_EACH_ROUND = {"idle", "birth"}  # kinds that need a server that has not done anything yet
WARM_UP_S = 1
TROUBLES = (AssertionError, OSError, subprocess.SubprocessError, ValueError, ZeroDivisionError, TypeError)


def order_of(names, number):
    """Round NUMBER begins with another one, and every other one goes backwards: nobody always follows the same."""
    turned = [*names[number % len(names):], *names[:number % len(names)]]
    return turned if number % 2 == 0 else turned[::-1]


def names_for(work, names):
    return [name for name in names if work.has_limit or name != contestants.LIMIT]


def start(contestant, setting):
    with on_processors(setting.server_cpus):
        contestants.start(contestant)
    contestant.settle()


def attempt(act):
    """What act() returns, or what went wrong: one server's trouble is no reason to know nothing of the others."""
    try:
        return act()
    except TROUBLES as trouble:
        return {"trouble": f"{type(trouble).__name__}: {trouble}"[:500]}


# ---- a new server for each round ----

def fresh(name, root, work, setting, seconds):
    with contestants.contest([name], root, setting, work) as made:
        if work.kind != "birth":
            start(made[name], setting)
            measure.check_answer(made[name], work)
        return measure.KINDS[work.kind](made[name], work, setting, seconds, None)


def fresh_rounds(names, root, work, setting, options):
    found = {name: [] for name in names}
    for number in range(options.rounds):
        for name in order_of(names, number):
            found[name].append(attempt(lambda name=name: fresh(name, root, work, setting, options.seconds)))
    return found


# ---- all servers, side by side, for all rounds ----

def warm_up(contestant, work, setting):
    start(contestant, setting)
    measure.check_answer(contestant, work)
    if work.kind in ("load", "pace"):
        measure.drive(contestant, work, setting, WARM_UP_S)


def lasting_rounds(names, root, work, setting, options):
    with contestants.contest(names, root, setting, work) as everyone:
        troubles = {name: attempt(lambda one=one: warm_up(one, work, setting)) for name, one in everyone.items()}
        found = {name: [trouble] if trouble else [] for name, trouble in troubles.items()}
        everyone = {name: one for name, one in everyone.items() if not troubles[name]}
        shared = measure.saturate(everyone, work, setting, options.seconds) if work.kind == "pace" else None
        for number in range(options.rounds):
            for name in order_of(list(everyone), number):
                found[name].append(attempt(lambda one=everyone[name]: measure.KINDS[work.kind](
                    one, work, setting, options.seconds, shared)))
    return found


def rounds(names, root, work, setting, options):
    """{server: [figures of the first round, …]}."""
    run = fresh_rounds if work.kind in FRESH_EACH_ROUND else lasting_rounds
    return run(names_for(work, names), root, work, setting, options)
