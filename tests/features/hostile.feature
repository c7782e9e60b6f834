# SPDX-License-Identifier: Apache-2.0
Feature: Hostile names
  Programs, libraries and functions may have any bytes as their names: escape sequences, line ends, what is no UTF-8, characters that
  turn text around, quotes, formulas. None of it reaches a terminal or another program raw, and nothing of it is lost or confused.

  @D1
  Scenario Outline: names in events and in the ledger, as <format>
    Given a crowd of programs with hostile names, libraries and functions
    When vramtrace runs the crowd with "-o <format>"
    Then the exit status is 0
    And nothing in stdout and stderr acts on a terminal
    And <format> tells of each program by its name, module and function

    Examples:
      | format |
      | text   |
      | json   |
      | csv    |

  Scenario Outline: names out of a recording, as <format>
    Given a crowd of programs with hostile names, libraries and functions
    When vramtrace records the crowd and replays it with "-o <format>"
    Then the exit status is 0
    And nothing in stdout and stderr acts on a terminal
    And <format> tells of each program by its name, module and function

    Examples:
      | format |
      | text   |
      | json   |
      | csv    |

  Scenario Outline: names in tables at an interval, as <format>
    Given a crowd of programs with hostile names, libraries and functions
    When vramtrace runs the crowd at once with "-o <format> 0.2"
    Then the exit status is 0
    And nothing in stdout and stderr acts on a terminal
    And a table as <format> names each program

    Examples:
      | format |
      | text   |
      | json   |

  Scenario: colours are ours alone
    Given a crowd of programs with hostile names, libraries and functions
    When vramtrace runs the crowd with "-o text --color always"
    Then the exit status is 0
    And stdout acts on a terminal by colours alone

  Scenario: diagnostics about hostile programs
    Given a crowd of programs with hostile names that wait
    When vramtrace attaches to the crowd with "-v --duration 200ms"
    And vramtrace ends by itself
    Then the exit status is 0
    And nothing in stdout and stderr acts on a terminal
    And stderr says of each program that it has not loaded CUDA

  Scenario: diagnostics about files that are no libraries
    Given programs that have mapped hostile files that are called CUDA libraries
    When vramtrace watches the whole machine
    And vramtrace is stopped
    Then nothing in stdout and stderr acts on a terminal
    And stderr says of each such file that it is not probed

  Scenario: news of libraries in hostile folders
    Given the simulated libraries lie in folders with hostile names
    When vramtrace runs programs that load CUDA from there with "-v"
    Then nothing in stdout and stderr acts on a terminal
    And stderr says of each such folder's libraries that they were mapped

  Scenario Outline: a hostile word of the command line, <options>
    When vramtrace is called with hostile words after "<options>"
    Then each time the status is not 0
    And each time nothing acts on a terminal

    Examples:
      | options                   |
      | -u                        |
      | --library                 |
      | --output /no/such/folder/ |
      | --                        |

  Scenario: two names that are no UTF-8 do not become one
    Given two programs whose functions differ in a byte that is no UTF-8
    When vramtrace runs the crowd with "-o json"
    Then the summary tells the callers of each apart
