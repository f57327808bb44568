"""record.py — a run of the bench as a JSON file: when, where, with what, and all rounds of everything; and read back."""
import dataclasses
import json
import os
import pathlib
import platform
import re
import time

import verdict
import works
from setting import SETTINGS


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return {"processor": model[1] if model else platform.machine(), "processors": os.cpu_count(),
            "kernel": platform.release()}


def new(options, versions):
    return {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "versions": versions, "rounds": options.rounds,
            "seconds": options.seconds, "results": []}


def add(record, setting, work, found):
    record["results"].append({"setting": setting.name, "work": work.name, "rounds": found})


def lines(record):
    """Of all its results."""
    setting_of = {setting.name: setting for setting in SETTINGS}
    work_of = {work.name: work for work in works.WORKS}
    return [line for result in record["results"]
            for line in verdict.lines(setting_of[result["setting"]], work_of[result["work"]], result["rounds"])]


def caption(record):
    where = record["machine"]
    who = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return (f"{record['date']}, {where['processor']} ({where['processors']}), Linux {where['kernel']}; {who}; "
            f"medians of {record['rounds']} rounds of {record['seconds']} s")


def write(path, record):
    """With the medians, ratios and verdicts, which read() does not need."""
    whole = {**record, "lines": [dataclasses.asdict(line) for line in lines(record)]}
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))
