# SPDX-License-Identifier: Apache-2.0
Feature: Errors say what is wrong and what to do

  Scenario: no such process
    When vramtrace is called with "-p 4194303"
    Then the exit status is 1
    And stderr says "4194303"
    And stderr matches "no such process"
    And stdout is empty

  Scenario Outline: bad usage
    When vramtrace is called with "<options>"
    Then the exit status is 2
    And stdout is empty
    And stderr says "<hint>"

    Examples:
      | options                     | hint          |
      | --no-such-option            | --help        |
      | -p abc                      | abc           |
      | -p 1,                       | 1,            |
      | -p -1                       | -1            |
      | -p 1 -- /bin/true           | -p            |
      | --                          | --            |
      | -o xml                      | xml           |
      | --layer kernel              | kernel        |
      | --min-size many             | many          |
      | --duration soon             | soon          |
      | --kind wood                 | wood          |
      | 0                           | INTERVAL      |
      | 1 0                         | COUNT         |
      | 1 2 3                       | 3             |
      | python3                     | --            |
      | --as-root                   | --as-root     |
      | -o csv 1                    | csv           |

  Scenario: a process without CUDA is waited for
    Given a running "sleep 30"
    When vramtrace attaches to it
    Then soon stderr matches "process \d+ \(sleep\) has not loaded CUDA: waiting"
    And vramtrace can be stopped
    And the exit status is 0

  Scenario: a process that ends without ever using CUDA
    Given a running "sleep 1"
    When vramtrace attaches to it
    And vramtrace ends by itself
    Then the exit status is 0

  Scenario: a process that ends while we attach
    When vramtrace attaches to programs that end at that moment, 20 times
    Then each time the status is 0, or 1 with the name of the process

  Scenario: a thread is not a process
    Given a running "serve --tick 5 64M"
    When vramtrace is called with the id of its second thread
    Then the exit status is 1
    And stderr says "{pid}"

  Scenario: not enough privileges
    When vramtrace is called with no option by a user without privileges
    Then the exit status is 1
    And stderr matches "root"
    And stderr says "CAP_BPF"
    And stderr says "CAP_PERFMON"

  Scenario Outline: a library that is none
    Given a file "libcudart.so.13" holding "this is no library"
    And a copy "libcuda.so.1" of the simulated runtime, cut off after 700 bytes
    When vramtrace is called with "--duration 1 --library {folder}/<file>"
    Then the exit status is 1
    And stderr says "<file>"

    Examples:
      | file             |
      | libcudart.so.13  |
      | libcuda.so.1     |
      | libcudart.so.404 |
      | .                |

  Scenario: a broken library in a program's memory does not end the trace of another
    Given a file "libcudart.so.11" holding "this is no library"
    And a running "serve 64M"
    And a program that has mapped "libcudart.so.11"
    When vramtrace watches the whole machine
    And the program is told "alloc 4096"
    And vramtrace is stopped
    Then the exit status is 0
    And every call is told as it was made, and nothing else

  @S2
  Scenario: the real runtime without a driver
    Given the program "basic" built with the real runtime
    When vramtrace runs "{folder}/basic"
    Then the exit status is 1
    And every "alloc_failed" event has error=35, layer=runtime, error_layer=runtime, api=cudaMalloc, size=67108864
    And there is no "alloc" event
    And there is no "uncovered" event

  @S2
  Scenario: every allocation call of the real runtime without a driver
    Given a puppet that can load the real runtime
    When vramtrace runs a puppet
    And the puppet does "load"
    And the puppet does "malloc 1001"
    And the puppet does "managed 1002"
    And the puppet does "host 1003"
    And the puppet does "async 1004"
    And the puppet does "hostalloc 1005"
    And the puppet does "pitch 1006"
    And the puppet does "volume 1007"
    And the puppet does "pool 1008"
    And the puppet's input ends
    And vramtrace ends by itself
    Then the failed allocations are 1001 to 1008 bytes, error 35, layer runtime
    And there is no "alloc" event
    And there is no "uncovered" event
    And there is no "lost" event
