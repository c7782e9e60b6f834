# SPDX-License-Identifier: Apache-2.0
"""Holds 1 GiB, says so, and allocates and frees 32 MiB every 200 ms until it is ended: something to attach to."""
import time

import torch

block = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
torch.cuda.synchronize()
print("holding", flush=True)
while True:
    extra = torch.empty(32 << 20, dtype=torch.uint8, device="cuda")
    del extra
    torch.cuda.empty_cache()
    time.sleep(0.2)
