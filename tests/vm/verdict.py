# SPDX-License-Identifier: Apache-2.0
"""Was a scene played in the machine right? The features' judge (tests/features) compares the trace with the simulation's log."""
import json
import os
import re
import sys
from collections import Counter
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "features"), os.path.join(os.path.dirname(HERE), "features/steps")]

import judge  # noqa: E402
from truth import Expected, Told, calls, difference  # noqa: E402

ALARM = re.compile(r"\bWARNING: |\bBUG: |\bOops\b|INFO: task .* blocked|INFO: possible|suspicious RCU|circular locking|"
                   r"general protection|Unable to handle|detected stalls|soft lockup|hard LOCKUP|Call Trace:|kernel panic|"
                   r"double free|invalid opcode", re.I)


def read(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


class Scene:
    """The files that a scene left, as the features' judge wants them."""

    def __init__(self, folder):
        self.folder = folder
        self.notes = dict(line.split("=", 1) for line in read(folder, "notes").split("\n") if "=" in line)
        # What was made while the tracer looked on, where more was made later.
        logs = [os.path.join(folder, name) for name in ("until.log", "truth.log")]
        self.truth_path = logs[0] if os.path.exists(logs[0]) else logs[1]
        self.since_ns = 0

    def number(self, name):
        value = self.notes.get(name)
        assert value is not None and re.fullmatch(r"-?\d+", value), "%s was not noted: %s" % (name, self.last_words())
        return int(value)

    def trace(self, name="trace.json"):
        text = read(self.folder, name)
        assert text, "no trace: " + self.last_words()
        events = [json.loads(line) for line in text.split("\n")[:-1]]
        return SimpleNamespace(events=lambda kind=None: [event for event in events if kind in (None, event["event"])])

    def context(self, name="trace.json", since="since_ms"):
        self.since_ns = self.number(since) * 1000000 if since in self.notes else 0
        self.tracer = self.trace(name)
        return SimpleNamespace(scene=self)

    def last_words(self):
        """Why, as far as anyone said."""
        said = [self.notes.get("broken", "")]
        said += [read(self.folder, name) for name in sorted(os.listdir(self.folder)) if name.endswith(".err") or name == "said"]
        words = [line for text in said for line in text.strip().split("\n") if line]
        return " / ".join(words[-4:]) or "no word"

    def seconds(self):
        return float(self.notes.get("ended", 0)) - float(self.notes.get("begun", 0))


def played(scene):
    """Nothing broke on the way, and everybody ended well."""
    assert "broken" not in scene.notes, scene.last_words()
    assert scene.notes.get("scene") == "0", "the scene ended with %s: %s" % (scene.notes.get("scene"), scene.last_words())
    for name in ("tracer", "first", "target"):
        if name in scene.notes:
            assert scene.notes[name] == "0", "%s: status %s: %s" % (name, scene.notes[name], scene.last_words())


def program_said(scene, **wanted):
    """The program's last line: what it did, as if nobody had looked on."""
    lines = [json.loads(line) for line in read(scene.folder, "out").split("\n") if line.startswith('{"program"')]
    assert len(lines) == 1, "the program said no last word: " + scene.last_words()
    got = {name: lines[0].get(name) for name in wanted}
    assert got == wanted, "the program did %s, not %s" % (got, wanted)
    return lines[0]


def totals(context, complete=True):
    """What each process held at its end, or at the tracer's. Whose first calls nobody saw is not complete."""
    expected = Expected(judge.seen_calls(context))
    for pid in {call.pid for call in judge.seen_calls(context)}:
        process, left = judge.of_process(context, pid), expected.left(pid)
        live = process["live_bytes"], process["live_count"]
        at_exit = process["held_at_exit_bytes"], process["held_at_exit_count"]
        assert left == (live if any(live) else at_exit), "process %d holds %s, told %s, %s at exit" % (pid, left, live, at_exit)
        assert process["complete"] == complete, "process %d is called %scomplete" % (pid, "in" if complete else "")


def whole(scene):
    """From the first instruction: every call, and nothing else."""
    played(scene)
    context = scene.context()
    judge.judge(context)
    totals(context)
    return "%d calls" % len(judge.seen_calls(context))


def whole_static(scene):
    """With the runtime in the program itself its calls have the driver's names."""
    played(scene)
    context = scene.context()
    judge.judge(context, "driver")
    totals(context)
    return "%d calls" % len(judge.seen_calls(context, "driver"))


def attached(scene):
    played(scene)
    context = scene.context()
    judge.judge(context)
    totals(context, complete=False)
    program_said(scene, allocs=4, frees=2)
    return "ready after %d ms, stopped in %d ms" % (scene.number("start_ms"), scene.number("tracer_stop_ms"))


def two_tracers(scene):
    played(scene)
    judge.judge(scene.context())
    judge.judge(scene.context("first.json", "first_since_ms"))
    program_said(scene, allocs=4, frees=2)
    return "both told all"


def killed(scene):
    """The program did all it was told to do, and the last tracer saw nothing but what was."""
    played(scene)
    kills = read(scene.folder, "notes").count("\nkilled=")
    said = program_said(scene, frees=0, allocs=kills + 1)
    assert kills == 7 and said["ticks"] > 0, (kills, said)
    told, expected = Told(scene.trace().events()), Expected(calls(scene.truth_path))
    assert told.allocs and told.frees, "the last tracer saw nothing"
    invented = (told.allocs - expected.allocs) + (told.frees - expected.frees)
    assert not invented, "told but not made: %s" % list(invented)[:3]
    return "%d kills, %d calls seen by the last tracer" % (kills, sum(told.allocs.values()) + sum(told.frees.values()))


def orphaned(scene):
    played(scene)
    program_said(scene, allocs=4, frees=2)
    return "the command went on"


def entered(api, op, size, addr):
    """A call as both sides can tell it. How large a pitched block became is not known when it is asked for."""
    return (api, op, None if "Pitch" in api else size, None) if op == "alloc" else (api, op, None, addr)


def entry_only(scene):
    """Without return probes: every call of the driver, what it asked for, and no total that would be a guess."""
    played(scene)
    made = calls(scene.truth_path, "driver")
    events = scene.trace().events
    expected = Counter(entered(call.settles["call"], call.op, call.size, call.addr) for call in made)
    told = Counter(entered(event["api"], event["op"], event["size"], event["addr"]) for event in events("call"))
    problems = difference("calls", expected, told)
    assert made and not problems, "; ".join(problems)
    summary = judge.summary(scene.context())
    assert summary["requested_count"] == sum(call.op == "alloc" for call in made), summary["requested_count"]
    for one in [summary, *summary["processes"]]:
        assert one["live_bytes"] is None and not one["complete"], "live totals without return probes: %s" % one
    return "%d calls" % len(made)


def strict(scene):
    """A program under strict seccomp survives a traced call."""
    assert scene.notes.get("tracer") == "0" and read(scene.folder, "out") == "survived\n", \
        "the program did not survive: status %s" % scene.notes.get("tracer")
    summary = scene.trace().events("summary")[0]
    process = summary["processes"][0]
    assert process["calls"] == 2, process
    return "with %s" % ("entry probes alone" if process["live_bytes"] is None else "return probes")


def quiet(folder):
    """The kernel complained of nothing. (Not a Scene: the log of all of them.)"""
    text = read(folder, "dmesg")
    assert "Linux version" in text, "no kernel log"
    alarms = [line for line in text.split("\n") if ALARM.search(line) and "ommand line: " not in line]
    assert not alarms, "%d lines, first: %s" % (len(alarms), alarms[0])
    return "%d lines" % text.count("\n")
