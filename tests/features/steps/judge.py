# SPDX-License-Identifier: Apache-2.0
"""Steps that compare what the tracer said with what the simulated CUDA wrote down."""
import json
import os
from collections import Counter

from behave import then

from truth import Expected, Told, calls, difference, is_whole


def seen_calls(context, layer="both"):
    return [call for call in calls(context.scene.truth_path, layer) if call.enter_ns >= context.scene.since_ns]


def numbered_inside(told):
    """By the numbers that programs have for themselves, which are those of the log. Those outside of the namespace made no calls."""
    return [dict(item, pid=item["ns_pid"]) for item in told if item["pid"] is None or item["pid"] != item["ns_pid"]]


def told_events(context, tracer=None):
    """In a trace of the whole machine others' events are none of our business."""
    events = (tracer or context.scene.tracer).events()
    if getattr(context, "own_namespace", False):
        events = numbered_inside(events)
    if not getattr(context, "whole_machine", False):
        return events
    ours = {call.pid for call in calls(context.scene.truth_path)}
    return [event for event in events if event["event"] == "summary" or event["pid"] in ours]


def compare(expected, told):
    problems = []
    for what in ("allocs", "frees", "unmatched", "alloc_failures", "free_failures", "nothings"):
        problems += difference(what, getattr(expected, what), getattr(told, what))
    return problems


def judge(context, layer="both", min_size=0, tracer=None):
    made = seen_calls(context, layer)
    expected, events = Expected(made, min_size), told_events(context, tracer)
    problems = compare(expected, Told(events))
    problems += ["%s: %s" % (event["event"], event["human"]) for event in events if event["event"] in ("lost", "uncovered")]
    assert not problems, "\n".join(problems[:20])
    assert made, "the truth log is empty: nothing was tested"
    assert is_whole(context.scene.truth_path), "the truth log has gaps"
    return expected


@then("every call is told as it was made, and nothing else")
def all_told(context):
    context.expected = judge(context)


@then("every call of the {layer} is told as it was made, and nothing else")
def layer_told(context, layer):
    context.expected = judge(context, layer)


def nameless(counts):
    return Counter(item[:4] for item in counts.elements())


@then("every call is told to the byte, whatever its name")
def bytes_told(context):
    """Where the log cannot know which names a tracer can see: address, size, kind and process alone."""
    expected, told = Expected(seen_calls(context, "driver")), Told(told_events(context))
    problems = difference("allocs", nameless(expected.allocs), nameless(told.allocs))
    problems += difference("frees", expected.frees, told.frees)
    assert expected.allocs and not problems, "\n".join(problems[:20])


@then("every block of at least {size:d} bytes is told, and no smaller one")
def large_told(context, size):
    context.expected = judge(context, min_size=size)
    assert len(context.expected.allocs), "no block was that large"


@then("both have told every call as it was made, and nothing else")
def both_told(context):
    judge(context, tracer=context.scene.tracer)
    first = context.scene.first_tracer
    since, context.scene.since_ns = context.scene.since_ns, context.first_since_ns
    judge(context, tracer=first)
    context.scene.since_ns = since


@then("{count:d} allocations and {frees:d} frees are told")
def counts(context, count, frees):
    told = Told(told_events(context))
    got = sum(told.allocs.values()), sum(told.frees.values())
    assert got == (count, frees), got


def summary(context, tracer=None):
    events = (tracer or context.scene.tracer).events()
    assert events and events[-1]["event"] == "summary", "the last line is no summary"
    assert sum(event["event"] == "summary" for event in events) == 1
    if getattr(context, "own_namespace", False):
        return dict(events[-1], processes=numbered_inside(events[-1]["processes"]))
    return events[-1]


def of_process(context, pid):
    found = [process for process in summary(context)["processes"] if process["pid"] == pid]
    assert found, "the summary does not know process %d" % pid
    return found[-1]


@then("the summary holds for every process what it held")
def live_totals(context):
    """Live or, for a process that has ended, at its exit: bytes and blocks, by the truth."""
    expected = Expected(seen_calls(context))
    pids = {call.pid for call in seen_calls(context)}
    assert pids
    for pid in pids:
        process, left = of_process(context, pid), expected.left(pid)
        live = process["live_bytes"], process["live_count"]
        at_exit = process["held_at_exit_bytes"], process["held_at_exit_count"]
        assert left == (live if os.path.exists("/proc/%d" % pid) else at_exit), (pid, left, live, at_exit)


@then("what was left is told as freed by {reason}")
def ends_told(context, reason):
    expected = Expected(seen_calls(context))
    wanted = {(pid, addr, size, reason) for pid, blocks in expected.live.items() for addr, size in blocks.items()}
    told = Told(told_events(context)).ends
    assert wanted, "nothing was left: nothing was tested"
    assert set(told) == wanted and sum(told.values()) == len(wanted), (wanted, told)


@then("the summary calls {what} complete")
def complete(context, what):
    processes = summary(context)["processes"]
    pids = {call.pid for call in calls(context.scene.truth_path)}
    ours = [process for process in processes if process["pid"] in pids]
    assert ours and all(process["complete"] == (what == "it") for process in ours), ours


@then("the peak of the summary is {size:d} bytes")
def peak(context, size):
    peaks = [process["peak_bytes"] for process in summary(context)["processes"]]
    assert max(peaks) == size, peaks


@then("{count:d} processes allocated")
def process_count(context, count):
    pids = {event["pid"] for event in told_events(context) if event["event"] == "alloc"}
    assert len(pids) == count, pids


