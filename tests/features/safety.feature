# SPDX-License-Identifier: Apache-2.0
Feature: The traced program never notices
  Its exit status, its output and its code are its own, whatever happens to the tracer.

  @D7
  Scenario: a normal stop takes every breakpoint away
    Given a running "serve 64M"
    Then the code of the libraries in the program's memory equals the files
    When vramtrace attaches to it
    Then the code of the libraries in the program's memory has breakpoints
    When the program is told "alloc 4096"
    And vramtrace is stopped
    Then the exit status is 0
    And the code of the libraries in the program's memory equals the files
    When the program is told "free 1"
    And the program is told to quit
    Then the program goes on to its normal end

  @D7
  Scenario: the tracer is killed
    Given a running "serve --tick 1 64M"
    When vramtrace attaches to it
    And the program is told "alloc 4096"
    And vramtrace is killed
    And the program is told "alloc 8192"
    Then the code of the libraries in the program's memory equals the files
    When the program is told "free 2"
    And the program is told to quit
    Then the program goes on to its normal end

  @D7
  Scenario: the tracer of a command is killed
    When vramtrace runs a puppet
    And the puppet does "load"
    And the puppet does "malloc 4096", giving A
    And vramtrace alone is killed
    And the puppet does "free A"
    Then the answer is "0"

  @D7
  Scenario Outline: the command's exit status is the trace's
    When vramtrace runs "<command>"
    Then the exit status is <status>

    Examples:
      | command                 | status |
      | /bin/true               | 0      |
      | sh -c 'exit 3'          | 3      |
      | sh -c 'kill -KILL $$'   | 137    |
      | sh -c 'kill -TERM $$'   | 143    |
      | /etc/passwd             | 126    |
      | {folder}                | 126    |
      | /no/such/program        | 127    |
      | no-such-program-anywhere | 127   |

  Scenario: a command that cannot start is named
    When vramtrace runs "/no/such/program --flag"
    Then stderr says "/no/such/program"

  @D7
  Scenario: stdout is the product's, and the command's goes to stderr
    When vramtrace runs "basic"
    Then the child's words went to stderr
    And every line has the keys that the schema promises

  @D7
  Scenario: with --output, the command keeps its stdout
    When vramtrace runs "basic" with "--output trace.json"
    Then stdout says "basic"
    And stdout does not say "schema"
    And the file "trace.json" ends with a summary

  @D7
  Scenario: the command reads the stdin that vramtrace was given
    When vramtrace runs a puppet
    And the puppet does "load"
    Then the answer is "loaded"

  Scenario: a program that ends during the trace ends it
    Given a running "serve 64M"
    When vramtrace attaches to it
    And the program is told to quit
    And vramtrace ends by itself
    Then the exit status is 0
    And the program goes on to its normal end
