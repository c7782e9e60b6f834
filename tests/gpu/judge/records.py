# SPDX-License-Identifier: Apache-2.0
"""CUPTI's memory records (CUPTI_ACTIVITY_KIND_MEMORY2) as a multiset of (what, address, size, kind), and what they do not tell."""
import collections

ALLOCATION, RELEASE = 1, 2
PINNED, DEVICE, ARRAY, MANAGED = 2, 3, 4, 5
STATICS = (6, 7)
KIND_NAMES = {0: "unknown", 1: "pageable", PINNED: "pinned", DEVICE: "device", ARRAY: "array", MANAGED: "managed"}
JUDGED = ("device", "managed", "pinned", "pool")  # other kinds are judged by the calls

Record = collections.namedtuple("Record", "stamp operation kind address size is_async device")


def parse_record(words):
    """The words of a `memory` line, without the first."""
    operation, kind, address, size, is_async, _pid, device, stamp = words
    return Record(int(stamp), int(operation), int(kind), int(address, 16), int(size), int(is_async), int(device))


class Records:
    """events: the multiset; devices: (address, size, device) of what lies on one; array_bytes: in order of time; ended: releases
    that CUPTI tells as a context ends, by address."""

    def __init__(self, records, account, gaps):
        self.events, self.devices, self.ended = collections.Counter(), collections.Counter(), collections.Counter()
        self.array_bytes, self.kinds, self.account, self.gaps = [], {}, account, gaps
        for record in sorted(records):
            self.add(record)

    def add(self, record):
        reason = self.not_judged(record)
        if reason:
            self.gaps.take(f"CUPTI: {reason}")
            return
        kind = self.kind_of(record)
        if record.operation == ALLOCATION:
            self.kinds[record.address] = kind
            self.events["alloc", record.address, record.size, kind] += 1
            if kind in ("device", "pool"):
                self.devices[record.address, record.size, record.device] += 1
        elif record.operation == RELEASE:
            # Whether a block came from a pool is said by its allocation: cudaFree may release such a block, too.
            self.events["free", record.address, record.size, self.kinds.get(record.address, kind)] += 1

    @staticmethod
    def kind_of(record):
        if record.is_async and record.kind in (DEVICE, PINNED):
            return "pool"
        return KIND_NAMES.get(record.kind, str(record.kind))

    def not_judged(self, record):
        if record.kind in STATICS:
            return "module variables (kinds 6 and 7, no allocation call)"
        if record.kind == ARRAY:
            if record.operation == ALLOCATION:
                self.array_bytes.append(record.size)
            return "records of arrays (by address, not by handle: judged by the calls)"
        if record.address == 0:
            return "address 0 (allocations of nothing, growth of graph pools)"
        if self.account.ending(record.stamp):
            if record.operation == RELEASE:
                self.ended[record.address] += 1
            return "told while a context ended"
        maker = self.account.maker(record.address, record.stamp)
        if maker and maker not in JUDGED:
            return f"records of what is {maker} (judged by the calls)"
        return None


def handed_out_twice(theirs):
    """How many frees must have been that CUPTI has no record of: it saw the same address allocated again without one."""
    allocs, frees = collections.Counter(), collections.Counter()
    for (what, address, _size, _kind), count in theirs.items():
        (allocs if what == "alloc" else frees)[address] += count
    return sum(max(0, count - 1 - frees[address]) for address, count in allocs.items())