@then("the truth has an address that was given out again before its free returned")
def reuse_happened(context):
    made = seen_calls(context)
    frees = [call for call in made if call.op == "free" and not call.result]
    allocs = [call for call in made if call.op == "alloc" and not call.result]
    assert any(free.addr == alloc.addr and free.enter_ns < alloc.return_ns < free.return_ns
               for free in frees for alloc in allocs), "the simulation did not do it: nothing was tested"


@then("every event names the simulated card")
def simulated(context):
    events = context.scene.tracer.events()
    assert events and all(event.get("simulated") is True for event in events)


@then("every later call is told as it was made")
def later_told(context):
    since = context.scene.since_ns
    events = [event for event in told_events(context) if event["event"] != "summary" and event["mono_ns"] >= since]
    expected = Expected(seen_calls(context))
    assert expected.allocs
    problems = compare(expected, Told(events))
    assert not problems, "\n".join(problems)


@then("the last program's {allocs:d} allocations and {frees:d} frees are told")
def last_told(context, allocs, frees):
    events = [event for event in context.scene.tracer.events() if event.get("pid") == context.second.pid]
    assert sum(event["event"] == "alloc" for event in events) == allocs, events
    assert sum(event["event"] == "free" for event in events) == frees, events


@then("at most {count:d} calls at the start are missing")
def start_missing(context, count):
    """The calls that are told are all calls from some point on, and that point is early. (The driver may be probed a moment
    before the runtime: then the first call has the driver's name only.)"""
    made, told = seen_calls(context, "driver"), Told(told_events(context))
    for missing in range(count + 1):
        expected = Expected(made[missing:])
        if nameless(expected.allocs) == nameless(told.allocs) and expected.frees == told.frees and \
           expected.unmatched == told.unmatched:
            return
    raise AssertionError("\n".join(compare(Expected(made), told)))


@then("what was left but one in flight is told as freed by exit")
def ends_told_in_flight(context):
    """Killed inside a call, a program's last block may be in the log, in the ledger, or in neither of them."""
    live = {(pid, addr, size) for pid, blocks in Expected(seen_calls(context)).live.items() for addr, size in blocks.items()}
    ends = {item[:3] for item in Told(told_events(context)).ends if item[3] == "exit"}
    assert ends and len(live ^ ends) <= 1, (live, ends)


@then("the summary counts {count:d} failed")
def failed_count(context, count):
    assert sum(process["failed"] for process in summary(context)["processes"]) == count


@then('the summary has {size:d} bytes at exit of the caller "{name}"')
def by_caller(context, size, name):
    callers = [slices for process in summary(context)["processes"] for slices in process["by_caller"].items()]
    found = [values for caller, values in callers if name in caller]
    assert len(found) == 1 and found[0]["bytes"] == size, callers


@then("the summary counts as many calls as the program")
def call_count(context):
    text = context.scene.tracer.err()
    said = json.loads([line for line in text.split("\n") if line.startswith('{"program"')][0])
    process = summary(context)["processes"][-1]
    # Some more calls make contexts, streams and pools, and no memory.
    assert process["complete"] and 0 <= process["calls"] - said["calls"] <= 20 * said["threads"], (process, said)
    assert process["allocated_count"] == said["allocs"], (process, said)
    assert process["held_at_exit_count"] == said["allocs"] - said["frees"], (process, said)


def of_kind(context, kind):
    found = [event for event in told_events(context) if event["event"] == kind]
    assert found, "no event " + kind
    return found


@then('every "{kind}" event has {pairs}')
def event_has(context, kind, pairs):
    """KEY=VALUE, ... ; a dot goes one level down."""
    for event in of_kind(context, kind):
        for pair in pairs.split(", "):
            name, value = pair.split("=", 1)
            value = value.replace("{prog}", os.path.join(context.scene.build, "prog"))
            got = event
            for key in name.split("."):
                got = got[key]
            assert str(got) == value, "%s: %s is %r" % (kind, name, got)


@then('there is no "{kind}" event')
def no_event(context, kind):
    found = [event for event in told_events(context) if event["event"] == kind]
    assert not found, found[:3]


@then('there is an "{kind}" event with {pairs}')
@then('there is a "{kind}" event with {pairs}')
def some_event(context, kind, pairs):
    wanted = dict(pair.split("=", 1) for pair in pairs.split(", "))
    events = of_kind(context, kind)
    assert any(all(str(event[name]) == value for name, value in wanted.items()) for event in events), events[:5]


@then("every line has the keys that the schema promises")
def common_keys(context):
    keys = ("schema", "event", "ts", "mono_ns", "host", "pid", "tid", "ns_pid", "comm", "actor", "action", "level", "device",
            "device_uuid", "human")
    for event in context.scene.tracer.events():
        missing = [key for key in keys if key not in event]
        assert not missing and event["schema"] == 1 and event["actor"] == "vram-residency", (missing, event)


@then("identities and times fit the truth")
def identities(context):
    """Threads, and that each event's time lies inside its call."""
    made = {(call.pid, call.tid, call.addr, call.op): call for call in seen_calls(context) if not call.result}
    events = [event for event in told_events(context) if event["event"] in ("alloc", "free") and event["api"]]
    assert events
    for event in events:
        call = made[event["pid"], event["tid"], event["addr"], event["event"]]
        assert call.enter_ns <= event["mono_ns"] <= call.return_ns + 50_000_000, (event, vars(call))
