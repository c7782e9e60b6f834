# SPDX-License-Identifier: Apache-2.0
"""What the simulated CUDA wrote down, and what a tracer has to say about it.

The log has a line per call and layer. A driver's line inside a runtime's line of the same thread is the same call: the driver
settles it, the runtime names it."""
import json
import os
import re
from collections import Counter, defaultdict

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def probe_rows():
    """{symbol: (layer, op, kind)} of the probe table."""
    with open(os.path.join(ROOT, "include/vramtrace/probes.def"), encoding="utf-8") as file:
        rows = re.findall(r"^PROBE\((\w+), (\w+), \w+, (\w+), (\w+)\)", file.read(), re.M)
    return {symbol: (layer.lower(), op.lower(), kind.lower()) for symbol, layer, op, kind in rows}


ROWS = probe_rows()


def log(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def lines(path):
    """The calls of the probe table that allocate or free, as logged."""
    return [line for line in log(path) if line["call"] in ROWS and ROWS[line["call"]][1] in ("alloc", "free")]


def is_whole(path):
    """Numbers count without a gap: the judge itself has lost nothing."""
    numbers = sorted(line["seq"] for line in log(path))
    return numbers == list(range(1, len(numbers) + 1))


class Call:
    """One call of a program: `settles` is the line that counts, `api` what the program called."""

    def __init__(self, outer, inner):
        self.settles = inner or outer
        self.api = outer["call"]
        self.layer = "both" if inner else ROWS[outer["call"]][0]
        # An allocation's kind and operation are those of the call that settles it.
        self.op, self.kind = ROWS[self.settles["call"]][1:]
        self.pid, self.tid = outer["pid"], outer["tid"]
        self.addr, self.size = self.settles["addr"], self.settles["size"]
        self.result = self.settles["result"]
        self.enter_ns, self.return_ns = self.settles["enter_ns"], self.settles["mono_ns"]


def calls_of_thread(logged):
    """In the order of entry a runtime's line stands right before the driver's lines that it contains. Where the runtime repeats
    what has failed, the last one counts."""
    logged = sorted(logged, key=lambda line: line["enter_ns"])
    outer = inner = None
    for line in logged:
        if outer and line["layer"] == "driver" and line["mono_ns"] <= outer["mono_ns"]:
            inner = line
            continue
        if outer:
            yield Call(outer, inner)
        outer, inner = (line if line["layer"] == "runtime" else None), None
        if not outer:
            yield Call(line, None)
    if outer:
        yield Call(outer, inner)


def calls(path, layer="both"):
    """Calls in the order of their return, as a tracer of these layers can see them."""
    threads = defaultdict(list)
    for line in lines(path):
        if layer in ("both", line["layer"]):
            threads[line["pid"], line["tid"]].append(line)
    found = [call for thread in threads.values() for call in calls_of_thread(thread)]
    return sorted(found, key=lambda call: call.return_ns)


class Expected:
    """What has to be told of these calls, as multisets, and what is left alive."""

    def __init__(self, made, min_size=0):
        self.allocs, self.frees, self.unmatched = Counter(), Counter(), Counter()
        self.alloc_failures, self.free_failures, self.nothings = Counter(), Counter(), Counter()
        self.live = defaultdict(dict)
        self.min_size = min_size
        # A free gives its address back when it is entered or a little later, so a delayed free's line can come after that
        # of the address's next owner.
        for call in sorted(made, key=lambda call: call.return_ns if call.op == "alloc" else call.enter_ns):
            if call.op == "alloc":
                self.add_alloc(call)
            else:
                self.add_free(call)

    def add_alloc(self, call):
        if call.result:
            self.alloc_failures[call.pid, call.size, call.result, call.api, call.settles["layer"]] += 1
        elif call.addr == "0x0":
            self.nothings[call.pid, call.api] += 1
        else:
            self.live[call.pid][call.addr] = call.size
            if call.size >= self.min_size:
                self.allocs[call.pid, call.addr, call.size, call.kind, call.api, call.layer] += 1

    def add_free(self, call):
        if call.result:
            self.free_failures[call.pid, call.addr, call.result, call.api] += 1
        elif call.addr != "0x0":
            size = self.live[call.pid].pop(call.addr, None)
            if size is None:
                self.unmatched[call.pid, call.addr] += 1
            elif size >= self.min_size:
                self.frees[call.pid, call.addr, size] += 1

    def left(self, pid):
        """(bytes, blocks) that the process holds, or held when it ended."""
        return sum(self.live[pid].values()), len(self.live[pid])


class Told:
    """The same multisets of what a tracer said."""

    def __init__(self, events):
        def count(kind, *names):
            return Counter(tuple(event[name] for name in names) for event in events if event["event"] == kind)
        self.nothings = Counter((event["pid"], event["api"]) for event in events if event["event"] == "alloc" and
                                int(event["addr"] or "0", 16) == 0)
        some = [event for event in events if event["event"] != "alloc" or int(event["addr"] or "0", 16)]
        self.allocs = Counter((event["pid"], event["addr"], event["size"], event["kind"], event["api"], event["layer"])
                              for event in some if event["event"] == "alloc")
        self.frees = Counter((event["pid"], event["addr"], event["size"]) for event in events
                             if event["event"] == "free" and event["reason"] == "call")
        self.ends = Counter((event["pid"], event["addr"], event["size"], event["reason"]) for event in events
                            if event["event"] == "free" and event["reason"] != "call")
        self.unmatched = count("free_unmatched", "pid", "addr")
        self.alloc_failures = count("alloc_failed", "pid", "size", "error", "api", "error_layer")
        self.free_failures = count("free_failed", "pid", "addr", "error", "api")


def difference(what, expected, told):
    """Readable, empty when equal."""
    lines = ["%s missing: %dx %s" % (what, count, item) for item, count in (expected - told).items()]
    lines += ["%s invented: %dx %s" % (what, count, item) for item, count in (told - expected).items()]
    return lines
