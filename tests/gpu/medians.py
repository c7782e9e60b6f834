#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""medians.py: reads `LOOP untraced|traced NS_PER_CALL` lines, prints medians, ranges and the ratio of each loop."""
import collections
import statistics
import sys

seen = collections.defaultdict(lambda: collections.defaultdict(list))
for line in sys.stdin:
    loop, how, *value = line.split()
    seen[loop][how].extend(float(number) for number in value)
status = 0 if seen else 1
for loop, values in seen.items():
    if not values["untraced"] or not values["traced"]:
        print(f"  {loop}: a measurement is missing")
        status = 1
        continue
    middle = {how: statistics.median(numbers) for how, numbers in values.items()}
    for how, numbers in values.items():
        print(f"  {loop:<28} {how:<9} {middle[how]:>10.0f} ns per call ({min(numbers):.0f}..{max(numbers):.0f}, {len(numbers)} runs)")
    print(f"  {loop:<28} ratio {middle['traced'] / middle['untraced']:.3f}, +{middle['traced'] - middle['untraced']:.0f} ns per call")
sys.exit(status)
