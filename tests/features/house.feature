# SPDX-License-Identifier: Apache-2.0
Feature: The house keeps its own rules
  A lint that cannot fail proves nothing: each is shown a tree that breaks its rule.

  Scenario Outline: <lint> finds "<finding>"
    Given a source tree with the file "<file>" holding "<text>"
    When I run "tools/<lint>" on that tree
    Then its exit status is 1
    And it says "<finding>"

    Examples: stages include earlier ones only
      | lint        | file               | text                             | finding                                |
      | lint-layers | user/probe/table.c | #include "ledger/ledger.h"       | probe/ comes before ledger/            |
      | lint-layers | user/base/log.c    | #include "vramtrace/wire.h"      | base/ knows nothing                    |
      | lint-layers | user/base/log.c    | #include "probe/table.h"         | base/ comes before probe/              |
      | lint-layers | user/misplaced/a.c | int a;                           | folder is no stage                     |
      | lint-layers | user/sink/text.c   | #include "vramtrace.skel.h"      | vramtrace.skel.h is for attach         |
      | lint-layers | bpf/a.bpf.c        | #include "ledger/ledger.h"       | does not belong here                   |
      | lint-layers | include/vramtrace/wire.h | #include <stdint.h>        | does not belong here                   |

    Examples: one symbol in one place
      | lint         | file               | text                             | finding                               |
      | lint-symbols | user/sink/text.c   | const char *a = "cudaMalloc";    | text.c:1: spells cudaMalloc           |
      | lint-symbols | user/sink/text.c   | int a = VT_PROBE_cuMemAlloc_v2;  | spells cuMemAlloc_v2                  |
      | lint-symbols | user/sink/text.c   | /* " */ int cuMemFree_v2(void);  | spells cuMemFree_v2                   |
      | lint-symbols | bpf/a.bpf.c        | int a = nvmlInit_v2();           | spells nvmlInit_v2                    |

    Examples: the tree
      | lint        | file               | text                             | finding                                |
      | lint-tree   | notes/a            | a                                | notes: does not belong                 |
      | lint-tree   | tools/a            | #!/bin/sh                        | tools/a: a script without its run bit  |
      | lint-tree   | user/sink/text.c   | int a;                           | does not begin with                    |
      | lint-size   | user/sink/utils.c  | int a;                           | a file is a noun                       |
      | lint-format | user/sink/text.c   | int   a;                         | text.c:1: not as                       |

  Scenario Outline: <lint> is silent about <text>
    Given a source tree with the file "<file>" holding "<text>"
    When I run "tools/<lint>" on that tree
    Then its exit status is 0

    Examples:
      | lint         | file                        | text                                         |
      | lint-layers  | user/ledger/block.c         | #include "decode/event.h"                    |
      | lint-layers  | user/cli/trace.c            | #include "sink/sink.h"                       |
      | lint-layers  | user/main.c                 | #include "cli/options.h"                     |
      | lint-layers  | user/base/log.c             | /* #include "sink/sink.h" */                 |
      | lint-symbols | user/sink/text.c            | /* as cudaMalloc does */                     |
      | lint-symbols | include/vramtrace/probes.def | PROBE(cuMemAlloc_v2, DRIVER)                |
      | lint-symbols | user/device/nvml.c          | int a = nvmlInit_v2();                       |
      | lint-size    | user/sink/text.c            | int a;                                       |
      | lint-format  | user/sink/text.c            | int a;                                       |

  Scenario Outline: <lines> lines in <file>
    Given a source tree with the file "<file>" of <lines> lines in one function
    When I run "tools/lint-size" on that tree
    Then its exit status is <status>

    Examples:
      | file             | lines | status |
      | user/sink/text.c | 60    | 0      |
      | user/sink/text.c | 61    | 1      |
      | user/sink/text.c | 501   | 1      |
      | user/sink/text.h | 151   | 1      |

  Scenario: a function hides from no one by its type
    Given a source tree with the file "user/sink/text.c" of 61 lines in one function
    When I run "tools/lint-size" on that tree
    Then it says "long_one has 61 lines, at most 60"

  Scenario: all dry runs change nothing
    When I run "tools/demo --dry-run" in the repository
    Then its exit status is 0
    And it says "would trace"
    And /etc/apt is as it was
    And no file of the repository has changed

  Scenario: nothing is installed twice
    When I run "tools/install-deps build" in the repository
    Then its exit status is 0
    And it says "nothing is missing"
    And /etc/apt is as it was

  Scenario: the manual's table comes from the probe table
    Given a template with a line "@PROBES@"
    When I run "tools/gen-probe-table" on it and the probe table
    Then the output has one table row for every row of the probe table

  Scenario: a template without its place is refused
    Given a template without a line "@PROBES@"
    When I run "tools/gen-probe-table" on it and the probe table
    Then its exit status is 1

  Scenario: every part of CUDA's interface has a scenario
    None has: graphics, whose calls carry no probe (--list-probes says why), and a framework's own limit, at which no call of CUDA fails.
    Then each of these marks a scenario that every run has, and there is no other mark of that sort
      | mark             | what                                                                     |
      | @C-device        | memory of the device, by cudaMalloc and cuMemAlloc                       |
      | @C-pitched       | rows and volumes                                                         |
      | @C-managed       | managed memory                                                           |
      | @C-location      | advice and prefetches, which say where it is to be                       |
      | @C-pinned        | host memory that CUDA makes                                              |
      | @C-alloc-host    | the same by cuMemAllocHost_v2                                            |
      | @C-registered    | host memory that the program has made                                    |
      | @C-arrays        | arrays, in three dimensions and mipmapped, too                           |
      | @C-stream        | memory in the order of a stream                                          |
      | @C-per-thread    | the same by the calls for a default stream of each thread                |
      | @C-pools         | pools made, trimmed, destroyed                                           |
      | @C-pool-host     | pools on the host and on its NUMA nodes                                  |
      | @C-pool-share    | pools and pointers handed to another process                             |
      | @C-vmm           | memory by handle: made, mapped, retained, released, on the host as well  |
      | @C-vmm-share     | handles as descriptors, in other processes                               |
      | @C-ipc           | IPC handles, and whose the memory is                                     |
      | @C-contexts      | contexts destroyed, reset and released                                   |
      | @C-exit          | ends of processes, whatever the means                                    |
      | @C-fork          | fork: memory does not follow                                             |
      | @C-exec          | exec: memory goes                                                        |
      | @C-failed-alloc  | allocations that fail, with their error                                  |
      | @C-failed-free   | frees that fail: the block stays                                         |
      | @C-reuse         | an address that another thread has before its free has returned          |
      | @C-interior      | addresses within a block                                                 |
      | @C-gpus          | several GPUs                                                             |
      | @C-visible       | CUDA_VISIBLE_DEVICES                                                     |
      | @C-order         | CUDA_DEVICE_ORDER                                                        |
      | @C-mig           | instances of a GPU                                                       |
      | @C-containers    | PID and mount namespaces                                                 |
      | @C-capture       | streams in capture                                                       |
      | @C-graph-nodes   | memory nodes of graphs                                                   |
      | @C-graph-trim    | cuDeviceGraphMemTrim                                                     |
      | @C-multicast     | multicast objects, and what is bound to them                             |
      | @C-checkpoint    | memory moved out of the card and back with its process                   |
      | @C-external      | memory of another interface, imported                                    |
      | @C-oom-context   | no memory for a context                                                  |
      | @C-oom-code      | no memory for modules and libraries of code                              |
      | @C-oom-stream    | no memory for a stream                                                   |
      | @C-oom-graph     | no memory for an instance of a graph                                     |
      | @C-oom-map       | no memory for a mapping                                                  |
      | @C-oom-peer      | no memory for access to another GPU's                                    |
