# SPDX-License-Identifier: Apache-2.0
"""second_owner.py PROGRAMS: under the tracer: while that stands still, one program fills its ring, and another with the process id of an
earlier one loses calls. So the tracer learns of the loss before it learns of the second owner. Ends with 3 if the id could not be had."""
import os
import signal
import subprocess
import sys
import time

TRIES = 20


def run(pid, *command):
    if pid:
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="utf-8") as file:
            file.write(str(pid - 1))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as program:
        program.wait()
    return program.pid


def second_owner(programs):
    threads = os.path.join(programs, "threads")
    first = run(None, os.path.join(programs, "basic"))
    time.sleep(0.4)
    os.kill(os.getppid(), signal.SIGSTOP)
    try:
        run(None, threads, "2", "300", "4096")
        return run(first, threads, "1", "300", "4096") == first
    finally:
        os.kill(os.getppid(), signal.SIGCONT)
        time.sleep(0.4)


sys.exit(0 if any(second_owner(sys.argv[1]) for _ in range(TRIES)) else 3)
