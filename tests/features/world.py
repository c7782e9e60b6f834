# SPDX-License-Identifier: Apache-2.0
"""The memory of a simulated machine, rebuilt from the truth log: which blocks there were, whose, of what kind, on which GPU, and what
a tracer had to say of each. What the log's fields mean: tests/sim/sim.h. Of the tracer nothing is taken but the times at which
processes ended, which no program can write down."""
from collections import Counter, defaultdict

from truth import ROWS, log

MAKES = ("alloc", "import", "node")
TAKES = ("free", "release", "unmap")
FAILS_AS_ALLOC = ("alloc", "import", "map", "node", "pool_new")
FAILS_AS_FREE = ("free", "release", "unmap", "pool_end")


class Call:
    """One call of a program. line: what settled it; api: what the program called; layer: who saw it."""

    def __init__(self, line, api=None):
        self.line, self.api = line, api or line["call"]
        self.layer = "both" if api else line["layer"]
        self.op, self.kind = ROWS[line["call"]][1:]
        self.pid, self.addr, self.size = line["pid"], line["addr"], line["size"]
        self.result, self.time_ns = line["result"], line["mono_ns"]


def join(lines):
    """A thread's lines as calls. The runtime's line stands for the last driver's line within it that does the same; other lines
    within it (a context that is made current) are calls of their own that nobody made."""
    outer, inner = None, []
    for line in sorted(lines, key=lambda line: line["enter_ns"]):
        if outer and line["layer"] == "driver" and line["mono_ns"] <= outer["mono_ns"]:
            inner.append(line)
            continue
        yield from close(outer, inner)
        outer, inner = (line, []) if line["layer"] == "runtime" else (None, [])
        if not outer:
            yield Call(line)
    yield from close(outer, inner)


def close(outer, inner):
    if not outer:
        return
    op = ROWS[outer["call"]][1]
    same = [line for line in inner if ROWS[line["call"]][1] == op]
    yield from (Call(line) for line in inner if line not in same)
    yield Call(same[-1], outer["call"]) if same else Call(outer)


def calls(path, since_ns=0, runtime=True):
    """In the order of their return. runtime: False where it is a part of the program, and its calls have no names."""
    threads = defaultdict(list)
    for line in log(path):
        if line["call"] in ROWS and line["enter_ns"] >= since_ns and (runtime or line["layer"] == "driver"):
            threads[line["pid"], line["tid"]].append(line)
    made = [call for thread in threads.values() for call in join(thread)]
    return sorted(made, key=lambda call: call.line["seq"])


def calls_seen(scene):
    """As the scene's tracer can see them."""
    fixed = any(word.endswith("-static") for word in scene.tracer.argv)
    return calls(scene.truth_path, scene.since_ns, runtime=not fixed and "driver" not in scene.tracer.argv)


class Block:
    def __init__(self, call, kind):
        line = call.line
        self.pid, self.addr, self.size, self.kind = call.pid, call.addr, call.size, kind
        self.placement = line["placement"]
        self.device = "GPU%d" % line["gpu"] if "gpu" in line else None
        self.virtual = kind == "graph" or (kind == "array" and not line.get("takes")) or call.op == "alloc" and \
            line["call"] == "cuMulticastCreate" or "MappedBuffer" in line["call"]
        self.home = None  # checkpointed: placement and GPU as before
        self.object = line.get("object")
        self.borrowed = False
        self.by_descriptor = False  # others can have it by one, that may be open or not

    def counts(self):
        return 0 if self.virtual or self.borrowed else self.size

    def told(self):
        """As in an alloc or free event."""
        return self.pid, self.addr, 0 if self.virtual else self.size, self.kind, self.placement, self.device


