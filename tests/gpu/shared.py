#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""shared.py TRACE.json: memory that two processes have must count once: each import while its exporter's block lives is borrowed from
just that block, and has its size; and there must be one at all."""
import json
import sys


def main():
    blocks, imports, wrong = {}, 0, 0
    with open(sys.argv[1], encoding="utf-8") as file:
        for row in map(json.loads, file):
            if row["event"] == "free":
                blocks.pop(row["id"], None)
            if row["event"] != "alloc":
                continue
            blocks[row["id"]] = row
            if row["kind"] != "imported":
                continue
            imports += 1
            source = blocks.get((row.get("exporter") or {}).get("id"))
            if not source or not row.get("borrowed") or source["size"] != row["size"] or source["pid"] == row["pid"]:
                wrong += 1
                print(f"  not counted to its exporter: {json.dumps(row)}")
    print(f"  {imports} imports, {imports - wrong} of them counted to their exporters")
    sys.exit(1 if wrong or not imports else 0)


if __name__ == "__main__":
    main()
