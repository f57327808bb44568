"""disturber.py — kills, stops, reloads and restarts at random, and knows what it has done.

Nobody is touched whose last disturbance is not over, and keepers are killed only while nobody retires: a worker and its
keeper killed at once cost connections by design.
"""
import collections
import os
import signal
import subprocess
import time

import harness
from processes import children_of, pause

WORKERS_MOST = 4
CRASH_EVERY_S = 2   # of one worker: one that keeps faulting is succeeded later and later, as it should be
HANG_EVERY_S = 3
GROWN_MS = 1200     # a worker younger than this that crashes by its own fault is taken for one that cannot live
DOOMED_S = 10       # so long we remember whom we killed; pids come again, but not so soon
VERB_PATIENCE_S = 60
FAULTS = (signal.SIGSEGV, signal.SIGILL)
SENT = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGTERM)


class Disturber:
    def __init__(self, server, chance):
        self.server = server
        self.chance = chance
        self.supervisor = server.supervisor_pid()
        self.counts = collections.Counter()
        self.diary = []         # (monotonic, words)
        self.doomed = {}        # pid -> when we killed or stopped it
        self.last = {}          # (what, slot) -> when; what is of limited rate
        self.verb = None        # (process, name, began) under way
        self.turn = 0
        self.failures = []      # of verbs, and of waiting
        self.served = collections.Counter()  # requests by slot, as of the last status
        self.served_total = 0
        # How often each is tried; crashes and hangs are seldom possible, and so are tried often.
        self.kinds = {self.kill: 24, self.send: 8, self.crash: 60, self.hang: 12, self.kill_keeper: 12,
                      self.kill_twice: 14, self.kill_supervisor: 8, self.kill_both: 8, self.kill_supervisors_keeper: 6,
                      self.reload: 6, self.reload_workers: 3, self.more_or_fewer: 4, self.restart: 2}

    def note(self, kind, words):
        self.counts[kind] += 1
        self.diary.append((time.monotonic(), words))

    # ---- looking ----

    def look(self):
        """The status, or None; our books are brought up to date."""
        status = self.server.status()
        now = time.monotonic()
        self.doomed = {pid: when for pid, when in self.doomed.items() if now - when < DOOMED_S}
        self.supervisor = status["supervisor"]["pid"] if status else self.supervisor
        for worker in status["workers"] if status else []:
            before = self.served[worker["slot"]]
            self.served_total += worker["requests"] - (before if worker["requests"] >= before else 0)
            self.served[worker["slot"]] = worker["requests"]
        return status

    def is_whole(self, worker):
        return (worker["state"] == "serving" and worker["pid"] > 1 and worker["keeper_pid"] > 1
                and worker["pid"] not in self.doomed and worker["keeper_pid"] not in self.doomed)

    def is_calm(self, status):
        """Nobody retires, or gives its connections away."""
        return (self.verb is None and not status["supervisor"]["rolling"]
                and len(status["workers"]) == status["workers_wanted"])

    def victim(self, status, what=None, every_s=0, grown_ms=0):
        """A whole worker for WHAT, of which one slot gets but one each EVERY_S; or None."""
        now = time.monotonic()
        fit = [w for w in status["workers"] if self.is_whole(w) and w["age_ms"] >= grown_ms
               and now - self.last.get((what, w["slot"]), -every_s) >= every_s]
        worker = self.chance.choice(fit) if fit else None
        if worker and what:
            self.last[what, worker["slot"]] = now
        return worker

    def children(self):
        """Of the supervisor, and orphans of one before; faster than to look through all of /proc."""
        return set(children_of(self.supervisor)) | self.orphans()

    def orphans(self):
        """Those that have died are reaped: nobody else does that."""
        own = self.verb[0].pid if self.verb else 0
        found = {pid for pid in children_of(os.getpid())
                 if pid != own and harness.proc_status(pid).get("Name", "").startswith("perdure")}
        for pid in found:
            if not harness.is_alive(pid):
                os.waitpid(pid, os.WNOHANG)
        return {pid for pid in found if harness.is_alive(pid)}

    # ---- disturbing ----

    def is_ours(self, pid):
        """A child of our supervisor, or an orphan of one before: pids come again."""
        return harness.proc_status(pid).get("PPid") in (str(self.supervisor), str(os.getpid()))

    def strike(self, pid, number):
        if not self.is_ours(pid) or not harness.kill(pid, number):
            return False
        self.doomed[pid] = time.monotonic()
        return True

    def strike_worker(self, worker, number, kind):
        if worker and self.strike(worker["pid"], number):
            self.note(kind, f"{kind}: worker {worker['slot']}, pid {worker['pid']}")

    def kill(self, status):
        self.strike_worker(self.victim(status), signal.SIGKILL, "kill -9")

    def send(self, status):
        number = self.chance.choice(SENT)
        self.strike_worker(self.victim(status), number, f"{number.name}, sent")

    def crash(self, status):
        number = self.chance.choice(FAULTS)
        worker = self.victim(status, "fault", CRASH_EVERY_S, GROWN_MS)
        if worker and self.is_ours(worker["pid"]) and harness.crash(worker["pid"], number):
            self.doomed[worker["pid"]] = time.monotonic()
            self.note(f"fault ({number.name})", f"fault ({number.name}): worker {worker['slot']}, pid {worker['pid']}")

    def hang(self, status):
        self.strike_worker(self.victim(status, "fault", HANG_EVERY_S, GROWN_MS), signal.SIGSTOP, "hang (SIGSTOP)")

    def kill_keeper(self, status):
        worker = self.victim(status) if self.is_calm(status) else None
        if worker and self.strike(worker["keeper_pid"], signal.SIGKILL):
            self.note("kill -9 of a keeper", f"kill -9: keeper {worker['slot']}, pid {worker['keeper_pid']}")
            self.await_("a new keeper", lambda: any(
                w["slot"] == worker["slot"] and self.is_whole(w) for w in self.server.workers()))

    def kill_twice(self, status):
        """A worker, and then its successor, or what else comes into being, at a random instant of its adopting."""
        worker = self.victim(status) if self.is_calm(status) else None
        known = self.children()
        if not worker or not self.strike(worker["pid"], signal.SIGKILL):
            return
        struck = [worker["pid"]]
        words = f"kill -9: worker {worker['slot']}, pid {worker['pid']}"
        for _ in range(self.chance.choice((1, 1, 2))):
            pause_s = self.chance.random() * max(0.002, worker["last_gap_us"] / 1e6)
            pid = self.strike_next_child(known, pause_s)
            if pid is None:
                break
            struck.append(pid)
            words += f", then pid {pid} after {pause_s * 1000:.1f} ms"
            # A keeper that this one has made may be all that is left: only who is born from now on may be next.
            self.await_buried(struck)
            known |= self.children()
        kinds = ("kill -9", "kill -9, then its successor", "kill -9, then two successors")
        self.note(kinds[len(struck) - 1], words)

    def strike_next_child(self, known, pause_s):
        """Kill who comes into being and is not KNOWN, PAUSE_S later. Its pid, or None."""
        deadline = time.monotonic() + 0.5
        new = set()
        while not new and time.monotonic() < deadline:
            new = self.children() - known
        pause(pause_s)
        return next((pid for pid in sorted(new)[:1] if self.strike(pid, signal.SIGKILL)), None)

    def kill_supervisor(self, status):
        """Its keeper makes another of it; who waits for the answer of a verb is another matter."""
        pid = status["supervisor"]["pid"]
        if self.verb is not None or status["supervisor"]["keeper_pid"] <= 1 or not harness.kill(pid, signal.SIGKILL):
            return False
        self.note("kill -9 of the supervisor", f"kill -9: supervisor, pid {pid}")
        self.await_("another supervisor", lambda: (self.look() or status)["supervisor"]["pid"] != pid)
        return True

    def kill_both(self, status):
        """A worker, and at a random instant of its succession the supervisor."""
        worker = self.victim(status) if self.is_calm(status) else None
        if not worker or status["supervisor"]["keeper_pid"] <= 1 or not self.strike(worker["pid"], signal.SIGKILL):
            return
        pause(self.chance.random() * max(0.002, worker["last_gap_us"] / 1e6))
        if self.kill_supervisor(status):
            self.note("kill -9, then the supervisor", f"kill -9 before that: worker {worker['slot']}, {worker['pid']}")

    def kill_supervisors_keeper(self, status):
        pid = status["supervisor"]["keeper_pid"]
        if pid > 1 and self.is_ours(pid) and harness.kill(pid, signal.SIGKILL):
            self.note("kill -9 of the supervisor's keeper", f"kill -9: the supervisor's keeper, pid {pid}")
            self.await_("another keeper", lambda: (self.look() or status)["supervisor"]["keeper_pid"] not in (0, pid))

    def await_buried(self, pids):
        """The supervisor knows that these are dead: what is asked of it next is not asked of them."""
        self.await_("the reaping of whom we killed", lambda: not self.children() & set(pids))

    def begin_verb(self, name, kind, words):
        process = subprocess.Popen(self.server.command(name), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, text=True, env=self.server.environment())
        self.verb = (process, name, time.monotonic())
        self.note(kind, words)

    def reload(self, _):
        if self.verb is None:
            self.turn += 1
            self.server.site["headers"] = [f"X-Turn: {self.turn}"]
            self.server.write_config(idle_timeout=f"{60 + self.turn % 50}s")
            self.begin_verb("reload", "reload", f"reload: X-Turn: {self.turn}")

    def reload_workers(self, _):
        if self.verb is None:
            count = self.chance.choice([n for n in range(1, WORKERS_MOST + 1) if n != self.server.keys["workers"]])
            self.server.write_config(workers=count)
            self.begin_verb("reload", "reload with more or fewer workers", f"reload: workers = {count}")

    def more_or_fewer(self, status):
        wanted = status["workers_wanted"]
        more = wanted == 1 or (wanted < WORKERS_MOST and self.chance.random() < 0.5)
        number = signal.SIGTTIN if more else signal.SIGTTOU
        if harness.kill(self.supervisor, number):
            self.note(number.name, number.name)

    def restart(self, _):
        if self.verb is None:
            self.begin_verb("restart", "restart", "restart")

    # ---- waiting ----

    def await_(self, what, condition):
        try:
            harness.wait_until(condition, what)
        except AssertionError as error:
            self.failures.append(f"{error}; it should have come")

    def mind_verb(self):
        if self.verb is None:
            return
        process, name, began = self.verb
        if process.poll() is None:
            if time.monotonic() - began < VERB_PATIENCE_S:
                return
            process.kill()
            self.failures.append(f"{name}: no answer in {VERB_PATIENCE_S} s")
        said = process.communicate()[0]
        self.verb = None
        if process.returncode == 0:
            return
        # Our crashes are many: a generation may be given up for them. That is one more disturbance.
        if "is given up" in said:
            self.note("rolled back for our crashes", said.strip())
        else:
            self.failures.append(f"{name}: {process.returncode}: {said.strip()}")

    def step(self):
        self.mind_verb()
        self.orphans()
        status = self.look()
        before = self.counts.total()
        for _ in range(5 if status else 0):  # until one is possible
            self.chance.choices(list(self.kinds), list(self.kinds.values()))[0](status)
            if self.counts.total() > before:
                return

    def settle(self):
        """Until nothing is under way any more."""
        self.await_("the end of a verb", lambda: self.mind_verb() or self.verb is None)
        self.await_("all serve", self.server.is_serving)
