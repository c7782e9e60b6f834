#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""attached.py TRACE.txt PID SMI.csv: does the first line of -p say what NVML says? SMI.csv: nvidia-smi's pid, used MiB."""
import re
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    first = file.readline().rstrip("\n")
with open(sys.argv[3], encoding="ascii") as file:
    figures = dict(re.findall(r"(\d+), *(\d+)", file.read()))
print(f"  first line: {first}")
print(f"  nvidia-smi: {figures}")
if sys.argv[2] not in figures:
    sys.exit("nvidia-smi does not know the process")
bytes_held = int(figures[sys.argv[2]]) << 20
steps = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
said = [(float(number), unit) for number, unit in re.findall(r"(\d+(?:\.\d+)?) ?(B|KB|MB|GB|TB)\b", first)]
# The figure moves by the program's own 32 MiB between the two looks; the text has one decimal.
slack = max(34 << 20, bytes_held // 20)
sys.exit(0 if any(abs(number * steps[unit] - bytes_held) <= slack for number, unit in said) else 1)
