# SPDX-License-Identifier: Apache-2.0
Feature: vramtrace doctor says whether this machine can be traced, and how

  Scenario: the simulated card
    When vramtrace is called with "doctor --library {sim}/libcuda.so.1 --library {sim}/libcudart.so.13"
    Then the exit status is 0
    And the verdict line is "ready"
    And stdout matches "libcuda.so.1\n +is +libcuda \(driver\), version 1, the simulated card\n"
    And stdout matches "calls seen +(\d+) of \1\n"
    And stdout matches "GPU0 +[^\n]+, GPU-[^\n]+, 8 GB, "
    And stdout matches "\d+ memory calls of CUDA are known and carry no probe: vramtrace --list-probes"
    And stderr is empty

  Scenario: the report as JSON, beside what others say of this machine
    When vramtrace is called with "doctor -o json --library {sim}/libcuda.so.1 --library {sim}/libcudart.so.13"
    Then the exit status is 0
    And the report is of the schema
    And the report's verdict is "ready"
    And the report names this system and the rights of its user
    And every named library is attached, with its build id and all of its calls
    And the report's programs saw every call, at a cost
    And the report knows one GPU
    And stderr is empty

  Scenario: a running program is found, and left as it was
    Given a running "serve 64M"
    When vramtrace is called with "doctor -o json"
    Then the exit status is 0
    And the report has the program's libraries by its process
    And the code of the libraries in the program's memory equals the files
    And the program goes on to its normal end

  Scenario: a user without privileges is told what is missing
    When vramtrace is called with "doctor" by a user without privileges
    Then the exit status is 1
    And the verdict line is "cannot trace: not enough privilege, run it as root (missing: CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN)"
    And stdout says "Other users' processes could not be looked at"
    And stdout matches "kernel +\d"
    And stdout matches "programs in the kernel +the kernel refuses"
    And stderr is empty

  Scenario: a user without privileges gets JSON, too
    When vramtrace is called with "doctor -o json --library {sim}/libcuda.so.1" by a user without privileges
    Then the exit status is 1
    And the report is of the schema
    And the report's verdict is "unable"
    And the report names this system and the rights of its user

  Scenario: another PID namespace
    When vramtrace is started by shell as "unshare --pid --fork --mount-proc {vramtrace} doctor"
    Then it ends within 20 seconds with status 1
    And stdout matches "\ncannot trace: [^\n]*PID namespace[^\n]*\n$"

  Scenario Outline: a named library that is none
    Given a file "libcudart.so.13" holding "this is no library"
    And a copy "libcuda.so.1" of the simulated runtime, cut off after 700 bytes
    And a 32-bit library "libcuda.so.2"
    When vramtrace is called with "doctor --library {folder}/<file> --library {sim}/libcuda.so.1"
    Then the exit status is 1
    And stdout matches "\ncannot trace: [^\n]*/<file>: [^\n]+\n$"
    And stdout matches "attach to \d+ calls"
    And stderr is empty

    Examples:
      | file             |
      | libcudart.so.13  |
      | libcuda.so.1     |
      | libcuda.so.2     |
      | libcudart.so.404 |
      | .                |

  Scenario: a broken library in use is a limit
    Given a file "libcudart.so.11" holding "this is no library"
    And a program that has mapped "libcudart.so.11"
    When vramtrace is called with "doctor --library {sim}/libcuda.so.1"
    Then the exit status is 0
    And stdout matches "\nworks with limits: [^\n]*/libcudart.so.11: not a 64-bit ELF file[^\n]*\n$"

  Scenario: a 32-bit library in use is a limit
    Given a 32-bit library "libcuda.so.1"
    And a program that has mapped "libcuda.so.1"
    When vramtrace is called with "doctor --library {sim}/libcuda.so.1"
    Then the exit status is 0
    And stdout matches "\nworks with limits: [^\n]*32-bit programs: [^\n]*\n$"

  Scenario Outline: a kernel without <feature>
    When vramtrace is called with "doctor --without=<switch> --library {sim}/libcuda.so.1"
    Then the exit status is 0
    And stdout matches "<feature> +no +"
    And stdout matches "\nworks with limits: [^\n]*no <feature>: [^\n]+\n$"
    And stdout matches "what is seen of a call +<seen>\n"
    And stdout matches "calls seen +(\d+) of \1\n"
    And stdout matches "attach to \d+ calls"

    Examples:
      | switch        | feature       | seen             |
      | multi         | uprobe_multi  | entry and return |
      | task_storage  | task_storage  | entry and return |
      | return_probes | return_probes | its entry        |

  Scenario: everything at once is missing
    When vramtrace is called with "doctor -o json --without=multi,task_storage,return_probes --library {sim}/libcuda.so.1"
    Then the exit status is 0
    And the report is of the schema
    And the report's verdict is "limited"
    And the report lacks 3 features, each with what is used instead
    And the report's programs saw every call, at a cost

  Scenario: no secrets, no control characters
    Given the simulation has TOKEN=hunter2
    And the simulated runtime lies in a folder named by control characters, red
    And a running "sleep 30.4711"
    When vramtrace reports on that runtime
    Then the exit status is 0
    And no control character reached stdout or stderr
    And stdout does not say "hunter2"
    And stdout does not say "30.4711"
    And stdout does not say the name of this machine

  Scenario Outline: bad usage
    When vramtrace is called with "doctor <options>"
    Then the exit status is 2
    And stdout is empty
    And stderr says "<hint>"

    Examples:
      | options             | hint            |
      | -o csv              | text or json    |
      | 4711                | 4711            |
      | --without=gravity   | return_probes   |
      | --library=          | --library       |
      | --duration 1        | --help          |

  Scenario: the report cannot be written
    When vramtrace is started by shell as "{vramtrace} doctor >/dev/full"
    Then it ends within 20 seconds with status 1
    And stderr says "cannot write the report"

  Scenario: help of its own
    When vramtrace is called with "doctor --help"
    Then the exit status is 0
    And stdout says "vramtrace doctor"
    And stdout says "cannot trace"
    And stdout does not say "without"
