#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cycles.py MARKS TRACE.json COUNT: after each of COUNT cycles the ledger must be back at the same live bytes as after the first, and what
NVML says is in use at most 2 MiB from it. MARKS: torch_cycles.py's lines, other lines are left out."""
import json
import sys

DRIFT_BYTES = 2 << 20


def read_marks(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.startswith("{")]


def read_live(path):
    """(mono_ns, live bytes of all processes in VRAM) after each event"""
    blocks, live, steps = {}, 0, []
    with open(path, encoding="utf-8") as file:
        for row in map(json.loads, file):
            if row["event"] == "alloc" and row["placement"] == "vram" and not row.get("borrowed"):
                blocks[row["id"]] = row["size"]
                live += row["size"]
            elif row["event"] == "free":
                live -= blocks.pop(row["id"], 0)
            else:
                continue
            steps.append((row["mono_ns"], live))
    return steps


def live_at(steps, mono_ns):
    return next((live for when, live in reversed(steps) if when <= mono_ns), 0)


def main():
    marks, steps, count = read_marks(sys.argv[1]), read_live(sys.argv[2]), int(sys.argv[3])
    if len(marks) != count + 1 or not steps:
        sys.exit(f"  {len(marks)} marks, not {count + 1}; {len(steps)} allocations and frees")
    live = [live_at(steps, mark["mono_ns"]) for mark in marks]
    used = [mark["nvml_bytes"] for mark in marks]
    peak = max(value for _when, value in steps)
    drift = max(abs(value - used[0]) for value in used)
    print(f"  {count} cycles: live {live[0]} bytes after the first, {min(live)}..{max(live)} after each, {peak} at most")
    print(f"  NVML: {used[0]} bytes in use after the first, {used[-1]} after the last, at most {drift} from the first")
    sys.exit(0 if set(live) == {live[0]} and peak > live[0] + (100 << 20) and drift <= DRIFT_BYTES else 1)


if __name__ == "__main__":
    main()
