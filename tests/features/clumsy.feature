# SPDX-License-Identifier: Apache-2.0
Feature: Clumsy and hostile use
  Closed descriptors, readers that leave, background jobs and odd environments: a clear end, and nothing of the target's is harmed.

  Scenario: a reader that leaves ends the trace of a running program
    Given a running "serve --tick 5 64M"
    When vramtrace attaches to it by shell as "{vramtrace} -p {pid} | head -1"
    Then it ends within 5 seconds with status 1
    And stdout says "NVML"
    And stderr is empty
    When the program is told to quit
    Then the program goes on to its normal end

  Scenario: a reader that leaves an idle trace
    When vramtrace is started by shell as "{vramtrace} -p 1 -o json | head -1"
    Then it ends within 5 seconds with status 1

  Scenario: a full disk ends the trace of a running program
    Given a running "serve --tick 5 64M"
    When vramtrace attaches to it by shell as "{vramtrace} -p {pid} --output /dev/full"
    Then it ends within 5 seconds with status 1
    And stderr matches "cannot write the output: no space"

  Scenario: a command goes on when the reader leaves
    When vramtrace is started by shell as "{vramtrace} -- sh -c 'sleep 1; echo went on >&2' | true"
    Then it ends within 10 seconds with status 1
    And stderr says "went on"

  Scenario: a closed stdout is told, and nothing else is written over
    When vramtrace is started by shell as "{vramtrace} -- {prog}/basic >&-"
    Then it ends within 10 seconds with status 1
    And stderr matches "cannot write the output: bad file descriptor"
    And stderr does not say "not probed"

  Scenario: words for a closed stderr are not written into the trace
    When vramtrace is started by shell as "{vramtrace} -v -o json --output trace.json -- {prog}/basic <&- 2>&-"
    Then it ends within 10 seconds with status 0
    And the file "trace.json" holds only JSON

  Scenario: what nohup shields goes on
    Given a running "serve 64M"
    When vramtrace attaches to it under nohup
    And the tracer gets SIGHUP
    And the program is told "alloc 4096"
    And vramtrace is stopped
    Then the exit status is 0
    And 1 allocations and 0 frees are told

  Scenario: a caller that ignores the ends of its children
    When vramtrace is started by shell as "trap '' CHLD; exec {vramtrace} -- sh -c 'exit 7'"
    Then it ends within 10 seconds with status 7
    And stderr does not say "no return probes"

  Scenario: a process named twice is one
    Given a running "serve 64M"
    When vramtrace attaches to it with "-p {pid},{pid} --duration 200ms"
    And vramtrace ends by itself
    Then there is one "attach" event

  Scenario: too few descriptors are called by their name
    When vramtrace is started by shell as "ulimit -n 64; {vramtrace} --duration 0.1 -p {many}"
    Then it ends within 10 seconds with status 1
    And stderr matches "too many open files"
    And stderr does not say "no such process"

  Scenario Outline: a caller's id that is none runs nothing
    When vramtrace is started by shell as "SUDO_UID=<id> {vramtrace} -- {prog}/basic"
    Then it ends within 10 seconds with status 1
    And stderr says "SUDO_UID=<id>"
    And the program did not run

    Examples:
      | id         |
      | abc        |
      | -1         |
      | 4294967295 |
      | 4294967296 |

  Scenario: a broken library is complained of once
    Given a file "libcudart.so.11" holding "this is no library"
    And a program that has mapped "libcudart.so.11"
    And a program that has mapped "libcudart.so.11"
    When vramtrace watches the whole machine
    And vramtrace is stopped
    Then stderr says "libcudart.so.11 is not probed" once

  Scenario: calls that an exec cuts off are counted
    Given the simulation has VRAMSIM_FREE_DELAY_US=200000
    When vramtrace runs "exits incall" with "-v"
    Then the exit status is 1
    And the kernel side's counters add up
    And the kernel side counted killed_in_call 2
