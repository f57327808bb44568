"""gaps.py — from a worker's death to its successor's readiness: what the supervisor's log says, as figures."""
import collections
import re
import statistics

SUCCEEDED = re.compile(r"worker (\d+) gen \d+: succeeded (?:after|for) (.+?) in ([\d.]+) ms: (\d+) connections kept, "
                       r"(\d+) dropped")
DIED_EARLY = re.compile(r"worker (\d+) gen \d+: died before it was ready")


class Gaps:
    """The time from a worker's death to its successor's readiness, by cause, as the supervisor's log has it."""

    def __init__(self, log):
        self.ms = collections.defaultdict(list)
        self.dropped = 0
        twice = set()  # slots whose successor was killed before it was ready
        for line in log.splitlines():
            if early := DIED_EARLY.search(line):
                twice.add(early[1])
            elif done := SUCCEEDED.search(line):
                slot, how, ms, _, dropped = done.groups()
                self.ms[self.cause(how) + (", and its successor" if slot in twice else "")].append(float(ms))
                self.dropped += int(dropped)
                twice.discard(slot)

    @staticmethod
    def cause(how):
        return {"hanging": "hang", "reload": "reload", "upgrade": "restart"}.get(how, how.split(" (")[0])

    @staticmethod
    def figures(all_ms):
        ordered = sorted(all_ms)
        p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
        return f"median {statistics.median(ordered):6.1f}  p99 {p99:6.1f}  max {ordered[-1]:7.1f} ms"

    def text(self):
        lines = [("all", [ms for some in self.ms.values() for ms in some]), *sorted(self.ms.items())]
        return "\n".join(f"  {len(some):6} {cause:28} {self.figures(some)}" for cause, some in lines if some)
