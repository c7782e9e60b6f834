# SPDX-License-Identifier: Apache-2.0
Feature: What is lost is known
  Every call is told or counted as lost, by its cause and its process, each exactly once; totals that a loss may have changed say so.

  Scenario: the ring is full
    When vramtrace traces "--ring-size 4K -v -- loop 10000"
    And the tracer stands still for 100 ms
    And vramtrace ends by itself
    Then of 20002 calls made, each is told or counted as lost, cause ring
    And the log of the card has 20002 calls
    And a loss is told before the last call is
    And the summary calls all of it incomplete
    And the kernel side's counts come out even
    And the exit status is 0

  Scenario: with --strict a loss is the exit status
    When vramtrace traces "--ring-size 4K --strict -- loop 10000"
    And the tracer stands still for 100 ms
    And vramtrace ends by itself
    Then of 20002 calls made, each is told or counted as lost, cause ring
    And the exit status is 3

  Scenario: who fills the ring loses, and nobody else
    When vramtrace traces "-v --ring-size 64K --library {sim}/libcuda.so.1 --library {sim}/libcudart.so.13 -- sh -c '{prog}/loop 30000 & {prog}/pace 100 10; wait'"
    And 300 ms have passed
    And the tracer stands still for 250 ms
    And vramtrace ends by itself
    Then "loop" alone has lost something, and is incomplete
    And every call of "pace" is told
    And of 60202 calls made, each is told or counted as lost, cause ring
    And the kernel side's counts come out even

  Scenario: many processes lose at once
    When vramtrace runs "many 12" with "--ring-size 4K -v"
    Then the kernel side's counts come out even
    And the exit status is 0

  Scenario: the table of processes is full
    When vramtrace runs "many 12" with "--map-entries=8 -v --strict"
    Then 5 processes are untold, and counted
    And the summary calls all of it incomplete
    And the kernel side's counts come out even
    And the exit status is 3

  Scenario: the table of threads is full
    Given the simulation has VRAMSIM_FREE_DELAY_US=3000
    When vramtrace runs "threads 12 20 4096" with "--without=task_storage --map-entries=4 -v --strict"
    Then of 480 calls made, each is told or counted as lost, cause state
    And the summary calls all of it incomplete
    And the kernel side's counts come out even
    And the exit status is 3

  Scenario: a result that cannot be read
    Given the simulation has VRAMSIM_HIDE=2
    When vramtrace runs "hidden 4" with "-v --strict"
    Then of 4 calls made, each is told or counted as lost, cause read
    And the log of the card has 4 calls
    And the summary calls all of it incomplete
    And the exit status is 3

  Scenario: a thread ends within a call and its program goes on
    Given the simulation has VRAMSIM_FREE_DELAY_US=300000
    When vramtrace runs "dying exit" with "-v --strict"
    Then of 4 calls made, each is told or counted as lost, cause killed
    And the log of the card has 3 calls
    And the summary calls all of it incomplete
    And the kernel side's counters add up
    And the kernel side's counts come out even
    And the exit status is 3

  Scenario: a process is not blamed for what the next owner of its id lost
    When the second owner of a process id loses calls before the tracer knows of it
    Then no loss is told of "basic", and nothing is called complete

  Scenario: a thread jumps out of a call
    Given the simulation has VRAMSIM_FREE_DELAY_US=300000
    When vramtrace runs "dying jump" with "-v --strict"
    Then of 5 calls made, each is told or counted as lost, cause return
    And the log of the card has 4 calls
    And the kernel side's counters add up
    And the kernel side's counts come out even
    And the exit status is 3

  Scenario: a whole program that is killed within calls has lost nothing
    Given the simulation has VRAMSIM_FREE_DELAY_US=300000
    And a running "threads 4 100 4096"
    When vramtrace attaches to it with "-v"
    And 700 ms have passed
    And the program is killed by SIGKILL
    And vramtrace ends by itself
    Then there is no "lost" event
    And the kernel side's counters add up

  Scenario Outline: calls within each other, deeper than the tracer and than the kernel follow
    Given the simulation has VRAMSIM_NEST=<depth>
    When vramtrace runs "loop 3" with "-v --strict"
    Then of <calls> calls made, each is told or counted as lost, cause nested
    And the log of the driver has <allocations> allocations
    And the kernel side's counters add up
    And the kernel side's counts come out even
    And the exit status is 3

    Examples:
      | depth | allocations | calls |
      | 9     | 40          | 44    |
      | 100   | 404         | 408   |

  Scenario: calls within each other that the tracer follows
    Given the simulation has VRAMSIM_NEST=7
    When vramtrace runs "loop 3" with "-v --strict"
    Then there is no "lost" event
    And the log of the driver has 32 allocations
    And the exit status is 0
