# SPDX-License-Identifier: Apache-2.0
"""A few tensors of known sizes, a matrix product, everything freed again. The allocator is chosen by PYTORCH_CUDA_ALLOC_CONF."""
import torch

MIB = 1 << 20

sizes = [1, 4 * MIB, 20 * MIB, 64 * MIB]
tensors = [torch.empty(size, dtype=torch.uint8, device="cuda") for size in sizes]
a = torch.ones(1024, 1024, device="cuda")
b = a @ a
pinned = torch.empty(8 * MIB, dtype=torch.uint8, pin_memory=True)
assert float(b[0, 0]) == 1024.0
reserved = torch.cuda.memory_reserved()
del tensors, a, b, pinned
torch.cuda.synchronize()
torch.cuda.empty_cache()
print(f"reserved {reserved} then {torch.cuda.memory_reserved()}")
