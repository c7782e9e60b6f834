# SPDX-License-Identifier: Apache-2.0
"""Twenty steps of training: two layers, Adam, backward; everything freed again. The allocator is chosen by PYTORCH_CUDA_ALLOC_CONF."""
import gc

import torch

STEPS = 20


def train():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(1024, 2048), torch.nn.ReLU(), torch.nn.Linear(2048, 10)).cuda()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    inputs = torch.randn(256, 1024, device="cuda")
    labels = torch.randint(0, 10, (256,), device="cuda")
    losses = []
    for _step in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def main():
    losses = train()
    reserved = torch.cuda.memory_reserved()
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    assert losses[-1] < losses[0]
    print(f"loss {losses[0]:.3f} then {losses[-1]:.3f}, reserved {reserved} then {torch.cuda.memory_reserved()}")


if __name__ == "__main__":
    main()
