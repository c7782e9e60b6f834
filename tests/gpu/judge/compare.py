#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py TRACE.json CUPTI_DIR: our events against CUPTI's account (account.h) of the same run, process by process.

Twice: with its memory records, which cover device, managed, pinned and pool memory, as (alloc or free, address, bytes, kind); and with
the driver calls that its callbacks saw, which cover all kinds, mappings, imports and failures. What CUPTI tells otherwise, or what lies
outside its sight, is taken out only by the rules of records.py and trace.py and of this file, and each rule that was used is printed
with its count. Prints `equal N different N` last and status 0, or the differences and status 1; status 2 when there was nothing to compare.
"""
import collections
import glob
import os
import sys

from calls import Account, parse_call
from records import JUDGED, Records, handed_out_twice, parse_record
from trace import Told, frees_by_others, read_trace

SHOWN = 20


class Gaps(collections.Counter):
    """Rule -> how many events it took out."""

    def take(self, rule, count=1):
        if count:
            self[rule] += count


class Score:
    def __init__(self):
        self.equal = self.different = 0

    def judge(self, title, theirs, must, may=None):
        """All that must be there, and nothing that may not."""
        only_theirs, only_ours = theirs - must - (may or collections.Counter()), must - theirs
        show(f"{title}: only CUPTI has", only_theirs)
        show(f"{title}: only we have", only_ours)
        self.different += sum(only_theirs.values()) + sum(only_ours.values())
        self.equal += sum((theirs & must).values())


def show(title, difference):
    for (what, address, size, kind), count in sorted(difference.items(), key=str)[:SHOWN]:
        print(f"  {title}: {count} x {what} {'-' if address is None else hex(address)} {size} {kind}")
    if len(difference) > SHOWN:
        print(f"  {title}: {len(difference) - SHOWN} more")


class File:
    """One process' account as it was written."""

    def __init__(self, path, gaps):
        self.records, self.calls, self.devices, self.flushed, self.calls_only = [], [], {}, None, False
        if path is None:
            return
        with open(path, encoding="ascii") as file:
            for line in file:
                word, *fields = line.split()
                if word == "memory":
                    self.records.append(parse_record(fields))
                elif word == "call":
                    self.calls.append(parse_call(fields))
                elif word == "device":
                    self.devices[int(fields[0])] = fields[1]
                elif word == "flushed":
                    self.flushed = int(fields[0])
                elif word == "calls_only":
                    self.calls_only = True
                elif word == "dropped":
                    gaps.take("records that CUPTI itself dropped", int(fields[0]))
                elif word == "error":
                    sys.exit(f"CUPTI could not be enabled: error {fields[0]}")
        if self.flushed is not None:
            self.calls = [call for call in self.calls if call.mono <= self.flushed]


def judge_records(title, file, account, rows, told, scores, gaps):
    theirs = Records(file.records, account, gaps)
    # In a program that makes contexts CUPTI tells each record more than once: the calls say how often it was.
    own_contexts = any(call.name == "cuCtxDestroy_v2" for call in file.calls)
    for key, count in theirs.events.items():
        called = account.events[key]
        if own_contexts and 0 < called < count:
            gaps.take("CUPTI: told again, for there were several contexts (by the calls it was once)", count - called)
            theirs.events[key] = called
    ours, may = (collections.Counter({key: count for key, count in some.items()
                                      if key[0] in ("alloc", "free", "free_unmatched") and (key[3] in JUDGED or not key[3])})
                 for some in (told.must, told.may + told.doubted))
    if file.calls:  # what has no allocation that is known is judged by the calls
        ours = collections.Counter({key: count for key, count in ours.items() if key[0] != "free_unmatched"})
    # CUPTI of CUDA 13.0 does not record a free on another thread than the allocation's, although it records the allocations that
    # get the same address afterwards. Those frees, and only those, are taken out of ours.
    if file.calls_only:
        gaps.take("ours: CUPTI's memory records crash this program, judged by the calls alone", sum(ours.values()))
        ours.clear()
    missing = (ours - theirs.events) & frees_by_others(rows)
    gaps.take("ours: free on another thread than the allocation's, not recorded by CUPTI (it saw addresses handed out "
              f"again that prove at least {handed_out_twice(theirs.events)} of them)", sum(missing.values()))
    ours -= missing
    if file.calls and file.flushed is None:
        gaps.take("ours: not recorded by CUPTI, which was not flushed (judged by the calls)", sum((ours - theirs.events).values()))
        ours &= theirs.events
    scores["records"].judge(f"{title} records", theirs.events, ours, may)
    if theirs.array_bytes or account.array_bytes:
        print(f"  {title}: bytes of arrays: CUPTI {theirs.array_bytes}, by their extents {account.array_bytes}")
    if theirs.ended or told.context:
        print(f"  {title}: gone with a context: {sum((theirs.ended & told.context).values())} told by both, "
              f"{sum((theirs.ended - told.context).values())} by CUPTI alone, "
              f"{sum((told.context - theirs.ended).values())} by us alone")
    return theirs


