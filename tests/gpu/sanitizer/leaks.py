#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""leaks.py LOG COUNT BYTES: does compute-sanitizer say that just so many allocations of so many bytes together were leaked, and
nothing else that is wrong?"""
import re
import sys


def number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1].replace(",", "")) if found else None


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
        text = file.read()
    wanted = {"leaks": int(sys.argv[2]), "bytes": int(sys.argv[3]), "errors": int(sys.argv[2])}
    told = {
        "leaks": number(r"LEAK SUMMARY: [\d,]+ bytes leaked in ([\d,]+) allocation", text),
        "bytes": number(r"LEAK SUMMARY: ([\d,]+) bytes leaked", text),
        "errors": number(r"ERROR SUMMARY: ([\d,]+) error", text),
    }
    print("  " + ", ".join(f"{name} {told[name]}" + ("" if told[name] == wanted[name] else f" (not {wanted[name]})")
                           for name in wanted))
    sys.exit(0 if told == wanted else 1)


if __name__ == "__main__":
    main()
