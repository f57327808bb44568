"""differences.py — whether the answers differ exactly as differences.toml says. No server is spoken to from here."""
import pathlib
import tomllib

PATH = pathlib.Path(__file__).resolve().parent / "differences.toml"


def differing(answers):
    """Of one request's answers those that are not perdure's."""
    return {server: answer for server, answer in answers.items() if answer != answers["perdure"]}


def read(path=PATH):
    """{name of the request: {"perdure": its answer, each peer that differs: its answer}}, each explained once."""
    explained = {}
    for group in tomllib.loads(path.read_text())["difference"]:
        assert group.keys() == {"why", "answers"} and group["why"].strip(), f"malformed: {group}"
        for name, answers in group["answers"].items():
            assert name not in explained, f"explained twice: {name}"
            explained[name] = answers
    return explained


def tell(server, answer):
    return f"{server} answers \"{answer}\"" if answer is not None else f"{server} answers as perdure does"


def faults(answers, explained):
    """{name of the request: what is not as explained}; empty if all is well."""
    found = {name: "explained, but no such request is in the corpus" for name in explained.keys() - answers.keys()}
    for name, of in answers.items():
        others = differing(of)
        is_so = {"perdure": of["perdure"], **others} if others else {}
        said = explained.get(name, {})
        told = [f"{tell(server, is_so.get(server))}, " +
                (f"explained is \"{said[server]}\"" if server in said else "which is not explained")
                for server in of if is_so.get(server) != said.get(server)]
        if told:
            found[name] = "; ".join(told)
    return found
