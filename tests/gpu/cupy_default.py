# SPDX-License-Identifier: Apache-2.0
"""A few arrays of known sizes, a matrix product, everything freed again."""
import cupy

MIB = 1 << 20

arrays = [cupy.empty(size, dtype=cupy.uint8) for size in (1, 4 * MIB, 20 * MIB, 64 * MIB)]
a = cupy.ones((1024, 1024), dtype=cupy.float32)
b = a @ a
assert float(b[0, 0]) == 1024.0
pinned = cupy.cuda.alloc_pinned_memory(8 * MIB)
used = cupy.get_default_memory_pool().used_bytes()
del arrays, a, b, pinned
cupy.cuda.Device().synchronize()
cupy.get_default_memory_pool().free_all_blocks()
cupy.get_default_pinned_memory_pool().free_all_blocks()
print(f"used {used} then {cupy.get_default_memory_pool().used_bytes()}")
