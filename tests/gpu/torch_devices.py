# SPDX-License-Identifier: Apache-2.0
"""On device k, in CUDA's order, one tensor of (k + 1) x 64 MiB, made while another device is the current one; copied across."""
import torch

MIB = 1 << 20


def main():
    count = torch.cuda.device_count()
    tensors = []
    for device in range(count):
        torch.cuda.set_device((device + 1) % count)
        tensors.append(torch.ones((device + 1) * 64 * MIB, dtype=torch.uint8, device=f"cuda:{device}"))
    for device in range(1, count):
        tensors[device][:MIB].copy_(tensors[0][:MIB])
    for device in range(count):
        torch.cuda.synchronize(device)
    print(f"devices {count}, sums {[int(tensor[:MIB].sum()) for tensor in tensors]}")


if __name__ == "__main__":
    main()
