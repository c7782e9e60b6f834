# SPDX-License-Identifier: Apache-2.0
"""Steps on what is lost, and on kernels that lack something (--without)."""
import json
import os
import re
import signal
import sys
import time
from collections import Counter

from behave import then, when

from scene import wait_until
from truth import ROWS, calls, lines, log

CALLS = ("alloc", "alloc_failed", "free_failed", "free_unmatched", "call")


def is_call(event):
    """A free without a name is what a later call has shown: its own was lost."""
    return event["event"] in CALLS or bool(event["event"] == "free" and event["reason"] == "call" and event["api"])


def lost(context, cause=None):
    events = context.scene.tracer.events("lost")
    return [event for event in events if cause in (None, event["cause"])]


def last(context):
    events = context.scene.tracer.events()
    assert events and events[-1]["event"] == "summary", events[-1:]
    return events[-1]


@when("the tracer stands still for {milliseconds:d} ms")
def stand_still(context, milliseconds):
    os.kill(context.scene.tracer.pid, signal.SIGSTOP)
    time.sleep(milliseconds / 1000)
    os.kill(context.scene.tracer.pid, signal.SIGCONT)


@then("of {made:d} calls made, each is told or counted as lost, cause {cause}")
def told_or_lost(context, made, cause):
    told = sum(map(is_call, context.scene.tracer.events()))
    count = sum(event["count"] for event in lost(context, cause))
    # Lost may be, besides, calls of which nothing is told: a context that was made current, in a log that has them.
    others = sum(line["call"] in ROWS and ROWS[line["call"]][1] not in ("alloc", "free")
                 for line in log(context.scene.truth_path))
    assert count and made <= told + count <= made + others, (told, count, made, others)
    assert len(lost(context, cause)) == len(lost(context)), lost(context)
    assert last(context)["lost_by_cause"] == {cause: count}, last(context)["lost_by_cause"]


@then("the log of the card has {made:d} calls")
def log_has(context, made):
    assert len(calls(context.scene.truth_path)) == made, len(calls(context.scene.truth_path))


@then("the log of the driver has {made:d} allocations")
def log_has_allocations(context, made):
    found = [line for line in lines(context.scene.truth_path) if line["call"] == "cuMemAlloc_v2" and not line["result"]]
    assert len(found) == made, len(found)


@then("a loss is told before the last call is")
def in_place(context):
    events = context.scene.tracer.events()
    kinds = ["lost" if event["event"] == "lost" else "call" if is_call(event) else "" for event in events]
    assert "lost" in kinds and kinds.index("lost") < len(kinds) - 1 - kinds[::-1].index("call"), kinds


@then('"{comm}" alone has lost something, and is incomplete')
def alone(context, comm):
    processes = last(context)["processes"]
    assert {process["comm"] for process in processes} > {comm}, processes
    for process in processes:
        wanted = process["comm"] == comm
        assert (process["lost"] > 0) == wanted and process["complete"] != wanted, process
    assert all(event["comm"] == comm for event in lost(context)), lost(context)


@then('every call of "{comm}" is told')
def all_of(context, comm):
    pid = [process["pid"] for process in last(context)["processes"] if process["comm"] == comm][0]
    made = Counter((call.op, call.addr) for call in calls(context.scene.truth_path) if call.pid == pid)
    told = Counter((event["event"], event["addr"]) for event in context.scene.tracer.events()
                   if event["pid"] == pid and is_call(event))
    assert made and made == told, (made - told, told - made)


@then("the kernel side's counts come out even")
def even(context):
    text = context.scene.tracer.err()
    pattern = r"stats: (cpu|process) \d+.*: produced (\d+) = delivered (\d+) \+ lost (\d+)"
    found = [(what, *map(int, counts)) for what, *counts in re.findall(pattern, text)]
    assert {what for what, *counts in found} == {"cpu", "process"}, text[-3000:]
    assert all(produced == delivered + missing for what, produced, delivered, missing in found), found
    assert "is not delivered" not in text, text[-3000:]


@then("{count:d} processes are untold, and counted")
def untold(context, count):
    made = Counter(call.pid for call in calls(context.scene.truth_path))
    told = Counter(event["pid"] for event in context.scene.tracer.events() if is_call(event))
    assert len(set(made) - set(told)) == count, (made, told)
    assert all(told[pid] == made[pid] for pid in told), (made, told)
    assert sum(event["count"] for event in lost(context, "process")) == count, lost(context)


@then("the summary calls all of it incomplete")
def all_incomplete(context):
    assert last(context)["complete"] is False
    assert all(not process["complete"] for process in last(context)["processes"])


@then("every call of the driver is told as it was entered")
def entered(context):
    made = Counter((line["pid"], line["call"]) for line in lines(context.scene.truth_path) if line["layer"] == "driver")
    told = Counter((event["pid"], event["api"]) for event in context.scene.tracer.events("call"))
    assert made and made == told, (made - told, told - made)


@then("{count:d} bytes were asked for")
def asked(context, count):
    sizes = [event["size"] for event in context.scene.tracer.events("call") if event.get("size")]
    assert sum(sizes) == count, sizes


@then("the output is complete while probes are still there")
def complete_before(context):
    wait_until(lambda: '"event":"summary"' in context.scene.tracer.product(), "a summary", 2)
    assert context.scene.tracer.running(), "it ended already: nothing was tested"
    json.loads(context.scene.tracer.product().split("\n")[-2])
    context.execute_steps("Then the code of the libraries in the program's memory has breakpoints")


@then("soon the code of the libraries in the program's memory equals the files")
def soon_equal(context):
    end = time.monotonic() + 20
    while True:
        try:
            context.execute_steps("Then the code of the libraries in the program's memory equals the files")
            return
        except AssertionError:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


@when("the second owner of a process id loses calls before the tracer knows of it")
def second_owner(context):
    scene = context.scene
    script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "second_owner.py")
    tracer = scene.trace(["--ring-size", "4K", "-o", "json", "--", sys.executable, "-B", script,
                          os.path.dirname(scene.program("basic"))])
    context.status = tracer.wait(60)
    if context.status == 3:
        context.scenario.skip("a process id cannot be chosen here")


@then('no loss is told of "{comm}", and nothing is called complete')
def not_blamed(context, comm):
    processes = last(context)["processes"]
    assert [process["lost"] for process in processes if process["comm"] == comm][-1] == 0, processes
    assert not any(process["complete"] for process in processes), processes
    assert lost(context) and all(event["comm"] != comm for event in lost(context)), lost(context)
