# SPDX-License-Identifier: Apache-2.0
"""Steps that set an unusual stage: hostile names, races, the real runtime without a driver."""
import os
import shutil
import signal
import subprocess
import sys

from behave import given, when, then

from scene import Run, wait_until
from start import wait_for_probes
from truth import ROOT, Told

REAL_FOLDERS = ("/usr/local/cuda/lib64", "/usr/lib/x86_64-linux-gnu")
MAPPER = """import mmap, sys, time
file = open(sys.argv[1], "rb")
mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC)
print("ready", flush=True)
time.sleep(60)
"""


@given('a copy of the program "{name}" named by control characters')
def odd_copy(context, name):
    context.odd_path = os.path.join(context.scene.folder, "a\x1b[31mred\x07\n\u202ename")
    shutil.copy(context.scene.program(name), context.odd_path)


@when('vramtrace runs the copy with "{options}"')
def run_copy(context, options):
    context.status = context.scene.trace([*options.split(), "--", context.odd_path]).wait()


@then("no control character reached stdout or stderr")
def no_control_characters(context):
    """Of the terminal: the program's own line on stderr has none either."""
    said = context.scene.tracer.both()
    odd = sorted({char for char in said if (ord(char) < 32 and char not in "\n\t") or char == "\u202e" or char == "\x7f"})
    assert not odd and "red" in said, (odd, said)


@when("vramtrace attaches to programs that end at that moment, {times:d} times")
def attach_race(context, times):
    """The programs end after 0 to 40 ms; a tracer takes about as long to begin."""
    context.outcomes = []
    for turn in range(times):
        target = context.scene.start([context.scene.program("basic"), "--sleep", str(turn * 2)])
        tracer = context.scene.trace(["-o", "json", "-p", str(target.pid)])
        context.outcomes.append((tracer.wait(), str(target.pid), tracer.err()))
        target.wait()


@then("each time the status is 0, or 1 with the name of the process")
def race_outcomes(context):
    for status, pid, err in context.outcomes:
        assert status == 0 or (status == 1 and pid in err), (status, pid, err)


@when("vramtrace is called with the id of its second thread")
def call_with_thread(context):
    pid = context.scene.target.pid
    threads = wait_until(lambda: [tid for tid in os.listdir("/proc/%d/task" % pid) if int(tid) != pid], "a second thread")
    context.status = context.scene.trace(["-p", threads[0]]).wait()


@given('a program that has mapped "{name}"')
def mapper(context, name):
    first = context.scene.target
    path = os.path.join(context.scene.folder, name)
    run = context.scene.start([sys.executable, "-c", MAPPER, path])
    wait_until(lambda: "ready" in run.out() or not run.running(), "the file is mapped")
    assert run.running(), run.err()
    context.scene.target = context.scene.actor = first


def real_runtime(context):
    """Its folder; skips the scenario where there is none, or a driver that would make it work."""
    found = [folder for folder in REAL_FOLDERS if os.path.exists(os.path.join(folder, "libcudart.so"))]
    if found and not os.path.exists("/dev/nvidiactl"):
        return found[0]
    context.scenario.skip("no libcudart.so of NVIDIA's on this machine" if not found else "this machine has a driver")
    return None


@given('the program "{name}" built with the real runtime')
def real_program(context, name):
    folder = real_runtime(context)
    if not folder:
        return
    toolkit = "/usr/local/cuda/include"
    headers = toolkit if os.path.exists(toolkit + "/cuda_runtime_api.h") else os.path.join(ROOT, "tests/sim/include")
    context.scene.settings["LD_LIBRARY_PATH"] = folder
    subprocess.run(["cc", "-D_GNU_SOURCE", "-I" + headers, os.path.join(ROOT, "tests/prog", name + ".c"), "-L" + folder,
                    "-lcudart", "-pthread", "-o", os.path.join(context.scene.folder, name)], check=True, timeout=60)


@given("a puppet that can load the real runtime")
def real_puppet(context):
    folder = real_runtime(context)
    if folder:
        # The versioned name differs from release to release; the puppet asks for 13.
        os.symlink(os.path.join(folder, "libcudart.so"), os.path.join(context.scene.folder, "libcudart.so.13"))
        context.scene.settings["LD_LIBRARY_PATH"] = context.scene.folder
        context.runtime = "{folder}/libcudart.so.13"


@then("the failed allocations are {first:d} to {last:d} bytes, error {error:d}, layer {layer}")
def failed_allocations(context, first, last, error, layer):
    told = Told(context.scene.tracer.events()).alloc_failures
    got = sorted((size, code, where) for _, size, code, _, where in told.elements())
    assert got == [(size, error, layer) for size in range(first, last + 1)], told


@when('vramtrace, in the background of a script, writes with "{options}" to a pipe that nobody reads')
def stuck_pipe(context, options):
    """A script's shell makes its background jobs ignore SIGINT. The pipe is full from the start."""
    scene = context.scene
    path = os.path.join(scene.folder, "stuck")
    os.mkfifo(path)
    context.stuck_fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        while os.write(context.stuck_fd, bytes(4096)):
            pass
    except BlockingIOError:
        pass
    argv = ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", scene.binary, "-p", str(scene.target.pid),
            *options.split(), path]
    scene.tracer = scene.add(Run(scene, "stuck-vramtrace", argv, scene.environment()))
    wait_for_probes(context, scene.tracer)


@then("SIGINT, sent again and again, ends it")
def interrupts_end_it(context):
    tracer = context.scene.tracer

    def over():
        if tracer.running():
            os.kill(tracer.pid, signal.SIGINT)
        return not tracer.running()

    wait_until(over, "the tracer is ended by SIGINT")
    os.close(context.stuck_fd)
