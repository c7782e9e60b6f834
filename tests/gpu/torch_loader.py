# SPDX-License-Identifier: Apache-2.0
"""A DataLoader with two workers and pinned memory; its batches are copied to the GPU without waiting."""
import torch
from torch.utils.data import DataLoader, TensorDataset


def main():
    data = TensorDataset(torch.arange(64 * 65536, dtype=torch.float32).reshape(64, 65536))
    loader = DataLoader(data, batch_size=8, num_workers=2, pin_memory=True)
    total = torch.zeros((), device="cuda")
    batches = 0
    for (batch,) in loader:
        assert batch.is_pinned()
        total += batch.to("cuda", non_blocking=True).sum()
        batches += 1
    torch.cuda.synchronize()
    print(f"batches {batches} sum {float(total):.6g}")
    del total, batch
    torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
