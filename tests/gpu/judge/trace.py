# SPDX-License-Identifier: Apache-2.0
"""vramtrace's JSON as multisets of (what, address, size, kind), to be compared with CUPTI's account of the same run."""
import collections
import json
import os

SIZELESS = ("array", "imported", "graph", "any")  # failures of these tell no size
NO_CALL = {"context": "its context", "exit": "exit", "exec": "exec"}


def read_trace(path):
    """pid, as the process sees itself -> events, and the summary"""
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


def block_key(row):
    """(address, size, kind) of an allocation. What is virtual counts nothing: it is compared by what it was made with."""
    size, kind = row["size"], row["kind"]
    if row.get("virtual"):
        size = row["requested"]
        kind = kind if kind == "graph" else kind + " virtual"
    return int(row["addr"], 16), None if kind == "imported" else size, kind


def event_key(row, made):
    """made: id -> block_key. None: nothing that a call should tell."""
    event = row["event"]
    if event == "alloc":
        return ("alloc", *made[row["id"]])
    if event == "free":
        return ("free", *made.get(row["id"], block_key(row)))
    if event == "alloc_failed":
        return ("alloc_failed", None, None if row["kind"] in SIZELESS else row["size"], row["error"])
    if event in ("free_unmatched", "free_failed", "export") and int(row["addr"], 16):
        return (event, int(row["addr"], 16), None, row["error"] if event == "free_failed" else None)
    if event in ("map", "unmap"):
        span = row["range"]
        return (event, int(span["addr"], 16), span["size"], span["offset"])
    return None


class Told:
    """must: what CUPTI has to have; may: what it need not have, each with its reason; devices: (address, size) -> UUIDs."""

    def __init__(self, rows, flushed, gaps):
        self.must, self.may, self.devices = collections.Counter(), collections.Counter(), collections.defaultdict(set)
        self.soft, self.context, self.doubted = collections.Counter(), collections.Counter(), collections.Counter()
        self.made, self.gaps, self.flushed = {}, gaps, flushed
        for row in rows:
            self.add(row)

    def add(self, row):
        if row["event"] == "alloc":
            self.made[row["id"]] = block_key(row)
        key = event_key(row, self.made)
        if key is None:
            return
        if row["event"] == "alloc" and row["device_uuid"]:
            self.devices[key[1:3]].add(row["device_uuid"])
        reason = self.without_call(row, key)
        if reason:
            self.gaps.take(f"ours: {reason}")
        elif row.get("maybe_captured"):
            self.doubted[key] += 1
        elif row["event"] == "free" and row["reason"] != "call":
            self.soft[key] += 1
        elif self.need_not_be_seen(row):
            self.may[key] += 1
        else:
            self.must[key] += 1

    def without_call(self, row, key):
        event = row["event"]
        if event == "alloc" and not key[2] and key[3] not in ("imported", "array"):
            return "allocations of nothing"
        if event == "free" and row["reason"] in NO_CALL:
            if row["reason"] == "context":
                self.context[key[1]] += 1
            return f"freed by {NO_CALL[row['reason']]} (no call, CUPTI is silent)"
        if event == "free" and key[3] == "graph" and row["api"] is None:
            return "a graph's address that was given out again"
        if event in ("alloc_failed", "free_failed") and row["error_layer"] == "runtime":
            return f"{event} in the runtime, before any driver call"
        return None

    def need_not_be_seen(self, row):
        if self.flushed is not None and row["mono_ns"] > self.flushed:
            self.gaps.take(f"ours: {row['event']} after CUPTI's last flush, at the end of the process")
            return True
        if from_cupti_itself(row):
            self.gaps.take(f"ours: {row['event']} called by libcupti itself")
            return True
        return False


def frees_by_others(rows):
    """Frees on another thread than the block's allocation."""
    owners, seen = {}, collections.Counter()
    for row in rows:
        if row["event"] == "alloc":
            owners[row["id"]] = row["tid"]
        elif row["event"] == "free" and row["reason"] == "call" and owners.get(row["id"], row["tid"]) != row["tid"]:
            seen["free", int(row["addr"], 16), row["size"], row["kind"]] += 1
    return seen
