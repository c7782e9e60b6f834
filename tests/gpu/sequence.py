#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sequence.py [--sort] TRACE.json: the calls of a run as `PROCESS CALL RESULT SIZE`, for comparison between two machines.

Processes are numbered in order of appearance; addresses, times and process ids are left out. --sort for programs whose threads
race: lines are counted instead. Frees by the end of a process are no calls and are left out.
"""
import collections
import json
import sys

CALLS = ("alloc", "free", "alloc_failed", "free_failed", "free_unmatched")


def read_calls(path):
    numbers = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if row["event"] not in CALLS or not row.get("api"):
                continue
            number = numbers.setdefault(row["pid"], len(numbers))
            unmatched = " unmatched" if row["event"] == "free_unmatched" else ""
            yield f"{number} {row['api']} {row.get('error') or 0} {row.get('size') or 0}{unmatched}"


def main():
    lines = list(read_calls(sys.argv[-1]))
    if "--sort" in sys.argv:
        lines = [f"{count} x {line}" for line, count in sorted(collections.Counter(lines).items())]
    if not lines:
        sys.exit("no calls")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
