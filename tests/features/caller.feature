# SPDX-License-Identifier: Apache-2.0
Feature: Each block names its caller
  The first frame outside of the CUDA libraries, resolved although the program may be gone.

  @D2
  Scenario Outline: a program that is gone when its record is read
    When vramtrace runs "<program>"
    Then every "alloc" event has caller.symbol=allocate_the_weights, caller.module={prog}/<program>

    Examples:
      | program      |
      | quick        |

  @D2
  Scenario: totals by caller
    When vramtrace runs "quick 5M"
    Then the summary has 5242880 bytes at exit of the caller "allocate_the_weights"

  @D2
  Scenario: a running program
    Given a running "serve 64M"
    When vramtrace attaches to it
    And the program is told "alloc 4096"
    And vramtrace is stopped
    Then every "alloc" event has caller.symbol=main

  @D2
  Scenario: a static runtime's caller is the program's file
    When vramtrace runs "quick-static"
    Then every "alloc" event has caller.module={prog}/quick-static
