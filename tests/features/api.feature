# SPDX-License-Identifier: Apache-2.0
Feature: Every kind of memory that the interface knows is in one ledger, and right
  Each program of tests/prog does one thing. What it did is in the simulation's log; from that the blocks of the machine are rebuilt,
  and the ledger has to have the same ones: kind, bytes, place, GPU, how they went, the sum after every allocation and at the end.

  @C @C-pitched
  Scenario Outline: pitched and three-dimensional memory, by what is really taken
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has device
    And the summary calls it complete

    Examples:
      | program        |
      | pitched        |
      | pitched-static |

  @C @C-device @C-alloc-host
  Scenario: one of each by the driver's interface alone
    When vramtrace runs "driver"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has device, managed, pinned, pool
    And there is an "alloc" event with kind=pinned, api=cuMemAllocHost_v2, size=2097152
    And there is an "alloc" event with kind=pinned, api=cuMemHostAlloc, size=1048576
    And the summary calls it complete

  @C @C-registered @C-interior
  Scenario Outline: host memory of the program's own, registered and taken back
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has registered
    And every "alloc" event has placement=host, device=None

    Examples:
      | program           |
      | registered        |
      | registered-static |

  @C @C-managed @C-location
  Scenario Outline: managed memory, and where it is to be
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has managed
    And there is an "advise" event with location=GPU0
    And there is an "advise" event with location=host
    And there is a "prefetch" event with location=GPU0
    And there is a "prefetch" event with location=host

    Examples:
      | program        |
      | managed        |
      | managed-static |

  @C @C-arrays
  Scenario Outline: arrays, of which the size is computed and said to be
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has array
    And every "alloc" event has computed=True

    Examples:
      | program       |
      | arrays        |
      | arrays-static |

  @C @C-stream @C-pools @C-pool-host
  Scenario Outline: stream-ordered memory, and pools of all sorts
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has pool, device
    And there is an "alloc" event with kind=pool, placement=host
    And the summary calls it complete

    Examples:
      | program      |
      | pools        |
      | pools-static |

  @C @C-pool-host
  Scenario: a pool on a NUMA node of the host
    When vramtrace runs "pools numa"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has pool
    And every "alloc" event has placement=host, device=None
    And the summary calls it complete

  @C @C-pool-share
  Scenario Outline: a pool and a block of it in two processes count once
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has pool, imported
    And every "export" event has kind=pool

    Examples:
      | program          |
      | poolshare        |
      | poolshare-static |

  @C @C-vmm @C-interior
  Scenario: memory by handle, held by references and mappings
    When vramtrace runs "vmm"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has vmm
    And there is an "alloc" event with kind=vmm, placement=host
    And there is a "free" event with kind=vmm, api=cuMemUnmap, reason=call
    And there is a "free" event with kind=vmm, api=cuMemRelease, reason=call

  @C @C-vmm @C-exit
  Scenario: memory by handle that is mapped when the program ends, its handle long released
    When vramtrace runs "vmm hold"
    Then the exit status is 0
    And the ledger equals the truth
    And 1 blocks left by exit

  @C @C-vmm-share
  Scenario: memory that nothing but a descriptor holds goes when that is closed
    When vramtrace runs "vmm descriptor"
    Then the exit status is 0
    And the ledger equals the truth
    And there is a "free" event with kind=vmm, reason=descriptor

  @C @C-vmm-share
  Scenario Outline: memory by handle in two processes counts once, whoever goes first
    When vramtrace runs "vmmshare <order>"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has vmm, imported
    And <count> blocks left by exporter_gone

    Examples:
      | order   | count |
      | exit    | 1     |
      | release | 0     |
      | kept    | 0     |

  @C @C-ipc
  Scenario Outline: memory opened by its handle counts once, whoever goes first
    When vramtrace runs "<program> <order>"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has device, imported
    And <count> blocks left by exporter_gone

    Examples:
      | program    | order    | count |
      | ipc        | exit     | 1     |
      | ipc        | free     | 0     |
      | ipc        | close    | 0     |
      | ipc        | interior | 0     |
      | ipc-static | exit     | 1     |
      | ipc-static | free     | 0     |
      | ipc-static | close    | 0     |

  @C @C-capture @C-graph-nodes @C-graph-trim
  Scenario Outline: what a stream in capture allocates is no memory
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has graph
    And there is an "alloc" event with kind=graph, size=0, requested=67108864
    And something may have been captured, and the totals say so
    And there is no "free_unmatched" event

    Examples:
      | program               |
      | graph                 |
      | graph unjoined        |
      | graph-static          |
      | graph-static unjoined |
      | ptszgraph             |

  @C @S14 @C-contexts
  Scenario Outline: a context takes exactly what is its own with it
    When vramtrace runs "<program> <end>"
    Then the exit status is 0
    And the ledger equals the truth
    And <context> blocks left by context
    And <exit> blocks left by exit
    And the summary calls it complete

    Examples:
      | program         | end     | context | exit |
      | contexts        | destroy | 6       | 1    |
      | contexts        | release | 7       | 1    |
      | contexts        | reset   | 6       | 1    |
      | contexts        | nested  | 2       | 0    |
      | contexts        | pools   | 1       | 0    |
      | contexts        | runtime | 3       | 1    |
      | contexts-static | runtime | 3       | 1    |

  @C @S8 @C-failed-free @C-interior
  Scenario Outline: a free that fails takes nothing away, and is told with its error
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has device, pinned, pool, managed
    And there is no "free_unmatched" event
    And the summary calls it complete

    Examples:
      | program         |
      | failures        |
      | failures-static |

  @S14
  Scenario: a hundred times loaded and unloaded, nothing is left
    When vramtrace runs "cycles 100 64"
    Then the exit status is 0
    And the ledger equals the truth
    And 6400 allocations and 6400 frees are told

  @C @S1 @C-exit
  Scenario Outline: an end with something of every kind held
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has device, managed, pinned, registered, pool, array, vmm
    And 11 blocks left by exit

    Examples:
      | program      |
      | mixed        |
      | mixed-static |

  @C @S1 @C-exit
  Scenario Outline: a static runtime's end by whatever means
    When vramtrace runs "exits-static <how> 32M"
    Then the exit status is <status>
    And the ledger equals the truth
    And 1 blocks left by exit

    Examples:
      | how    | status |
      | thread | 0      |
      | _exit  | 0      |
      | segv   | 139    |
      | kill   | 137    |

  @C
  Scenario Outline: by one layer alone the blocks are the same
    When vramtrace runs "<program>" with "--layer <layer>"
    Then the exit status is 0
    And the blocks of the ledger equal the truth

    Examples:
      | layer   | program          |
      | driver  | pools            |
      | driver  | arrays           |
      | driver  | ipc exit         |
      | driver  | contexts runtime |
      | driver  | mixed            |
      | runtime | pools            |
      | runtime | poolshare        |
      | runtime | arrays           |
      | runtime | pitched          |
      | runtime | registered       |
      | runtime | managed          |
      | runtime | ipc exit         |
      | runtime | ipc free         |
      | runtime | contexts runtime |
      | runtime | failures         |
      | runtime | cycles 5         |

  @C @C-multicast
  Scenario: a multicast object takes nothing; what is bound to it does
    When vramtrace runs "multicast"
    Then the exit status is 0
    And the ledger equals the truth
    And there is an "alloc" event with api=cuMulticastCreate, kind=vmm, size=0, virtual=True
    And the summary calls it complete

  @C @C-checkpoint
  Scenario Outline: a process whose memory another one takes out of the card and back
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And there is a "checkpoint" event with size=134217728
    And <restored>
    And the summary calls it complete

    Examples:
      | program         | restored                                       |
      | checkpoint      | there is a "restore" event with size=134217728 |
      | checkpoint gone | there is no "restore" event                    |

  @C @C-external
  Scenario Outline: imported memory of another interface takes nothing of its own
    When vramtrace runs "<program>"
    Then the exit status is 0
    And the ledger equals the truth
    And the truth has vmm, imported
    And there is an "alloc" event with kind=imported, size=0, requested=33554432
    And there is no "free_unmatched" event

    Examples:
      | program         |
      | external        |
      | external-static |

  @C
  Scenario Outline: want of memory where no call names any
    Given the simulation has VRAMSIM_GPUS=2 VRAMSIM_FAIL=<call>:1
    When vramtrace runs "code"
    Then the exit status is 0
    And the ledger equals the truth
    And there is an "alloc_failed" event with api=<call>, error=2, size=None, kind=None
    And every "alloc_failed" event has error_kind=vram_oom

    @C-oom-context
    Examples: a context
      | call           |
      | cuCtxCreate_v4 |

    @C-oom-code
    Examples: code
      | call                  |
      | cuModuleLoad          |
      | cuModuleLoadData      |
      | cuModuleLoadDataEx    |
      | cuLibraryLoadData     |
      | cuLibraryLoadFromFile |

    @C-oom-stream
    Examples: a stream
      | call                       |
      | cuStreamCreate             |
      | cuStreamCreateWithPriority |

    @C-oom-graph
    Examples: an instance of a graph
      | call                        |
      | cuGraphInstantiateWithFlags |

    @C-oom-peer
    Examples: another GPU's memory made accessible
      | call                  |
      | cuCtxEnablePeerAccess |

  @C @C-oom-map
  Scenario: memory that cannot be mapped for want of memory stays what it was
    Given the simulation has VRAMSIM_FAIL=cuMemMap:2
    When vramtrace runs "vmm"
    Then the exit status is 1
    And the ledger equals the truth
    And there is an "alloc_failed" event with api=cuMemMap, error=2

  @C @S8 @C-failed-alloc
  Scenario Outline: of every kind one that the card has no room for
    Given the simulation has VRAMSIM_FAIL=<call>:1
    When vramtrace runs "mixed"
    Then the exit status is 1
    And the ledger equals the truth
    And there is an "alloc_failed" event with error=2, kind=<kind>

    Examples:
      | call                 | kind       |
      | cuMemAllocPitch_v2   | device     |
      | cuMemAllocManaged    | managed    |
      | cuMemHostAlloc       | pinned     |
      | cuMemHostRegister_v2 | registered |
      | cuMemAllocAsync      | pool       |
      | cuArray3DCreate_v2   | array      |
      | cuMemCreate          | vmm        |
