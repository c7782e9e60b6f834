# SPDX-License-Identifier: Apache-2.0
"""torch_cycles.py [N]: loads and unloads a model of some 200 MiB N times (100), after once to warm up. After each unloading prints a line
of JSON: the time (CLOCK_MONOTONIC), what NVML says is used on the GPU, and what PyTorch has reserved."""
import gc
import json
import subprocess
import sys
import time

import torch

LAYERS, WIDTH = 12, 2048  # of 16 MiB each


def nvml_used():
    """Bytes in use on GPU 0."""
    try:
        import pynvml
    except ImportError:
        told = subprocess.run(["nvidia-smi", "-i", "0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
                              text=True, capture_output=True, check=True)
        return int(told.stdout) << 20
    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).used


def load_and_use():
    layers = [torch.nn.Linear(WIDTH, WIDTH) for _layer in range(LAYERS)]
    model = torch.nn.Sequential(*layers).cuda()
    with torch.no_grad():
        return float(model(torch.ones(64, WIDTH, device="cuda")).sum())


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    torch.manual_seed(0)
    for cycle in range(count + 1):
        load_and_use()
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        print(json.dumps({"cycle": cycle, "mono_ns": time.clock_gettime_ns(time.CLOCK_MONOTONIC), "nvml_bytes": nvml_used(),
                          "reserved": torch.cuda.memory_reserved()}), flush=True)


if __name__ == "__main__":
    main()
