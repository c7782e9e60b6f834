# SPDX-License-Identifier: Apache-2.0
Feature: Two tracers, one of which dies
  Whoever traces a program beside us may be killed at any instant: while it starts, while it reads, while it ends. The other one's
  ledger stays the truth, and the program does not notice.

  @slow
  Scenario: one of two tracers is killed at a random instant, 20 times
    When one of two tracers is killed at a random instant, 20 times
    Then each time the other one has told every call as it was made, and nothing else
    And each time the program has ended with its own status
    And each time nothing of the killed one was left running

  @long
  Scenario: one of two tracers is killed at a random instant, 100 times
    When one of two tracers is killed at a random instant, 100 times
    Then each time the other one has told every call as it was made, and nothing else
    And each time the program has ended with its own status
    And each time nothing of the killed one was left running
