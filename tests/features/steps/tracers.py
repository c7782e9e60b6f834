# SPDX-License-Identifier: Apache-2.0
"""Steps with two tracers at once, of which one is killed."""
import os
import random
import signal
import time

from behave import when, then

from judge import judge
from scene import Run, wait_until
from start import wait_for_probes

STATUS = 7
LATEST_KILL_S = 0.6  # after its start: when it starts, traces, or has seen the program end


def libraries(scene):
    return [word for name in ("libcuda.so.1", "libcudart.so.13") for word in ("--library", os.path.join(scene.build, "sim", name))]


def program(scene):
    """Four threads for about 0.3 s; sh adds a status that no accident has."""
    return ["sh", "-c", "'%s' 4 150 4K && exit %d" % (scene.program("threads"), STATUS)]


class Round:
    """Two tracers and a program. `cast` says who starts it: the survivor, the victim, or nobody that traces."""

    def __init__(self, context, number, dice):
        self.context, self.scene = context, context.scene
        self.scene.truth_path = os.path.join(self.scene.folder, "truth-%d.log" % number)
        self.scene.settings["VRAMSIM_CARD"] = os.path.join(self.scene.folder, "card-%d" % number)
        self.cast = dice.choice(("survivor", "victim", "neither"))
        self.victim_first = self.cast == "neither" and dice.random() < 0.5
        self.kill_after_s = dice.uniform(0, LATEST_KILL_S)
        self.problems, self.leftover = [], []
        self.run = None

    def name(self):
        return "the program is started by %s, %s first, the kill comes after %.6f s" % (
            self.cast, "the victim" if self.victim_first else "the survivor", self.kill_after_s)

    def trace(self, role):
        command = ["--", *program(self.scene)] if self.cast == role else []
        tracer = self.scene.trace(["-o", "json", *libraries(self.scene), *command])
        return tracer

    def start(self):
        """The survivor is ready before the program begins; of the victim nothing is expected. Returns the victim and its time."""
        if self.victim_first:
            victim, started = self.trace("victim"), time.monotonic()
        if self.cast == "survivor":
            victim, started = self.trace("victim"), time.monotonic()
        self.survivor = self.trace("survivor")
        if self.cast != "survivor":
            wait_for_probes(self.context, self.survivor)
        if self.cast == "neither" and not self.victim_first:
            victim, started = self.trace("victim"), time.monotonic()
        if self.cast == "victim":
            victim, started = self.trace("victim"), time.monotonic()
        if self.cast == "neither":
            self.run = self.scene.add(Run(self.scene, "%02d-program" % len(self.scene.runs), program(self.scene),
                                          self.scene.environment()))
        return victim, started

    def perform(self):
        victim, started = self.start()
        time.sleep(max(0, started + self.kill_after_s - time.monotonic()))
        os.kill(victim.pid, signal.SIGKILL)
        victim.process.wait(10)
        self.end_program(victim)
        self.leftover = self.session_of(victim)
        if self.cast != "survivor":
            self.survivor.stop()

    def end_program(self, victim):
        """Its status, by whoever can know it; None where it never began."""
        if self.cast == "survivor":
            self.status = self.survivor.wait(30)
        elif self.cast == "neither":
            self.status = self.run.wait(30)
        else:
            wait_until(lambda: not self.session_of(victim), "the program has ended", 30)
            self.status = self.seen_status()

    def seen_status(self):
        """The victim's child is nobody's now: what the survivor saw of its end."""
        if not os.path.exists(self.scene.truth_path):
            return None
        ends = lambda: [event for event in self.survivor.events("process") if event["action"] == "process_exit"
                        and event["comm"] == "threads"]
        return STATUS if wait_until(ends, "its end is told")[-1]["exit_code"] == 0 else ends()[-1]

    def session_of(self, victim):
        """Processes that the victim left; they get a moment to end."""
        def alive():
            found = []
            for entry in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if os.getsid(int(entry)) == victim.pid:
                        with open("/proc/%s/stat" % entry, encoding="utf-8", errors="replace") as file:
                            found.append(file.read()[:60])
                except (OSError, ProcessLookupError):
                    pass
            return found
        end = time.monotonic() + 3
        while alive() and time.monotonic() < end:
            time.sleep(0.02)
        return alive()

    def check(self):
        if self.cast == "victim" and self.status is None:
            return  # killed before its command began
        try:
            self.context.whole_machine = self.cast != "survivor"
            self.context.scene.since_ns = 0
            judge(self.context, tracer=self.survivor)
        except AssertionError as error:
            self.problems.append(str(error))


@when("one of two tracers is killed at a random instant, {times:d} times")
def kill_one_of_two(context, times):
    seed = int(os.environ.get("VRAMTRACE_SEED") or time.time_ns() % 1_000_000_007)
    print("seed %d (again: VRAMTRACE_SEED=%d)" % (seed, seed))
    dice = random.Random(seed)
    context.seed, context.rounds = seed, []
    for number in range(times):
        one = Round(context, number, dice)
        context.rounds.append(one)
        one.perform()
        one.check()


def told(context, what, is_bad):
    bad = ["%s: %s" % (one.name(), is_bad(one)) for one in context.rounds if is_bad(one)]
    assert not bad, "seed %d, %s:\n%s" % (context.seed, what, "\n".join(bad[:5]))
    begun = [one for one in context.rounds if one.status is not None]
    assert len(begun) > len(context.rounds) / 2, "too few programs ran for this to say anything"


@then("each time the other one has told every call as it was made, and nothing else")
def survivor_true(context):
    told(context, "the survivor's ledger", lambda one: "\n".join(one.problems))


@then("each time the program has ended with its own status")
def own_status(context):
    told(context, "the status", lambda one: one.status not in (None, STATUS) and str(one.status))


@then("each time nothing of the killed one was left running")
def nothing_left(context):
    told(context, "left running", lambda one: one.leftover)
