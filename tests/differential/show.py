#!/usr/bin/python3
"""show.py — prints the answers of all four: first the differences, as differences.toml wants them, then the rest.

    tests/differential/show.py [words of the requests' names]
"""
import contextlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import corpus  # noqa: E402  (found by the line above)
import differences  # noqa: E402
import everyone  # noqa: E402


def main():
    wanted = " ".join(sys.argv[1:])
    names = [name for name in corpus.CORPUS if wanted in name]
    with contextlib.redirect_stdout(sys.stderr), everyone.Everyone() as servers:
        answers = servers.ask(names)
    alike = {}
    for name, of in answers.items():
        others = differences.differing(of)
        if others:
            named = {"perdure": of["perdure"], **others}
            told = ", ".join(f'{server} = "{answer}"' for server, answer in named.items())
            print(f'"{name}" = {{ {told} }}')
        else:
            alike[name] = of["perdure"]
    print(f"\n# {len(answers) - len(alike)} of {len(answers)} requests are answered differently; the others by all as:")
    for name, answer in alike.items():
        print(f"# {name}: {answer}")


if __name__ == "__main__":
    main()
