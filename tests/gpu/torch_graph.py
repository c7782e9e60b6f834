# SPDX-License-Identifier: Apache-2.0
"""A matrix product captured into a CUDA graph and run three times. The allocator is chosen by PYTORCH_CUDA_ALLOC_CONF."""
import torch


def main():
    a = torch.ones(1024, 1024, device="cuda")
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):  # cuBLAS makes its workspace outside of the capture
        a @ a
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        b = a @ a
        c = (b + 1).sum()
    for _run in range(3):
        graph.replay()
    torch.cuda.synchronize()
    assert float(b[0, 0]) == 1024.0
    print(f"sum {float(c):.6g}")
    del graph, a, b, c
    torch.cuda.synchronize()
    torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
