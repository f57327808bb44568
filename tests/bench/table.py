"""table.py — verdict.py's lines as text for people: every figure, and in the end what must be."""
from contestants import LIMIT, NAMES
from works import ALONE, FIGURES

WORD = {True: "met", False: "NOT MET", None: ""}


def number(value):
    """With three digits that say something."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def ratio(value):
    return "" if value is None else f"{value:.3f}"


def must_words(must):
    if must is None:
        return ""
    bound = f"{'>=' if must.is_least else '<='} {must.bound:g}"
    return bound if must.against == ALONE else f"{bound} of {'the limit' if must.against == LIMIT else must.against}"


def verdict_words(line):
    if line.must is None:
        return ""
    return WORD[line.is_met] or "not measured"


def head(names):
    columns = "".join(f"{name:>10}" for name in names)
    return f"{'':33}{'':23}{columns}{'/limit':>9}{'/best peer':>12}"


def row(line, names, is_first):
    """IS_FIRST: of its work, whose title it has then."""
    title = line.title if is_first else ""
    columns = "".join(f"{number(line.medians.get(name)):>10}" for name in names)
    end = f"{must_words(line.must)}: {verdict_words(line)}" if line.must else ""
    return (f"{title:33.33}{FIGURES[line.figure][0]:23}{columns}{ratio(line.to_limit):>9}{ratio(line.to_peer):>12}"
            f"  {end}").rstrip()


def rows(lines, names=NAMES):
    """The lines of one work."""
    return "\n".join(row(line, names, first == 0) for first, line in enumerate(lines))


def judged(lines):
    """What must be, and whether it is."""
    chosen = [line for line in lines if line.must]
    met = sum(line.is_met is True for line in chosen)
    text = [f"{'':33}{'':23}{'is':>9}  must"]
    for line in chosen:
        value = {ALONE: line.medians.get("perdure"), LIMIT: line.to_limit}.get(line.must.against, line.to_peer)
        against = f"({line.best_peer})" if line.must.against not in (ALONE, LIMIT) and line.best_peer else ""
        is_ = number(value) if line.must.against == ALONE else ratio(value)
        text.append(f"{line.title:33.33}{FIGURES[line.figure][0]:23}{is_:>9}  {must_words(line.must):22}"
                    f"{verdict_words(line)} {against}".rstrip())
    return "\n".join([*text, f"{met} of {len(chosen)} met"])
