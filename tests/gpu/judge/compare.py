#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py TRACE.json CUPTI_DIR: our events against CUPTI's memory records of the same run.

Per process the multisets of (alloc or free, address, bytes, kind) must be equal. What CUPTI tells otherwise, or what lies outside
its sight, is taken out on both sides only by the rules below, and each rule that was used is printed with its count. Prints
`equal N` and status 0, or the differences and status 1; status 2 when there was nothing to compare.
"""
import collections
import glob
import json
import os
import sys

ALLOCATION, RELEASE = 1, 2
PINNED, DEVICE, ARRAY, MANAGED = 2, 3, 4, 5
STATICS = (6, 7)
KIND_NAMES = {0: "unknown", 1: "pageable", PINNED: "pinned", DEVICE: "device", ARRAY: "array", MANAGED: "managed"}
SHOWN = 20


class Gaps(collections.Counter):
    """Rule -> how many records it took out."""

    def take(self, rule):
        self[rule] += 1


def read_cupti_file(path, gaps):
    """(records in time order, CLOCK_MONOTONIC of the last flush or None)"""
    rows, flushed = [], None
    with open(path, encoding="ascii") as file:
        for line in file:
            word, *fields = line.split()
            if word == "memory":
                operation, kind, address, size, is_async, _pid, _device, stamp = fields
                rows.append((int(stamp), int(operation), int(kind), int(address, 16), int(size), int(is_async)))
            elif word == "flushed":
                flushed = int(fields[0])
            elif word == "dropped":
                gaps["records that CUPTI itself dropped"] += int(fields[0])
            elif word == "error":
                sys.exit(f"CUPTI could not be enabled: error {fields[0]}")
    return sorted(rows), flushed


def cupti_multiset(rows, gaps):
    seen, kinds = collections.Counter(), {}
    for _stamp, operation, kind, address, size, is_async in rows:
        if kind in STATICS:
            gaps.take("CUPTI: module variables (kinds 6 and 7, no allocation call)")
        elif kind == ARRAY:
            gaps.take("CUPTI: arrays (not probed in this version)")
        elif address == 0:
            gaps.take("CUPTI: address 0 (allocations of nothing, growth of graph pools)")
        elif operation == ALLOCATION:
            name = "pool" if is_async and kind == DEVICE else KIND_NAMES.get(kind, str(kind))
            kinds[address] = name
            seen["alloc", address, size, name] += 1
        elif operation == RELEASE:
            # Whether a block came from a pool is said by its allocation: cudaFree may release such a block, too.
            name = kinds.get(address) or ("pool" if is_async and kind == DEVICE else KIND_NAMES.get(kind, str(kind)))
            seen["free", address, size, name] += 1
    return seen


def read_trace(path):
    """pid -> events, and the summary"""
    events, summary = collections.defaultdict(list), None
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if row["event"] == "summary":
                summary = row
            elif row.get("pid") is not None:
                events[row["ns_pid"] or row["pid"]].append(row)
    return events, summary


def from_cupti_itself(row):
    module = (row.get("caller") or {}).get("module") or ""
    return "libcupti" in os.path.basename(module)


def frees_by_others(rows):
    """Frees on another thread than the block's allocation."""
    owners, seen = {}, collections.Counter()
    for row in rows:
        if row["event"] == "alloc":
            owners[row["id"]] = row["tid"]
        elif row["event"] == "free" and row["reason"] == "call" and owners.get(row["id"], row["tid"]) != row["tid"]:
            seen["free", int(row["addr"], 16), row["size"], row["kind"]] += 1
    return seen


def handed_out_twice(theirs):
    """How many frees must have been that CUPTI has no record of: it saw the same address allocated again without one."""
    allocs, frees = collections.Counter(), collections.Counter()
    for (what, address, _size, _kind), count in theirs.items():
        (allocs if what == "alloc" else frees)[address] += count
    return sum(max(0, count - 1 - frees[address]) for address, count in allocs.items())


def take_unrecorded_frees(rows, theirs, ours, gaps):
    """CUPTI of CUDA 13.0 does not record a free on another thread than the allocation's, although it records the allocations that
    get the same address afterwards. Those frees, and only those, are taken out of ours."""
    missing = (ours - theirs) & frees_by_others(rows)
    if missing:
        gaps["ours: free on another thread than the allocation's, not recorded by CUPTI (it saw addresses handed out "
             f"again that prove at least {handed_out_twice(theirs)} of them)"] += sum(missing.values())
    return ours - missing


def our_multiset(rows, flushed, gaps):
    seen = collections.Counter()
    for row in rows:
        event = row["event"]
        if event in ("alloc_failed", "free_failed"):
            gaps.take(f"ours: {event} (CUPTI has successful calls only)")
        elif event not in ("alloc", "free", "free_unmatched"):
            continue
        elif event == "free" and row["reason"] != "call":
            gaps.take(f"ours: freed by {row['reason']} (no call, CUPTI is silent)")
        elif flushed is not None and row["mono_ns"] > flushed:
            gaps.take(f"ours: {event} after CUPTI's last flush, at the end of the process")
        elif event == "alloc" and row["size"] == 0:
            gaps.take("ours: allocations of nothing")
        elif from_cupti_itself(row):
            gaps.take(f"ours: {event} called by libcupti itself")
        elif event == "free_unmatched":
            seen["free_unmatched", int(row["addr"], 16), None, None] += 1
        else:
            seen[event, int(row["addr"], 16), row["size"], row["kind"]] += 1
    return seen


def show(title, difference):
    for (what, address, size, kind), count in sorted(difference.items(), key=str)[:SHOWN]:
        print(f"  {title}: {count} x {what} {address:#x} {size} {kind}")
    if len(difference) > SHOWN:
        print(f"  {title}: {len(difference) - SHOWN} more")


def main():
    trace_path, folder = sys.argv[1:3]
    events, summary = read_trace(trace_path)
    gaps, equal, wrong = Gaps(), 0, 0
    judged = {int(path.rsplit(".", 1)[1]): path for path in glob.glob(os.path.join(folder, "cupti.*"))}
    for pid in sorted(set(events) | set(judged)):
        rows, flushed = read_cupti_file(judged[pid], gaps) if pid in judged else ([], None)
        if pid not in judged and any(row["event"] in ("alloc", "free") for row in events[pid]):
            print(f"  pid {pid}: CUPTI was not loaded in it")
        if pid in judged and flushed is None:
            print(f"  pid {pid}: ended without a last flush: CUPTI's records are incomplete")
        theirs = cupti_multiset(rows, gaps)
        ours = our_multiset(events.get(pid, []), flushed, gaps)
        ours = take_unrecorded_frees(events.get(pid, []), theirs, ours, gaps)
        show(f"pid {pid}: only CUPTI has", theirs - ours)
        show(f"pid {pid}: only we have", ours - theirs)
        wrong += sum((theirs - ours).values()) + sum((ours - theirs).values())
        equal += sum((theirs & ours).values())
    for rule, count in sorted(gaps.items()):
        print(f"  gap: {count} x {rule}")
    if summary is None:
        print("  no summary line: the trace was cut off")
        wrong += 1
    elif summary.get("lost"):
        print(f"  our own totals say: lost {summary['lost']}")
        wrong += 1
    elif not summary.get("complete", True):
        print("  note: our own totals are marked incomplete (a library was noticed only when it was mapped); the comparison judges")
    print(f"equal {equal} different {wrong}")
    sys.exit(1 if wrong else 0 if equal else 2)


if __name__ == "__main__":
    main()
