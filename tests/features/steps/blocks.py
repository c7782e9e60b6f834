# SPDX-License-Identifier: Apache-2.0
"""Steps that compare the whole ledger, block by block, with the machine as the truth log has it."""
import os
from collections import Counter

from behave import then

from judge import summary, told_events
from truth import difference, is_whole
from world import Said, World, calls_seen

UUID = "GPU-7672616d-7369-6d00-0000-%012d"  # of the simulated GPU at a place on the bus, from 1


def ends_of(context, pids):
    """When the processes ended: as the tracer says, once each."""
    ends = {event["pid"]: event["mono_ns"] for event in told_events(context)
            if event["event"] == "process" and event["what"] == "exit"}
    assert all(pid in ends or os.path.exists("/proc/%d" % pid) for pid in pids), "an end was not told"
    return {pid: ends[pid] for pid in pids if pid in ends}


def build(context):
    scene = context.scene
    made = calls_seen(scene)
    assert made, "the truth log is empty: nothing was tested"
    assert is_whole(scene.truth_path), "the truth log has gaps"
    return World(made, ends_of(context, {call.pid for call in made}))


def of_graphs(counts):
    """Addresses of graphs stay in the ledger until they are given out again, freed outside, or the process ends: which of these it
    was is no matter."""
    return Counter({item: count for item, count in counts.items() if item[3] != "graph"})


def forgive_captured(world, said):
    """An allocation by an event into a capture looks like any other: the tracer takes it for memory of a pool, and says that it may
    not be."""
    for (pid, addr, size), count in said.maybe_captured.items():
        for true in [item for item in world.allocs if item[:2] == (pid, addr) and item[3] == "graph"]:
            as_told = (pid, addr, size, "pool") + true[4:]
            known = min(count, world.allocs[true], said.allocs[as_told])
            world.allocs[true] -= known
            said.allocs[as_told] -= known
            for free in [item for item in said.frees if item[:4] == as_told[:4]]:
                del said.frees[free]
            world.totals.pop(pid, None)


def forgive_waiting(world, said):
    """What a descriptor alone held goes when the tracer sees that it is closed, at the latest when the process ends. It looks once a
    second, so what was let go after the descriptor had been closed may go a little later, by that reason."""
    for told in world.exported:
        late = min(said.frees[told + ("descriptor",)], world.frees[told + ("call",)])
        said.frees[told + ("descriptor",)] -= late
        world.frees[told + ("call",)] -= late
    for block in world.waiting:
        for reason in ("descriptor", "exit", "call"):
            if said.frees[block.told() + (reason,)]:
                said.frees[block.told() + (reason,)] -= 1
                break


def compare_blocks(world, said):
    problems = difference("frees", of_graphs(+world.frees), of_graphs(+said.frees))
    for what in ("allocs", "taken", "unmatched", "alloc_failures", "free_failures", "nothings"):
        problems += difference(what, +getattr(world, what), +getattr(said, what))
    for pid, totals in world.totals.items():
        if len(world.threads[pid]) == 1 and totals != said.totals[pid]:
            wrong = [pair for pair in zip(totals, said.totals[pid]) if pair[0] != pair[1]]
            problems.append("totals of %d: %d, %s" % (pid, len(said.totals[pid]), wrong[:2]))
    return problems


def compare_process(process, blocks):
    """by_kind and by GPU; bytes that count, with those of borrowed and virtual blocks apart."""
    kinds, gpus = Counter(), Counter()
    for block in blocks:
        kinds[block.kind] += block.counts()
        if block.placement == "vram":
            gpus[block.device] += block.counts()
    told_kinds = Counter({kind: slice["bytes"] for kind, slice in process["by_kind"].items()})
    told_gpus = Counter({device["device"]: device["vram_bytes"] for device in process["devices"]})
    total = process["held_at_exit_bytes"] if process["ended"] else process["live_bytes"]
    pid = process["pid"]
    return difference("kind of %d" % pid, +kinds, +told_kinds) + difference("GPU of %d" % pid, +gpus, +told_gpus) + \
        (["total of %d: %d, not %d" % (pid, total, sum(kinds.values()))] if total != sum(kinds.values()) else [])


@then("the ledger equals the truth")
def equal(context):
    world, events = build(context), told_events(context)
    said = Said(events)
    forgive_captured(world, said)
    forgive_waiting(world, said)
    problems = compare_blocks(world, said)
    problems += ["%s: %s" % (event["event"], event["human"]) for event in events if event["event"] in ("lost", "uncovered")]
    told = {process["pid"]: process for process in summary(context)["processes"]}
    for pid in world.threads:
        problems += compare_process(told[pid], world.held(pid)) if pid in told else ["no process %d" % pid]
    assert not problems, "\n".join(problems[:20])
    context.world = world


@then("the truth has {what}")
def truth_has(context, what):
    """KIND, ... : a block of each kind was made. So a scenario cannot pass by doing nothing."""
    kinds = {item[3] for item in context.world.allocs}
    missing = [kind for kind in what.split(", ") if kind not in kinds]
    assert not missing, "%s: nothing was tested; there were %s" % (missing, kinds)


@then("blocks were on {devices}")
def on_devices(context, devices):
    got = {item[5] for item in context.world.allocs if item[4] == "vram"}
    assert got == set(devices.split(", ")), got


@then('{count:d} blocks left by {reason}')
def left_by(context, count, reason):
    got = sum(count for item, count in context.world.frees.items() if item[6] == reason)
    assert got == count, got


@then("something may have been captured, and the totals say so")
def captured(context):
    said = Said(told_events(context))
    assert said.maybe_captured
    assert all(not process["complete"] for process in summary(context)["processes"])


@then("the blocks of the ledger equal the truth")
def blocks_equal(context):
    """By one layer alone: whatever the names of the calls, and their failures above that layer."""
    world, said = build(context), Said(told_events(context))
    problems = difference("allocs", nameless(world.allocs), nameless(said.allocs))
    problems += difference("frees", of_graphs(world.frees), of_graphs(said.frees))
    problems += difference("taken", world.taken, said.taken)
    assert world.allocs and not problems, "\n".join(problems[:20])


def nameless(counts):
    return Counter(item[:6] for item in counts.elements())


@then("every block's UUID is that of its GPU")
def uuids(context):
    blocks = [event for event in told_events(context) if event["event"] in ("alloc", "free") and event["device"]]
    assert blocks
    for event in blocks:
        assert event["device_uuid"] == UUID % (int(event["device"][3:]) + 1), event


@then("blocks were told on {device}")
def told_on(context, device):
    got = {event["device"] for event in told_events(context) if event["event"] == "alloc" and event["placement"] == "vram"}
    assert got == {device}, got
