"""systemd_machine.py — a booted systemd with perdure installed in it, as the tests under systemd use it."""
import json
import os
import signal
import subprocess

import harness
import pytest
import systemd

UNIT = "perdure.service"
ADDRESS = ("127.0.0.1", 80)
LOAD = {"keepalive": 8, "close": 4, "idle": 20, "download": 1}

marks = [
    pytest.mark.skipif(systemd.why_not() is not None, reason=str(systemd.why_not())),
    pytest.mark.skipif(harness.SANITIZED, reason="the sanitizers map and limit what the unit forbids"),
]


class Machine(systemd.Systemd):
    """A booted systemd with perdure installed by `make install`, and files for the judge below /srv/www."""

    @property
    def www(self):
        return self.root / "srv/www"

    @property
    def config(self):
        return self.root / "etc/perdure/perdure.conf"

    def install(self):
        # What is built is what is tested: nothing is to be built anew here.
        subprocess.run(["make", "--silent", f"--directory={harness.REPOSITORY}", "--assume-old=all", "install",
                        f"BUILD={harness.BUILD}", "PREFIX=/usr", f"DESTDIR={self.root}"], check=True,
                       stdout=subprocess.DEVNULL)
        self.www.mkdir(parents=True, exist_ok=True)
        harness.fill_corpus(self.www)
        self.configure()
        assert self.systemctl("daemon-reload").returncode == 0

    def configure(self, before=""):
        self.config.write_text(f'{before}\nlisten "0.0.0.0:80" {{ }}\nsite "*" {{\n    root = "/srv/www"\n}}\n')

    def drop_in(self, text):
        directory = self.root / f"etc/systemd/system/{UNIT}.d"
        directory.mkdir()
        (directory / "test.conf").write_text(text)
        assert self.systemctl("daemon-reload").returncode == 0

    # ---- verbs ----

    def start(self):
        done = self.systemctl("start", UNIT)
        assert done.returncode == 0, done.stderr + self.journal()
        return self

    def perdure(self, verb, *arguments):
        return self.run("perdure", verb, "-c", "/etc/perdure/perdure.conf", *arguments)

    def kill(self, number, pid=None):
        """Signal PID, one of its own numbers; the main process if none is given."""
        outer = self.outer(pid or self.main_pid())
        os.kill(outer, number)
        return outer

    # ---- looking ----

    def state(self):
        return self.show(UNIT, "ActiveState", "SubState", "Result", "MainPID", "NRestarts", "StatusText")

    def main_pid(self):
        return int(self.state()["MainPID"])

    def status(self):
        done = self.perdure("status", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def is_serving(self):
        status = self.status()
        return status is not None and all(w["state"] == "serving" and w["keeper_pid"] > 0 for w in status["workers"])

    def get(self, target="/1024.bin"):
        def ask():
            with harness.Client(ADDRESS) as client:
                return client.get(target)
        return self.on_its_network(ask)

    def judge(self):
        return harness.Judge("127.0.0.1:80", self.www, through=self.through_its_network, **LOAD)

    def wait_restarted(self, before):
        """Another main process than BEFORE serves, by itself."""
        def look():
            state = self.state()
            return state["ActiveState"] == "active" and int(state["MainPID"]) not in (0, before) and self.is_serving()
        harness.wait_until(look, lambda: f"{self.state()}\n{self.journal(UNIT)}", systemd.PATIENCE_S)
        assert self.status()["supervisor"]["pid"] == self.main_pid()
        assert self.get().status == 200

    def assert_nothing_left(self):
        assert self.processes(UNIT) == []
        assert "perdure" not in self.run("ps", "-A", "-o", "args").stdout
        assert not (self.root / "run/perdure").exists()
