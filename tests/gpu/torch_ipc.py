# SPDX-License-Identifier: Apache-2.0
"""A tensor of 64 MiB that another process opens, sums and closes; then the one that made it frees it."""
import torch
import torch.multiprocessing as multiprocessing

MIB = 1 << 20


def read(queue, answers):
    tensor = queue.get()
    answers.put((int(tensor.sum()), tensor.is_cuda))
    del tensor
    torch.cuda.ipc_collect()
    torch.cuda.synchronize()


def main():
    context = multiprocessing.get_context("spawn")
    queue, answers = context.Queue(), context.Queue()
    tensor = torch.ones(64 * MIB, dtype=torch.uint8, device="cuda")
    child = context.Process(target=read, args=(queue, answers))
    child.start()
    queue.put(tensor)
    total, is_cuda = answers.get(timeout=60)
    child.join(60)
    assert total == 64 * MIB and is_cuda and child.exitcode == 0
    del tensor
    torch.cuda.ipc_collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    print(f"sum {total}, reserved {torch.cuda.memory_reserved()}")


if __name__ == "__main__":
    main()
