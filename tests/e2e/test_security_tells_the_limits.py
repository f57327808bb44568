"""SECURITY.md has every limit that can be configured, and each of its limits as the code has it."""
import re

import harness

TABLE = (harness.REPOSITORY / "SECURITY.md").read_text().partition("## The limits")[2]
KEYS = (harness.REPOSITORY / "supervisor" / "inherit" / "keys.def").read_text()
# These kinds bound something; the others are names, paths and choices.
LIMITING = {"COUNT", "DURATION", "SIZE", "WORKERS"}


def rows():
    """{limit: its default}, each once."""
    found = re.findall(r"^\| (`\w+`(?: in `[\w/.]+`)?) \| (\w+) \| .+ \|$", TABLE, re.M)
    assert len(found) == len(dict(found)) == TABLE.count("\n| ") - 1, "a row is malformed, or there twice"
    return dict(found)


def keys():
    """{key: (kind, default)}"""
    pattern = r'^KEY\(\w+, (\w+), \w+, (\w+), (NULL|".*?(?<!\\)"), '
    return {name: (kind, initial.strip('"')) for name, kind, initial in re.findall(pattern, KEYS, re.M)}


def test_every_key_that_limits_something_is_told_with_its_default():
    told = {limit.strip("`"): default for limit, default in rows().items() if " in " not in limit}
    assert len(keys()) == KEYS.count("\nKEY(") > 20
    assert told == {name: initial for name, (kind, initial) in keys().items() if kind in LIMITING}


def test_every_limit_that_is_built_in_is_as_the_code_has_it():
    built_in = [(*limit.split("`")[1:4:2], default) for limit, default in rows().items() if " in " in limit]
    assert len(built_in) > 20
    for name, path, value in built_in:
        values = re.findall(rf"\b{name} = ([\d *<]+)[, /}}]", (harness.REPOSITORY / path).read_text())
        assert len(values) == 1, f"{name} is not set once in {path}"
        assert eval(values[0]) == int(value), f"{name} is {values[0]} in {path}"  # digits, "*" and "<<" only
