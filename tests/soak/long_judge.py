"""long_judge.py — the judge under way for long, its words in a file: it may have much to say while nobody listens."""
import json
import signal
import subprocess
import time

import harness

BUSY = {"keepalive": 16, "close": 8, "download": 2, "pipeline": 8, "slow": 4, "trickle": 16}  # the others are idle


class LongJudge:
    def __init__(self, server, connections, seconds, seed):
        self.words_path = server.directory / "judge.txt"
        self.json_path = server.directory / "verdict.json"
        counts = {**BUSY, "idle": max(1, connections - sum(BUSY.values()))}
        command = [str(harness.BUILD / "judge"), "--connect", server.address, "--root", str(server.root),
                   f"--seconds={seconds}", f"--seed={seed}", "--slow-rate=2m", "--json", str(self.json_path)]
        with open(self.words_path, "wb") as words:
            self.process = subprocess.Popen(command + [f"--{role}={count}" for role, count in counts.items()],
                                            stdout=words, stderr=words, start_new_session=True)
        self.began = time.monotonic()
        harness.wait_until(lambda: "loaded:" in self.words() or self.process.poll() is not None,
                           lambda: f"the judge's clients are not all answered: {self.words()}", 60)

    def words(self):
        return self.words_path.read_text(errors="replace")

    def troubles(self):
        return [line for line in self.words().splitlines() if line.startswith("trouble: ") and ":" in line[9:]]

    def end(self):
        """Its figures, or None."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return json.loads(self.json_path.read_text()) if self.json_path.exists() else None
