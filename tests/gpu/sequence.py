#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sequence.py [--sort] TRACE.json: the calls of a run as `PROCESS CALL RESULT SIZE`, for comparison between two machines.

Processes are numbered by their ids, a parent before its children; addresses, times and process ids are left out. --sort for programs whose threads
race: lines are counted instead. Frees by the end of a process or a context are no calls and are left out.
"""
import collections
import json
import sys

CALLS = ("alloc", "free", "alloc_failed", "free_failed", "free_unmatched", "map", "unmap", "export", "advise", "prefetch",
         "checkpoint", "restore")


def read_calls(path):
    with open(path, encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["event"] in CALLS and row.get("api") and
                row.get("reason") != "context"]
    numbers = {pid: number for number, pid in enumerate(sorted({row["pid"] for row in rows}))}
    for row in rows:
        unmatched = " unmatched" if row["event"] == "free_unmatched" else ""
        # What is virtual counts nothing: it was made with some size all the same.
        size = row["range"]["size"] if row.get("range") else row.get("requested") or row.get("size") or 0
        yield f"{numbers[row['pid']]} {row['api']} {row.get('error') or 0} {size}{unmatched}"


def main():
    lines = list(read_calls(sys.argv[-1]))
    if "--sort" in sys.argv:
        lines = [f"{count} x {line}" for line, count in sorted(collections.Counter(lines).items())]
    if not lines:
        sys.exit("no calls")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
