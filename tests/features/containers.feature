# SPDX-License-Identifier: Apache-2.0
Feature: Programs that see another machine than we do
  In a PID namespace a program has another number for itself, which stands beside ours; in a mount namespace its libraries lie where we have
  no such file, or another one.

  @C @D1 @C-containers
  Scenario Outline: a command in namespaces of its own
    Given the programs have a PID namespace of their own
    When vramtrace runs "unshare --mount --pid --fork --mount-proc {prog}/<program>" with "--library {sim}/libcudart.so.13 --library {sim}/libcuda.so.1"
    Then the exit status is 0
    And the ledger equals the truth
    And 8 allocations and 8 frees are told
    And every "alloc" event has ns_pid=1, comm=<program>

    Examples:
      | program      |
      | basic        |
      | basic-static |

  @C @D1 @C-containers
  Scenario: a running program whose libraries only its own mounts show
    Given a running program in a container of its own
    When vramtrace attaches to it
    And the program is told "alloc 4096"
    And the program is told "alloc 1048576"
    And the program is told "free 1"
    And vramtrace is stopped
    Then the exit status is 0
    And every call is told as it was made, and nothing else
    And 2 allocations and 1 frees are told
    And every "alloc" event has ns_pid=1

  @C @D1 @C-containers
  Scenario: the whole machine, and a container that comes while it is watched
    When vramtrace watches the whole machine
    And a container with a running program of its own comes
    Then soon a library of the container is probed
    When the clock starts here
    And the program is told "alloc 4096"
    And the program is told "free 1"
    And vramtrace is stopped
    Then the exit status is 0
    And every later call is told as it was made
