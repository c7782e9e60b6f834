# SPDX-License-Identifier: Apache-2.0
Feature: Kernels that lack something
  What a kernel does not have is replaced, and what cannot be replaced is said. --without=LIST takes features away from this one.

  Scenario Outline: another way to the same calls
    When vramtrace runs "<program>" with "-v --without=<without>"
    Then every call is told as it was made, and nothing else
    And the summary calls it complete
    And the kernel side's counters add up
    And the kernel side's counts come out even
    And the exit status is 0

    Examples:
      | without            | program            |
      | task_storage       | threads 8 200 4096 |
      | task_storage       | forker early       |
      | task_storage       | forker exec        |
      | task_storage       | driver             |
      | multi              | basic              |
      | multi,task_storage | threads 8 200 4096 |

  Scenario: nothing is missed between a library's mapping and its probes, with a link per probe
    When vramtrace runs "basic-static" with "--without=multi"
    Then every call of the driver is told as it was made, and nothing else

  Scenario: single probes go after the output is complete
    Given a running "serve 64M"
    When vramtrace attaches to it with "--without=multi"
    And the program is told "alloc 4096"
    And the tracer gets SIGINT
    Then the output is complete while probes are still there
    When vramtrace ends by itself
    Then the exit status is 0
    And stderr says "removing probes one by one"
    And stderr says "all probes are removed"
    And the code of the libraries in the program's memory equals the files
    When the program is told "free 1"
    And the program is told to quit
    Then the program goes on to its normal end

  Scenario: single probes go even if the tracer is killed while it waits
    Given a running "serve 64M"
    When vramtrace attaches to it with "--without=multi"
    And the program is told "alloc 4096"
    And the tracer gets SIGINT
    Then the output is complete while probes are still there
    When vramtrace is killed
    And the program is told "free 1"
    Then soon the code of the libraries in the program's memory equals the files
    When the program is told to quit
    Then the program goes on to its normal end

  Scenario: the tracer is killed with single probes in place
    Given a running "serve --tick 1 64M"
    When vramtrace attaches to it with "--without=multi"
    And the program is told "alloc 4096"
    And vramtrace is killed
    And the program is told "alloc 8192"
    Then soon the code of the libraries in the program's memory equals the files
    When the program is told to quit
    Then the program goes on to its normal end

  Scenario Outline: without return probes the calls are told as they are entered
    When vramtrace runs "<program>" with "-v --without=<without>"
    Then every call of the driver is told as it was entered
    And the summary calls all of it incomplete
    And stderr says "no return probes (switched off)"
    And there is no "alloc" event
    And there is no "free" event
    And the kernel side's counts come out even
    And the exit status is 0

    Examples:
      | without                          | program            |
      | return_probes                    | threads 4 100 4096 |
      | return_probes,task_storage       | forker early       |
      | return_probes,task_storage,multi | basic              |

  Scenario: the bytes that were asked for are known without return probes
    When vramtrace runs "loop 3 4096" with "--without=return_probes"
    Then 16384 bytes were asked for
