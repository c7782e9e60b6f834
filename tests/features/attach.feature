# SPDX-License-Identifier: Apache-2.0
Feature: Whatever way a program comes to use CUDA, its allocations are seen
  The simulated CUDA keeps a log of its own; what vramtrace tells must be the same multiset of calls.

  @D1 @S1
  Scenario: a running program, text
    Given a running "serve 64M"
    When vramtrace attaches to it with "-o text"
    Then the first line says what NVML counts for it and that the past is unseen
    When the program is told "alloc 4096"
    And the program is told to quit
    And vramtrace ends by itself
    Then the exit status is 0
    And stdout says "4 KB"
    And stdout says "simulated"

  @D1 @D2 @S1 @S8
  Scenario: a running program, and what was there before
    Given a running "serve 64M"
    When vramtrace attaches to it
    And the program is told "alloc 4096"
    And the program is told "alloc 1048576"
    And the program is told "free 0"
    And the program is told "free 1"
    And vramtrace is stopped
    Then the exit status is 0
    And every call is told as it was made, and nothing else
    And 2 allocations and 1 frees are told
    And there is a "free_unmatched" event with level=warning
    And the summary holds for every process what it held
    And the summary calls nothing complete

  @D1 @D3 @S1 @C-device @C-per-thread
  Scenario Outline: a command, from its first instruction
    When vramtrace runs "<command>"
    Then the exit status is 0
    And every call is told as it was made, and nothing else
    And <allocs> allocations and <frees> frees are told
    And the summary holds for every process what it held
    And the summary calls it complete
    And vramtrace itself has said nothing on stderr
    And every event names the simulated card

    Examples: the shared runtime, and none
      | command            | allocs | frees |
      | basic              | 8      | 8     |
      | basic --leak 3     | 8      | 5     |
      | basic --hold       | 8      | 0     |
      | driver             | 7      | 7     |
      | ptsz               | 2      | 2     |
      | quick              | 1      | 0     |
      | forker late        | 1      | 1     |

  @D1 @D3 @S1
  Scenario Outline: a command with a static runtime, seen through the driver
    When vramtrace runs "<command>"
    Then the exit status is 0
    And every call of the driver is told as it was made, and nothing else
    And <count> allocations and <count> frees are told
    And every "alloc" event has layer=driver
    And the summary holds for every process what it held
    And the summary calls it complete

    Examples:
      | command       | count |
      | basic-static  | 8     |
      | driver-static | 7     |
      | ptsz-static   | 2     |
      | freer-static  | 100   |

  @D1 @D3 @S1
  Scenario: two runtimes in one process, each frees what the other made
    When vramtrace runs "tworuntimes"
    Then the exit status is 0
    And every call is told to the byte, whatever its name
    And 2 allocations and 2 frees are told
    And there is an "alloc" event with size=1048576, layer=driver
    And the summary holds for every process what it held

  @D1 @S1 @C-device @C-pinned
  Scenario: a command's kinds and places of memory
    When vramtrace runs "basic --hold"
    Then there is an "alloc" event with kind=device, placement=vram, size=67108864, api=cudaMalloc
    And there is an "alloc" event with kind=managed, placement=migratable, size=16777216, api=cudaMallocManaged
    And there is an "alloc" event with kind=pinned, placement=host, size=8388608, api=cudaMallocHost
    And there is an "alloc" event with kind=pinned, placement=host, size=4194304, api=cudaHostAlloc
    And there is an "alloc" event with kind=pool, placement=vram, size=2097152, api=cudaMallocAsync
    And every "alloc" event has layer=both, purpose=unknown, purpose_source=none, level=info, action=vram_allocate
    And every line has the keys that the schema promises
    And identities and times fit the truth

  @D1
  Scenario: one layer only
    When vramtrace runs "basic" with "--layer runtime"
    Then every call of the runtime is told as it was made, and nothing else
    And every "alloc" event has layer=runtime
    And 8 allocations and 8 frees are told

  @D1
  Scenario: the other layer only
    When vramtrace runs "basic" with "--layer driver"
    Then every call of the driver is told as it was made, and nothing else
    And every "alloc" event has layer=driver
    And 8 allocations and 8 frees are told

  @D1 @S1
  Scenario: the whole machine
    Given a running "serve 64M"
    When vramtrace watches the whole machine
    And the program is told "alloc 4096"
    And a second program "basic" has run
    And vramtrace is stopped
    Then the exit status is 0
    And every call is told as it was made, and nothing else
    And 2 processes allocated

  @D1
  Scenario: a library that the machine did not have when the trace began
    Given the simulated libraries lie in a folder of their own, late
    And a running puppet
    When vramtrace attaches to it
    Then soon stderr matches "process \d+ .* has not loaded CUDA: waiting"
    When the puppet does "load {folder}/late/libcudart.so.13"
    And the puppet does "malloc 4096"
    Then soon stderr matches "mapped .*late/libcuda.so.1.* unseen"
    When 200 ms have passed
    And the clock starts here
    And the puppet does "malloc 8192"
    And the puppet does "managed 12288"
    And vramtrace is stopped
    Then every later call is told as it was made
    And the summary calls nothing complete

  @D1 @D7
  Scenario: library files that were deleted while in use, and those that took their place
    Given the simulated libraries lie in a folder of their own, late
    And a running puppet
    When the puppet does "load {folder}/late/libcudart.so.13"
    And the puppet does "malloc 4096"
    And the libraries in late are deleted and put there anew
    And vramtrace watches the whole machine
    And the puppet does "malloc 8192"
    And a second program "dlopen 0 1 50 {folder}/late/libcudart.so.13" has run
    And a second program "dlopen 0 2 50 {folder}/late/libcudart.so.13" has run
    And vramtrace is stopped
    Then stderr matches "mapped .*late/libcuda.so.1"
    And the last program's 2 allocations and 2 frees are told
    And there is an "alloc" event with size=8192

  @D1
  Scenario: dlopen in a command whose loader could not know
    Given the simulated libraries lie in a folder of their own, late
    When vramtrace runs "dlopen 50 20 20 {folder}/late/libcudart.so.13"
    Then the exit status is 0
    And stderr matches "mapped .*late/libcuda.so.1.* unseen"
    And at most 3 calls at the start are missing
    And the summary calls nothing complete

  @D1
  Scenario: late dlopen of libraries that are probed already
    When vramtrace runs "dlopen 50 20 5"
    Then the exit status is 0
    And every call is told to the byte, whatever its name
    And 20 allocations and 20 frees are told

  @D1 @S7 @C-fork
  Scenario: fork before any use of CUDA
    When vramtrace runs "forker early"
    Then the exit status is 0
    And every call is told as it was made, and nothing else
    And 2 processes allocated
    And the summary holds for every process what it held

  @D1 @S7 @C-fork @C-exec
  Scenario: a child that starts another program
    When vramtrace runs "forker exec"
    Then the exit status is 0
    And every call is told as it was made, and nothing else
    And 2 processes allocated
    And the summary holds for every process what it held

  @D1 @C-fork
  Scenario: fork after use of CUDA, which CUDA refuses
    When vramtrace runs "forker late"
    Then the exit status is 0
    And every call is told as it was made, and nothing else
    And there is an "alloc_failed" event with error=3, size=4194304

  @D7
  Scenario: what a command leaves running is traced to its end
    When vramtrace is called with "-o json --library {sim}/libcuda.so.1 -- sh -c '(sleep 1; {prog}/basic) & exit 3'"
    Then the exit status is 3
    And stderr says "still traced to their end"
    And 8 allocations and 8 frees are told

  @D1 @S6
  Scenario: a driver failure that the runtime repeats is no failure of the program
    When vramtrace runs "threads 4 5 1M --async"
    Then the exit status is 0
    And there is no "alloc_failed" event
    And 20 allocations and 20 frees are told

  @D1
  Scenario: children of a running program
    Given a running puppet that has loaded the runtime
    When the puppet does "malloc 100"
    And vramtrace attaches to it
    And the puppet spawns another that allocates 4096 bytes
    And the puppet does "malloc 8192"
    And vramtrace is stopped
    Then every call is told as it was made, and nothing else
    And 2 allocations and 0 frees are told
    And 2 processes allocated
    And the summary holds for every process what it held

  @D1
  Scenario: children that a program had before
    Given a running puppet that has loaded the runtime
    When the puppet begins to spawn another
    And vramtrace attaches to the first
    And the puppet does "load"
    And the puppet does "malloc 4096"
    And vramtrace is stopped
    Then 1 processes allocated

  @D1
  Scenario: children are left alone on request
    Given a running puppet that has loaded the runtime
    When the puppet does "malloc 100"
    And vramtrace attaches to it with "--no-follow"
    And the puppet spawns another that allocates 4096 bytes
    And the puppet does "malloc 8192"
    And vramtrace is stopped
    Then 1 allocations and 0 frees are told
    And every "alloc" event has size=8192

  @D1 @C-exec
  Scenario: a program that becomes another
    When vramtrace runs "exits exec 32M"
    Then every call is told as it was made, and nothing else
    And what was left is told as freed by exec

  @D1
  Scenario: two tracers at once
    Given a running "serve 64M"
    When vramtrace attaches to it
    And another vramtrace attaches to it
    And the program is told "alloc 4096"
    And the program is told "alloc 8192"
    And the program is told "free 1"
    And both are stopped
    Then both have told every call as it was made, and nothing else
    And 2 allocations and 1 frees are told