def judge_calls(title, account, told, scores, gaps):
    repeated = (account.events - told.must) & account.repeated
    gaps.take("CUPTI: failed for want of a context within a runtime call, which made one and called again", sum(repeated.values()))
    theirs, must = account.events - repeated, told.must
    # A descriptor that is still open keeps memory whose last reference went: then the free is told later, or by the exit.
    gaps.take("ours: freed with the last descriptor, or left to an importer (no call)", sum((told.soft - theirs - account.soft).values()))
    must = must + (told.soft & theirs)
    gaps.take("CUPTI: last reference gone, a descriptor was exported", sum((account.soft - must).values()))
    # While a stream is in capture we say of what another one allocates that it may be captured; CUPTI's side asked the driver.
    real = told.doubted & theirs
    gaps.take("ours: marked maybe_captured, and it was captured", sum((told.doubted - real).values()))
    captured = collections.Counter({(what, address, size, "graph"): count
                                    for (what, address, size, _kind), count in (told.doubted - real).items()})
    scores["calls"].judge(f"{title} calls", theirs, must - (must & account.soft) + real, told.may + captured)


def judge_devices(title, file, account, theirs, told, scores):
    """Wherever both know on which GPU a block lies."""
    right, unknown = 0, 0
    for (address, size, device), count in (account.devices | theirs.devices).items():
        uuids = told.devices.get((address, size))
        if not uuids or device not in file.devices:
            unknown += count
        elif file.devices[device] in uuids:
            right += count
        else:
            print(f"  {title}: {address:#x} {size} is on {file.devices[device]}, we say {' '.join(sorted(uuids))}")
            scores["devices"].different += count
    scores["devices"].equal += right
    if file.devices and unknown:
        print(f"  {title}: device of {unknown} blocks not known")


def judge_process(pid, path, rows, scores, gaps):
    title, file = f"pid {pid}", File(path, gaps)
    if path is None and any(row["event"] in ("alloc", "free") for row in rows):
        print(f"  {title}: CUPTI was not loaded in it")
    if path is not None and file.flushed is None:
        print(f"  {title}: ended without a last flush: CUPTI's records are incomplete")
    account, told = Account(file.calls), Told(rows, file.flushed, gaps)
    theirs = judge_records(title, file, account, rows, told, scores, gaps)
    if file.calls:
        judge_calls(title, account, told, scores, gaps)
        judge_devices(title, file, account, theirs, told, scores)


def main():
    trace_path, folder = sys.argv[1:3]
    events, summary = read_trace(trace_path)
    judged = {int(path.rsplit(".", 1)[1]): path for path in glob.glob(os.path.join(folder, "cupti.*"))}
    scores, gaps, wrong = collections.defaultdict(Score), Gaps(), 0
    for pid in sorted(set(events) | set(judged)):
        judge_process(pid, judged.get(pid), events.get(pid, []), scores, gaps)
    for rule, count in sorted(gaps.items()):
        print(f"  gap: {count} x {rule}")
    if summary is None:
        print("  no summary line: the trace was cut off")
        wrong += 1
    elif summary.get("lost"):
        print(f"  our own totals say: lost {summary['lost']}")
        wrong += 1
    elif not summary.get("complete", True):
        print("  note: our own totals are marked incomplete; the comparison judges")
    for name, score in scores.items():
        print(f"  {name}: equal {score.equal} different {score.different}")
    equal = sum(score.equal for score in scores.values())
    wrong += sum(score.different for score in scores.values())
    print(f"equal {equal} different {wrong}")
    sys.exit(1 if wrong else 0 if equal else 2)


if __name__ == "__main__":
    main()
