# SPDX-License-Identifier: Apache-2.0
Feature: Recordings: what a run saw is kept, and printed again as it was

  A replay is made by a user without privileges, in an environment of its own.

  Scenario Outline: a replay prints the bytes of the live run
    When vramtrace runs "<program>" with "-w run.vramtrace <options>"
    Then its replay with "<options>" prints the same bytes

    Examples:
      | program                 | options               |
      | basic --leak 1          | -o text               |
      | basic --leak 1          | -o json               |
      | basic --hold            | -o csv                |
      | basic-static            | -o json               |
      | threads                 | -o json               |
      | forker                  | -o json               |
      | exits exec              | -o json               |
      | fail                    | -o text --bytes       |
      | freer                   | -o json               |
      | driver                  | -o json --layer both  |
      | basic                   | -o json --min-size 4M |
      | basic                   | -o text --color always |

  Scenario: a run of one layer
    When vramtrace runs "basic" with "-w run.vramtrace -o json --layer runtime"
    Then its replay with "-o json" prints the same bytes

  Scenario: a running program, with what the driver said of it
    Given a running "serve"
    When vramtrace traces "-o json -w run.vramtrace -p {pid}"
    And the program is told "alloc 1048576"
    And the program is told to quit
    And vramtrace ends by itself
    Then its replay with "-o json" prints the same bytes

  Scenario: tables are printed at the ticks of the run
    Given a running "serve"
    When vramtrace traces "-o text -w run.vramtrace -p {pid} 0.2"
    And the program is told "alloc 1048576"
    And 700 ms have passed
    And the program is told "alloc 1048576"
    And the program is told to quit
    And vramtrace ends by itself
    Then its replay with "-o text 0.2" prints the same bytes
    And its replay with "-o text 0.5" says "live"

  Scenario: losses stand where they stood
    When vramtrace runs "asyncload 4 20000" with "-w run.vramtrace -o json --ring-size 4K", for at most 60 seconds
    Then there is a "lost" event with cause=ring
    And its replay with "-o json" prints the same bytes
    And its replay with "-o json --strict" has status 3

  Scenario: --quiet leaves stdout to the command, and the recording has it all
    When vramtrace runs "basic --leak 1" with "--quiet -w run.vramtrace"
    Then the exit status is 0
    And the child's words are all of stdout
    And its replay with "-o json" tells every call as it was made

  Scenario: another format than the live one
    When vramtrace runs "basic --leak 1" with "-w run.vramtrace -o text"
    Then its replay with "-o json" tells every call as it was made

  Scenario: a recording from a pipe
    When vramtrace runs "basic" with "-w run.vramtrace -o json"
    Then its replay through a pipe prints the same bytes

  Scenario: the tracer is killed
    Given a running "serve"
    When vramtrace traces "-o json -w run.vramtrace -p {pid}"
    And the program is told "alloc 1048576"
    And the program is told "alloc 4096"
    And 2500 ms have passed
    And vramtrace is killed
    And the program is told to quit
    Then its replay says that it was cut, and is true up to there
    And the program goes on to its normal end

  Scenario: a damaged frame costs only itself, and is said
    When vramtrace runs "loop 20000 4096" with "-w run.vramtrace -o json", for at most 60 seconds
    And a byte in the middle of the recording is flipped
    Then its replay tells all but what was in that frame, and counts that as lost

  Scenario: a disk that is full
    Given a folder "small" with room for 64 KB
    When vramtrace runs "loop 20000 4096" with "-w small/run.vramtrace -o json", for at most 60 seconds
    Then stderr matches "the recording is incomplete: [0-9]+ items are not in it .No space left"
    And the exit status is 1
    And every call is told as it was made, and nothing else

  Scenario: a disk that is full is said while the program runs
    Given a folder "small" with room for 4 KB
    And a running "serve --tick 1 64M"
    When vramtrace traces "-w small/run.vramtrace -p {pid}"
    Then soon stderr matches "cannot write the recording: No space left"
    When the program is told to quit
    And vramtrace ends by itself
    Then stderr matches "the recording is incomplete: [0-9]+ items are not in it .No space left"
    And the exit status is 1

  Scenario Outline: bad recordings
    Given a file "other" holding "<content>"
    When vramtrace is called with "-r other"
    Then the exit status is 1
    And stderr says "other"
    And stdout is empty

    Examples:
      | content               |
      | this is no recording  |
      | VRAMTRACE             |

  Scenario Outline: bad command lines
    When vramtrace is called with "<options>"
    Then the exit status is 2
    And stderr says "<text>"

    Examples:
      | options                    | text      |
      | -r file -p 1               | -p        |
      | -r file -w other           | -w        |
      | -r file --layer driver     | --layer   |
      | -r file --ring-size 4K     | --ring-size |
      | -r file -- true            | command   |
      | --quiet --output x -- true | --quiet   |

  Scenario: a missing recording
    When vramtrace is called with "-r nowhere.vramtrace"
    Then the exit status is 1
    And stderr says "nowhere.vramtrace: No such file"

  Scenario: a recording is a new file of its own
    Given a file "there" holding "mine"
    When vramtrace runs "basic" with "-w there"
    Then the exit status is 1
    And stderr says "exists already"
    And the file "there" still holds "mine"

  Scenario: a start that failed leaves no file in the way of the next
    Given a file "kept" holding "mine"
    When vramtrace is called with "-w run.vramtrace --output trace.json -p 4194303"
    Then the exit status is 1
    And there is no file "run.vramtrace"
    And there is no file "trace.json"
    And the file "kept" still holds "mine"

  Scenario: the mode of a recording
    When vramtrace runs "basic" with "--quiet -w run.vramtrace"
    Then the file "run.vramtrace" has mode 640 and belongs to root
