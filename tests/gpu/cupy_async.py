# SPDX-License-Identifier: Apache-2.0
"""Arrays of known sizes out of CUDA's own stream-ordered pool, a matrix product, everything freed again."""
import cupy

MIB = 1 << 20

cupy.cuda.set_allocator(cupy.cuda.MemoryAsyncPool().malloc)
arrays = [cupy.empty(size, dtype=cupy.uint8) for size in (1, 4 * MIB, 20 * MIB, 64 * MIB)]
a = cupy.ones((1024, 1024), dtype=cupy.float32)
b = a @ a
assert float(b[0, 0]) == 1024.0
count = len(arrays)
del arrays, a, b
cupy.cuda.Device().synchronize()
print(f"arrays {count}")
