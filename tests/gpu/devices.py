#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""devices.py TRACE.json SMI.csv UNIT_MIB ORDER: is each block of (k + 1) x UNIT_MIB that a program made on CUDA's device k said to be on
the GPU that is k-th in ORDER (nvidia-smi's indexes, "1,0")? SMI.csv: nvidia-smi's `index, uuid`. Blocks by handle have twice that size."""
import collections
import csv
import json
import sys


def main():
    with open(sys.argv[2], encoding="ascii") as file:
        gpus = {f"GPU{index.strip()}": uuid.strip().lower() for index, uuid in csv.reader(file)}
    unit, order = int(sys.argv[3]) << 20, [f"GPU{index}" for index in sys.argv[4].split(",")]
    right, wrong = collections.Counter(), 0
    with open(sys.argv[1], encoding="utf-8") as file:
        for row in map(json.loads, file):
            if row["event"] != "alloc" or row["placement"] not in ("vram", "migratable"):
                continue
            each = 2 * unit if row["kind"] == "vmm" else unit
            ordinal, rest = row["size"] // each - 1, row["size"] % each
            if rest or not 0 <= ordinal < len(order):
                continue
            wanted = (order[ordinal], gpus.get(order[ordinal]))
            if (row["device"], (row["device_uuid"] or "").lower()) == wanted:
                right[order[ordinal]] += 1
            else:
                wrong += 1
                print(f"  {row['api']} {row['size']} {row['kind']}: {row['device']} {row['device_uuid']}, not {wanted}")
    print(f"  right on {', '.join(f'{gpu}: {count}' for gpu, count in sorted(right.items()))}; wrong {wrong}")
    sys.exit(0 if not wrong and set(right) == set(order) else 1)


if __name__ == "__main__":
    main()