class World:
    """Replays calls; `ends` is {pid: when it ended}."""

    def __init__(self, made, ends):
        self.live = defaultdict(dict)  # pid -> addr -> Block
        self.at_exit = {}              # pid -> its blocks
        self.waiting = []              # nothing but a descriptor holds them
        self.exported = set()          # what went that others could have had by a descriptor
        self.allocs, self.frees, self.taken, self.unmatched = Counter(), Counter(), Counter(), Counter()
        self.alloc_failures, self.free_failures, self.nothings = Counter(), Counter(), Counter()
        self.totals = defaultdict(list)  # pid -> (addr, bytes held after it) of each allocation
        self.threads = defaultdict(set)
        steps = [(call.time_ns, 0, call) for call in made] + [(when, 1, pid) for pid, when in ends.items()]
        for _, is_end, what in sorted(steps, key=lambda step: step[:2]):
            if is_end:
                self.end(what)
            else:
                self.apply(what)

    def apply(self, call):
        self.threads[call.pid].add(call.line["tid"])
        if call.result:
            self.fail(call)
        elif call.op in MAKES and not (call.op == "node" and call.line.get("kind") != "graph"):
            self.make(call)
        elif call.op == "export":
            self.export(call)
        elif call.op in ("checkpoint", "restore"):
            self.move(int(call.addr, 16), call.op == "restore")
        elif call.line.get("gone"):
            reason = "call" if call.op in TAKES else "context"
            for addr in call.line["gone"]:
                self.take(call.pid, addr, reason, call.line.get("held"))
        elif call.op == "free" and call.addr != "0x0" and not call.line.get("graph"):
            if call.kind != "imported" or not call.line.get("held") or call.api.find("Ipc") < 0:
                self.take(call.pid, call.addr, "call")

    def fail(self, call):
        if call.op in FAILS_AS_ALLOC or call.result == 2:
            self.alloc_failures[call.pid, call.api, call.result, call.line["layer"]] += 1
        elif call.op in FAILS_AS_FREE:
            self.free_failures[call.pid, call.api, call.addr, call.result, call.line["layer"]] += 1

    def make(self, call):
        if call.line["call"].find("PoolImportFrom") >= 0:
            return  # a pool, no memory
        if call.addr == "0x0":
            self.nothings[call.pid, call.api] += 1
            return
        if call.op == "import" and call.addr in self.live[call.pid]:
            return  # opened once more
        block = Block(call, "imported" if call.op == "import" else call.line["kind"])
        if call.op == "import":
            block.borrowed = bool(self.holders(block.object))
        if block.kind == "graph" and block.addr in self.live[call.pid]:
            self.live[call.pid].pop(block.addr)  # of a graph that is no more
        self.live[call.pid][block.addr] = block
        self.allocs[block.told() + (call.api, call.layer)] += 1
        self.totals[call.pid].append((block.addr, self.bytes_of(call.pid)))

    def export(self, call):
        block = self.live[call.pid].get(call.line.get("handle", call.addr))
        if block and "object" in call.line:
            block.object = call.line["object"]
            block.by_descriptor = "fd" in call.line

    def move(self, pid, back):
        for block in self.live[pid].values():
            if back and block.home:
                (block.placement, block.device), block.home = block.home, None
            elif not back and block.placement == "vram":
                block.home, block.placement, block.device = (block.placement, block.device), "host", None

    def holders(self, object_number):
        """In the order in which they came."""
        return [block for blocks in self.live.values() for block in blocks.values()
                if object_number and block.object == object_number]

    def take(self, pid, addr, reason, held=False):
        block = self.live[pid].pop(addr, None)
        if not block:
            if reason == "call":
                self.unmatched[pid, addr] += 1
            return
        others = self.holders(block.object)
        if held and not others:
            self.waiting.append(block)
            return
        if reason == "exit" and others and not block.borrowed:
            reason = "exporter_gone"
        self.frees[block.told() + (reason,)] += 1
        if block.by_descriptor:
            self.exported.add(block.told())
        if others and not block.borrowed:
            others[0].borrowed = False
            self.taken[others[0].pid, others[0].addr, others[0].size] += 1

    def end(self, pid):
        self.at_exit[pid] = list(self.live[pid].values())
        for addr in list(self.live[pid]):
            self.take(pid, addr, "exit")

    def bytes_of(self, pid):
        return sum(block.counts() for block in self.live[pid].values())

    def held(self, pid):
        """Blocks that the process holds, or held when it ended."""
        return self.at_exit.get(pid) or list(self.live[pid].values())


class Said:
    """The same of what a tracer said."""

    def __init__(self, events):
        self.allocs, self.frees, self.taken, self.unmatched = Counter(), Counter(), Counter(), Counter()
        self.alloc_failures, self.free_failures, self.nothings = Counter(), Counter(), Counter()
        self.totals = defaultdict(list)
        self.maybe_captured = Counter()
        for event in events:
            handle = getattr(self, "on_" + event["event"], None)
            if handle:
                handle(event)

    @staticmethod
    def block(event):
        return tuple(event[name] for name in ("pid", "addr", "size", "kind", "placement", "device"))

    def on_alloc(self, event):
        if int(event["addr"] or "0", 16) == 0:
            self.nothings[event["pid"], event["api"]] += 1
            return
        self.allocs[self.block(event) + (event["api"], event["layer"])] += 1
        self.totals[event["pid"]].append((event["addr"], event["live_bytes"]))
        if event.get("maybe_captured"):
            self.maybe_captured[event["pid"], event["addr"], event["size"]] += 1

    def on_free(self, event):
        self.frees[self.block(event) + (event["reason"],)] += 1

    def on_taken(self, event):
        self.taken[event["pid"], event["addr"], event["size"]] += 1

    def on_free_unmatched(self, event):
        self.unmatched[event["pid"], event["addr"]] += 1

    def on_alloc_failed(self, event):
        self.alloc_failures[event["pid"], event["api"], event["error"], event["error_layer"]] += 1

    def on_free_failed(self, event):
        self.free_failures[event["pid"], event["api"], event["addr"], event["error"], event["error_layer"]] += 1
