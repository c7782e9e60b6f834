#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""entered.py ENTRY.json FULL.json: a run told by its entries alone, against a run of the same program with its returns. What was
asked for by driver calls must be the same: number of allocation calls and their bytes (pitched ones by width), number of frees."""
import json
import sys


def rows(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main():
    entered = [row for row in rows(sys.argv[1]) if row["event"] == "call"]
    full = rows(sys.argv[2])
    calls = sum(row["op"] == "alloc" for row in entered), sum(row["op"] == "free" for row in entered)
    wanted = (sum(row["event"] in ("alloc", "alloc_failed") for row in full),
              sum(row["event"] == "free_unmatched" or row["event"] == "free" and row["reason"] == "call" for row in full))
    asked = sum(row["size"] or 0 for row in entered if row["op"] == "alloc")
    given = sum(row["size"] for row in full if row["event"] == "alloc")
    print(f"  entered: {calls[0]} allocations of {asked} bytes, {calls[1]} frees; with returns {wanted[0]} of {given} bytes, {wanted[1]}")
    sys.exit(0 if calls == wanted and calls[0] and abs(asked - given) <= given // 10 else 1)


main()
