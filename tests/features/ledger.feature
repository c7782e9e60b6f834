# SPDX-License-Identifier: Apache-2.0
Feature: The ledger is true to the byte
  Totals are compared with what the simulated CUDA knows, for every way in which memory comes and goes.

  @S7
  Scenario: ten threads at once
    When vramtrace runs a puppet
    And the puppet does "load"
    And the puppet does "together 10 4096 200"
    And the puppet's input ends
    And vramtrace ends by itself
    Then the exit status is 0
    And every call is told as it was made, and nothing else
    And 2000 allocations and 1000 frees are told
    And the summary holds for every process what it held
    And the summary calls it complete

  @S7
  Scenario Outline: threads that give back what they take
    When vramtrace runs "<command>"
    Then the exit status is 0
    And every call is told as it was made, and nothing else
    And <count> allocations and <count> frees are told
    And the summary holds for every process what it held

    Examples:
      | command                    | count |
      | threads 10 500 4096        | 5000  |
      | threads 10 500 4096 --async | 5000 |
      | freer 200                  | 200   |

  @S7
  Scenario: freed on another thread
    When vramtrace runs a puppet
    And the puppet does "load"
    And the puppet does "malloc 65536", giving A
    And the puppet does "malloc 4096", giving B
    And the puppet does "thread free A"
    And the puppet's input ends
    And vramtrace ends by itself
    Then every call is told as it was made, and nothing else
    And the summary holds for every process what it held
    And what was left is told as freed by exit
    And the peak of the summary is 69632 bytes

  @S7 @C-reuse
  Scenario: an address given out again before its free has returned
    Given the simulation has VRAMSIM_FREE_DELAY_US=2000
    When vramtrace runs "reuse 4 50"
    Then the exit status is 0
    And the truth has an address that was given out again before its free returned
    And every call is told as it was made, and nothing else
    And 200 allocations and 200 frees are told
    And the summary holds for every process what it held

  @S2 @C-failed-alloc
  Scenario: an allocation that fails
    Given the simulation has VRAMSIM_BYTES=1G
    When vramtrace runs "oom 128M"
    Then the exit status is 0
    And every call is told as it was made, and nothing else
    And every "alloc_failed" event has error=2, error_kind=vram_oom, size=134217728, level=error, api=cudaMalloc
    And the summary holds for every process what it held
    And the summary counts 1 failed

  @S2
  Scenario Outline: errors have their own names
    Given the simulation has VRAMSIM_FAIL=<call>:1:<code>
    When vramtrace runs a puppet
    And the puppet does "load"
    And the puppet does "<command>"
    And the puppet's input ends
    And vramtrace ends by itself
    Then every call is told as it was made, and nothing else
    And every "alloc_failed" event has error=<code>, error_name=<name>, error_layer=<layer>, error_kind=<kind>

    Examples:
      | call              | command      | code | name                         | layer   | kind     |
      | cuMemAlloc_v2     | malloc 4096  | 2    | CUDA_ERROR_OUT_OF_MEMORY     | driver  | vram_oom |
      | cudaMalloc        | malloc 4096  | 2    | cudaErrorMemoryAllocation    | runtime | vram_oom |
      | cudaMalloc        | malloc 4096  | 1    | cudaErrorInvalidValue        | runtime | None     |
      | cuMemAllocManaged | managed 4096 | 999  | CUDA_ERROR_UNKNOWN           | driver  | None     |
      | cuMemHostAlloc    | host 4096    | 2    | CUDA_ERROR_OUT_OF_MEMORY     | driver  | vram_oom |
      | cuMemAllocAsync   | async 4096   | 709  | CUDA_ERROR_CONTEXT_IS_DESTROYED | driver | None  |

  @S2 @S8 @C-failed-free
  Scenario: a free that fails leaves the block in the ledger
    Given the simulation has VRAMSIM_FAIL=cuMemFree_v2:1:700
    When vramtrace runs a puppet
    And the puppet does "load"
    And the puppet does "malloc 65536", giving A
    And the puppet does "free A"
    Then the answer is "700"
    When the puppet's input ends
    And vramtrace ends by itself
    Then every call is told as it was made, and nothing else
    And every "free_failed" event has error=700, error_name=CUDA_ERROR_ILLEGAL_ADDRESS
    And what was left is told as freed by exit
    And the summary holds for every process what it held

  @S8
  Scenario: everything that goes wrong, in one program
    When vramtrace runs "fail"
    Then the exit status is 0
    And every call is told as it was made, and nothing else
    And the summary holds for every process what it held
    And there is an "alloc_failed" event with error=2, size=35184372088832
    And there is a "free_failed" event with addr=0x7f0000001000, error=1

  @S8
  Scenario: freed twice
    When vramtrace runs a puppet
    And the puppet does "load"
    And the puppet does "malloc 65536", giving A
    And the puppet does "free A"
    And the puppet does "free A"
    Then the answer is "1"
    When the puppet's input ends
    And vramtrace ends by itself
    Then every call is told as it was made, and nothing else
    And 1 allocations and 1 frees are told

  @S8
  Scenario: a free of memory from before the trace
    Given a running puppet that has loaded the runtime
    When the puppet does "malloc 65536", giving A
    And vramtrace attaches to it
    And the puppet does "free A"
    And the puppet does "free 0x0"
    And vramtrace is stopped
    Then every call is told as it was made, and nothing else
    And every "free_unmatched" event has level=warning, api=cudaFree
    And 0 allocations and 0 frees are told

  @S8
  Scenario: nothing is allocated, and nothing is freed
    When vramtrace runs a puppet
    And the puppet does "load"
    And the puppet does "malloc 0"
    And the puppet does "host 0"
    And the puppet does "free 0x0"
    And the puppet's input ends
    And vramtrace ends by itself
    Then every call is told as it was made, and nothing else
    And every "alloc" event has size=0
    And there is no "free" event
    And there is no "free_unmatched" event
    And the summary holds for every process what it held

  @S1 @C-exit
  Scenario Outline: a program that ends with memory held
    When vramtrace runs "exits <how> 32M"
    Then the exit status is <status>
    And every call is told as it was made, and nothing else
    And what was left is told as freed by exit
    And the summary holds for every process what it held

    Examples:
      | how    | status |
      | return | 0      |
      | exit   | 0      |
      | _exit  | 0      |
      | thread | 0      |
      | abort  | 134    |
      | segv   | 139    |
      | kill   | 137    |

  @S1 @C-exit
  Scenario: a running program that is killed
    Given a running "serve --tick 1 64M"
    When vramtrace attaches to it
    And the program is told "alloc 4096"
    And the program is killed by SIGKILL
    And vramtrace ends by itself
    Then the exit status is 0
    And what was left but one in flight is told as freed by exit

  @S7 @slow
  Scenario: many calls from many threads, none lost
    When vramtrace runs "asyncload 8 5000" with "--strict"
    Then the exit status is 0
    And every call is told as it was made, and nothing else
    And 40000 allocations and 40000 frees are told

  @S7 @long
  Scenario: ten million calls
    Given the simulation has VRAMSIM_LOG=
    When vramtrace runs "asyncload 8 625000" with "--strict --min-size 1G", for at most 500 seconds
    Then the exit status is 0
    And the summary counts as many calls as the program
