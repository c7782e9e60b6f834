#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""load.py PROGRAM_LINE.json TRACE.json STDERR: did every call that the program counted arrive, and nothing else?"""
import json
import re
import sys


OTHER_CALLS_MAX = 64  # contexts, UUIDs, streams: once each, as the program starts


def last_json(path):
    with open(path, encoding="utf-8") as file:
        return json.loads([line for line in file if line.strip()][-1])


def main():
    program, summary = last_json(sys.argv[1]), last_json(sys.argv[2])
    with open(sys.argv[3], encoding="utf-8", errors="replace") as file:
        stats = {name: int(value) for name, value in re.findall(r"stats: (\w+) (\d+)", file.read())}
    process = max(summary["processes"], key=lambda entry: entry["calls"])
    checks = {
        f"calls {process['calls']} = counted {program['calls']}, and {process['calls'] - program['calls']} that make no memory":
            0 <= process["calls"] - program["calls"] <= OTHER_CALLS_MAX,
        f"allocations {process['allocated_count']} = counted {program['allocs']}":
            process["allocated_count"] == program["allocs"],
        f"lost {summary['lost']} = 0": summary["lost"] == 0,
        f"unmatched frees {process['unmatched_frees']} = 0": process["unmatched_frees"] == 0,
        f"live {process['live_count']}, held at exit {process['held_at_exit_count']} = 0":
            process["live_count"] == 0 and process["held_at_exit_count"] == 0,
        f"produced {stats.get('produced')} = delivered {stats.get('delivered')}":
            "produced" in stats and stats["produced"] == stats.get("delivered"),
    }
    for text, good in checks.items():
        print(f"  {'ok ' if good else 'NOT'} {text}")
    print(f"  {program['ns'] / 1e9:.2f} s, {program['calls'] / program['ns'] * 1e9:.0f} calls/s")
    print("  " + " ".join(f"{name} {value}" for name, value in stats.items()))
    sys.exit(0 if all(checks.values()) else 1)


if __name__ == "__main__":
    main()
