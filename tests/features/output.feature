# SPDX-License-Identifier: Apache-2.0
Feature: Output for people and for programs

  Scenario Outline: information goes to stdout
    When vramtrace is called with "<option>"
    Then the exit status is 0
    And stdout says "<text>"
    And stderr is empty

    Examples:
      | option        | text        |
      | --help        | --duration  |
      | --help        | --min-size  |
      | --version     | vramtrace   |
      | --list-probes | cudaMalloc  |

  Scenario: the probe table
    When vramtrace is called with "--list-probes"
    Then stdout lists every row of the probe table once

  Scenario: the schema
    When vramtrace is called with "--json-schema"
    Then the exit status is 0
    And stdout is a JSON schema

  @S1
  Scenario: text has a line per event and the ledger at the end
    When vramtrace runs "basic --leak 1" with "-o text"
    Then the exit status is 0
    And stdout says "64 MB"
    And stdout says "cudaMallocManaged"
    And stdout matches "simulated"
    And the child's words went to stderr

  Scenario: exact bytes on request
    When vramtrace runs "quick 5M" with "-o text --bytes"
    Then stdout says "5242880"

  Scenario: never nothing for something
    When vramtrace runs "quick 100" with "-o text"
    Then stdout matches "100 (bytes|B)"
    And stdout does not say " 0 MB"

  Scenario: CSV
    When vramtrace runs "basic" with "-o csv"
    Then the exit status is 0
    And stdout is a table of comma-separated values with as many columns in each row

  @S1
  Scenario: small blocks are counted, not told
    When vramtrace runs "basic --hold" with "--min-size 4M"
    Then every block of at least 4194304 bytes is told, and no smaller one
    And the summary holds for every process what it held

  Scenario: a new file of its own
    When vramtrace runs "basic" with "--output trace.json"
    Then the exit status is 0
    And the file "trace.json" has mode 640 and belongs to root
    And every call is told as it was made, and nothing else

  Scenario Outline: a file that is there is never overwritten
    Given a file "trace.json" holding "precious"
    And a symbolic link "link.json"
    When vramtrace runs "basic" with "--output <file>"
    Then the exit status is 1
    And stderr says "<file>"
    And the file "trace.json" still holds "precious"
    And the program did not run

    Examples:
      | file                 |
      | trace.json           |
      | link.json            |
      | no/such/folder/a.json |

  Scenario: a duration
    Given a running "serve 64M"
    When vramtrace attaches to it with "--duration 300ms"
    And vramtrace ends by itself
    Then the exit status is 0
    And the run took between 0.25 and 5 seconds

  Scenario: tables at an interval, so many
    Given a running "serve 64M"
    When vramtrace attaches to it with "0.2 3"
    And the program is told "alloc 4096"
    And vramtrace ends by itself
    Then the exit status is 0
    And 3 tables are told

  Scenario: output that cannot be written
    When vramtrace is called with "-o json --output /dev/full -- {prog}/basic"
    Then the exit status is 1
    And stderr matches "no space|cannot write"

  @D1
  Scenario: odd names stay harmless
    Given a copy of the program "quick" named by control characters
    When vramtrace runs the copy with "-o text"
    Then the exit status is 0
    And no control character reached stdout or stderr

  Scenario Outline: a reader that does not read cannot keep the tracer of a script
    Given a running "serve"
    When vramtrace, in the background of a script, writes with "<options>" to a pipe that nobody reads
    And the program is told "alloc 4096"
    Then SIGINT, sent again and again, ends it
    When the program is told to quit
    Then the program goes on to its normal end

    Examples:
      | options          |
      | -o json --output |
      | --quiet -w       |
