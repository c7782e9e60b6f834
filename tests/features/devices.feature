# SPDX-License-Identifier: Apache-2.0
Feature: Each block is on the GPU that it is on
  The program switches devices between calls and threads, and makes memory of one while another is current. Its devices are numbered
  as the environment says; a block is told by the number that nvidia-smi has for its GPU.

  Background:
    Given the simulation has VRAMSIM_GPUS=4 VRAMSIM_FASTEST=3,1,0,2

  @C @D3 @C-gpus
  Scenario Outline: four GPUs, and all that is made on them
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And blocks were on GPU0, GPU1, GPU2, GPU3
    And the truth has device, pool, vmm
    And the summary calls it complete

    Examples:
      | program             |
      | devices             |
      | devices hold        |
      | devices-static hold |

  @C @D3 @C-visible @C-order
  Scenario Outline: some of four GPUs, in another order
    Given the simulation has <environment>
    When vramtrace runs "devices hold"
    Then the exit status is 0
    And the ledger equals the truth
    And blocks were on <gpus>
    And there is an "alloc" event with size=1048576, kind=device, device=<first>

    Examples:
      | environment                                                       | gpus                   | first |
      | CUDA_VISIBLE_DEVICES=0                                            | GPU3                   | GPU3  |
      | CUDA_VISIBLE_DEVICES=0 CUDA_DEVICE_ORDER=PCI_BUS_ID               | GPU0                   | GPU0  |
      | CUDA_VISIBLE_DEVICES=2,0 CUDA_DEVICE_ORDER=PCI_BUS_ID             | GPU0, GPU2             | GPU2  |
      | CUDA_VISIBLE_DEVICES=1,2                                          | GPU0, GPU1             | GPU1  |
      | CUDA_VISIBLE_DEVICES=GPU-7672616d-7369-6d00-0000-000000000003     | GPU2                   | GPU2  |
      | CUDA_VISIBLE_DEVICES=1,-1,0                                       | GPU1                   | GPU1  |
      | CUDA_DEVICE_ORDER=PCI_BUS_ID                                      | GPU0, GPU1, GPU2, GPU3 | GPU0  |

  @C @D3
  Scenario: the index and the UUID are those of the machine
    Given the simulation has CUDA_VISIBLE_DEVICES=2 CUDA_DEVICE_ORDER=PCI_BUS_ID
    When vramtrace runs "devices hold"
    Then every block's UUID is that of its GPU
    And blocks were told on GPU2

  @C @D3 @C-mig
  Scenario Outline: an instance of a GPU (MIG) has a UUID of its own, and its memory is the GPU's
    Given the simulation has VRAMSIM_MIG=1 CUDA_VISIBLE_DEVICES=2 CUDA_DEVICE_ORDER=PCI_BUS_ID
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And blocks were told on GPU2

    Examples:
      | program         |
      | instance        |
      | instance-static |

  @C @D3
  Scenario: a program that never asks who its GPUs are: unknown, not wrong
    When vramtrace runs "contexts nested"
    Then the exit status is 0
    And every "alloc" event has device=None, placement=vram
    And 4 allocations and 2 frees are told

  @C @D3
  Scenario: attached in the middle: unknown until the program tells, not wrong
    Given a running puppet that has loaded the runtime
    When the puppet does "device 2"
    And the puppet does "malloc 65536", giving A
    And vramtrace attaches to it
    And the puppet does "malloc 4096", giving B
    And the puppet does "free B"
    And the puppet does "free A"
    And vramtrace is stopped
    Then every "alloc" event has device=None, size=4096
    And every "free_unmatched" event has api=cudaFree
    And the summary calls nothing complete

  @C @D3
  Scenario: each thread has a device of its own
    When vramtrace runs a puppet
    And the puppet does "load"
    And the puppet does "device 1"
    And the puppet does "malloc 65536"
    And the puppet does "thread malloc 4096"
    And the puppet does "malloc 8192"
    And the puppet's input ends
    And vramtrace ends by itself
    Then the ledger equals the truth
    And there is an "alloc" event with size=65536, device=GPU1
    And there is an "alloc" event with size=4096, device=GPU3
    And there is an "alloc" event with size=8192, device=GPU1

  @C @D3 @C-contexts
  Scenario: a reset of one device leaves the others what they have
    When vramtrace runs a puppet
    And the puppet does "load"
    And the puppet does "malloc 65536"
    And the puppet does "device 1"
    And the puppet does "malloc 4096"
    And the puppet does "reset"
    And the puppet does "malloc 8192"
    And the puppet's input ends
    And vramtrace ends by itself
    Then the ledger equals the truth
    And there is a "free" event with size=4096, reason=context, device=GPU1
    And there is a "free" event with size=65536, reason=exit, device=GPU3
    And there is a "free" event with size=8192, reason=exit, device=GPU1

  @C @D3
  Scenario: a forked child's devices are its own
    When vramtrace runs "forker early"
    Then the exit status is 0
    And the ledger equals the truth
    And 2 processes allocated
