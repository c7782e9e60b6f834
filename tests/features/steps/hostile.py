# SPDX-License-Identifier: Apache-2.0
"""Steps with crowds of programs whose names are hostile_names.NAMES."""
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys

from behave import given, when, then

from hostile_names import (COMM_BYTES, NAMES, acts, as_csv, as_json, as_text, function_name, make_library, name_function)
from odd import MAPPER
from scene import wait_until
from start import tracer_options, wait_for_probes

# Runs each program given, one after the other or all at once: a shell of our own that no name can confuse.
SHEPHERD = """import subprocess, sys
hold, programs = sys.argv[1], [argument.encode("utf-8", "surrogateescape") for argument in sys.argv[2:]]
together = hold != "0"
runs = []
for program in programs:
    runs.append(subprocess.Popen([program, hold]))
    if not together:
        runs[-1].wait()
sys.exit(any([run.wait() for run in runs]))
"""


def shown(path):
    return os.fsdecode(path)


def raw(path):
    with open(path, "rb") as file:
        return file.read()


def folder_for(scene, number):
    path = os.path.join(scene.folder.encode(), b"crowd", b"%02d" % number)
    os.makedirs(path)
    return path


class Member:
    """One program of the crowd."""

    def __init__(self, scene, number, name, function, library):
        self.name, self.function = name, function
        self.path = os.path.join(folder_for(scene, number), name)
        self.module = self.path + b".so"
        os.link(scene.program("guest"), self.path)
        with open(self.module, "wb") as file:
            file.write(name_function(library, function))
        self.comm = name[:COMM_BYTES]


def make_crowd(context, functions):
    scene, library = context.scene, make_library(context.scene)
    try:
        os.link(scene.program("guest"), os.path.join(scene.folder, "guest"))
    except OSError:  # another file system
        scene.program = lambda name: os.path.join(scene.folder, name)
        shutil.copy(os.path.join(scene.build, "prog/guest"), scene.folder)
    context.crowd = [Member(scene, number, name, function, library) for number, (name, function) in enumerate(functions)]


@given("a crowd of programs with hostile names, libraries and functions")
def crowd(context):
    make_crowd(context, [(name, function_name(number)) for number, name in enumerate(NAMES)])


@given("two programs whose functions differ in a byte that is no UTF-8")
def twins(context):
    make_crowd(context, [(b"twin", b"f\xff"), (b"twin", b"f\xfe"), (b"twin", b"f\\xff")])


def run_crowd(context, options, hold_ms):
    argv = tracer_options(context, options)
    argv += ["--", sys.executable, "-c", SHEPHERD, str(hold_ms), *(shown(member.path) for member in context.crowd)]
    context.status = context.scene.trace(argv).wait(60)


@when('vramtrace runs the crowd with "{options}"')
def run_in_turn(context, options):
    run_crowd(context, options, 0)


@when('vramtrace runs the crowd at once with "{options}"')
def run_at_once(context, options):
    context.scene.settings["VRAMSIM_BYTES"] = "80G"  # a context each
    run_crowd(context, options, 1500)


@when('vramtrace records the crowd and replays it with "{options}"')
def record_and_replay(context, options):
    run_crowd(context, "-o csv --quiet -w crowd.vramtrace", 0)
    assert context.status == 0, context.status
    assert not acts(raw(context.scene.tracer.err_path))
    context.status = context.scene.trace(["-r", "crowd.vramtrace", "-v", *options.split()]).wait()


@then("nothing in stdout and stderr acts on a terminal")
def harmless(context):
    for path in (context.scene.tracer.out_path, context.scene.tracer.err_path):
        said = raw(path)
        assert not acts(said), (acts(said), said)


@then("stdout acts on a terminal by colours alone")
def only_colours(context):
    said = raw(context.scene.tracer.out_path)
    for colour in (b"\x1b[0m", b"\x1b[1m", b"\x1b[31m", b"\x1b[33m"):
        said = said.replace(colour, b"")
    assert not acts(said), (acts(said), said)
    for member in context.crowd:
        assert as_text(member.comm) in said.decode(), member.name


def caller_of(member):
    return os.path.basename(member.module) + b"!" + member.function


@then("text tells of each program by its name, module and function")
def told_text(context):
    said = context.scene.tracer.out()
    for member in context.crowd:
        assert said.count(as_text(member.comm) + ", pid ") >= 1, member.name
        if not member.function.startswith(b"_Z"):
            assert as_text(caller_of(member)) in said, (caller_of(member), said)
    lines = re.findall(r" alloc +4 KB ", said)
    assert len(lines) == len(context.crowd), "%d lines tell an allocation" % len(lines)


@then("json tells of each program by its name, module and function")
def told_json(context):
    """Both as the stream says it and as the summary does."""
    events = context.scene.tracer.events()
    allocs = [event for event in events if event["event"] == "alloc"]
    assert len(allocs) == len(context.crowd), len(allocs)
    for member, event in zip(context.crowd, allocs):
        caller = event["caller"]
        got = event["comm"], caller["module"], caller["symbol"]
        # /proc/PID/maps would write a line end in octal; the mapping's own event does not.
        assert got == (as_json(member.comm), as_json(member.module), as_json(member.function)), (got, member.name)
        mangled = member.function.startswith(b"_Z")
        assert not mangled or caller["demangled"] in (None, as_json(member.name) + "()"), caller
    processes = {process["pid"]: process for process in events[-1]["processes"]}
    for member, event in zip(context.crowd, allocs):
        process = processes[event["pid"]]
        assert process["comm"] == as_json(member.comm) and len(process["by_caller"]) == 1, process


@then("csv tells of each program by its name, module and function")
def told_csv(context):
    rows = list(csv.DictReader(io.StringIO(context.scene.tracer.out(), newline="")))
    allocs = [row for row in rows if row["event"] == "alloc"]
    assert all(None not in row and None not in row.values() for row in rows), "a row has too many or too few fields"
    assert len(allocs) == len(context.crowd), len(allocs)
    for member, row in zip(context.crowd, allocs):
        assert row["comm"] == as_csv(member.comm), (row, member.name)
        if not member.function.startswith(b"_Z"):
            assert row["caller"] == as_csv(caller_of(member)), (row, member.name)


@then("a table as {format} names each program")
def table_names(context, format):
    if format == "text":
        said = context.scene.tracer.out()
        first, end = said.index("COMM "), said.rindex(", pid ")
        missing = [member.name for member in context.crowd if " %s " % as_text(member.comm) not in said[first:end]]
    else:
        named = {process["comm"] for event in context.scene.tracer.events("ledger") for process in event["processes"]}
        missing = [member.name for member in context.crowd if as_json(member.comm) not in named]
    assert not missing, missing


@given("a crowd of programs with hostile names that wait")
def sleepers(context):
    context.waiting = []
    for number, name in enumerate(NAMES):
        path = os.path.join(folder_for(context.scene, number), name)
        shutil.copy("/usr/bin/sleep", path)
        context.waiting.append((name[:COMM_BYTES], context.scene.start([shown(path), "60"])))


@when('vramtrace attaches to the crowd with "{options}"')
def attach_crowd(context, options):
    pids = ",".join(str(run.pid) for _, run in context.waiting)
    wait_for_probes(context, context.scene.trace(["-p", pids, *options.split()]))


@then("stderr says of each program that it has not loaded CUDA")
def told_waiting(context):
    said = context.scene.tracer.err()
    for comm, run in context.waiting:
        assert "process %d (%s) has not loaded CUDA" % (run.pid, as_text(comm)) in said, (comm, said)


@given("programs that have mapped hostile files that are called CUDA libraries")
def mapped_files(context):
    context.files = [os.path.join(folder_for(context.scene, number), b"libcudart.so." + name) for number, name in enumerate(NAMES)]
    for path in context.files:
        with open(path, "wb") as file:
            file.write(b"this is no library")
        run = context.scene.start([sys.executable, "-c", MAPPER, shown(path)])
        wait_until(lambda: "ready" in run.out() or not run.running(), "the file is mapped")
        assert run.running(), run.err()


def octal(path):
    """As /proc/PID/maps writes it."""
    return path.replace(b"\n", b"\\012")


@then("stderr says of each such file that it is not probed")
def told_unprobed(context):
    said = context.scene.tracer.err()
    for path in context.files:
        assert as_text(octal(path)) + " is not probed: " in said, (path, said)


@given("the simulated libraries lie in folders with hostile names")
def hostile_folders(context):
    """A colon or dollar would be the loader's, not ours."""
    context.folders = [os.path.join(folder_for(context.scene, number), name) for number, name in enumerate(NAMES)
                       if not set(b":;$") & set(name)]
    for folder in context.folders:
        os.mkdir(folder)
        for name in (b"libcuda.so.1", b"libcudart.so.13"):
            shutil.copy(os.path.join(context.scene.build.encode(), b"sim", name), os.path.join(folder, name))
    context.scene.settings["LD_LIBRARY_PATH"] = ""


@when('vramtrace runs programs that load CUDA from there with "{options}"')
def run_from_folders(context, options):
    script = "import subprocess, sys\nfor argument in sys.argv[2:]:\n    subprocess.run([sys.argv[1], '0', '1', '30', argument])\n"
    libraries = [shown(os.path.join(folder, b"libcudart.so.13")) for folder in context.folders]
    argv = [*options.split(), "-o", "json", "--", sys.executable, "-c", script, context.scene.program("dlopen"), *libraries]
    context.status = context.scene.trace(argv).wait(60)


@then("stderr says of each such folder's libraries that they were mapped")
def told_mapped(context):
    said = context.scene.tracer.err()
    for folder in context.folders:
        assert " mapped %s: probed " % as_text(os.path.join(folder, b"libcuda.so.1")) in said, (folder, said)


@when('vramtrace is called with hostile words after "{options}"')
def hostile_words(context, options):
    words = options.split()
    context.answers = []
    for name in NAMES:
        word = name if not options.endswith("/") else words[-1].encode() + name
        argv = [context.scene.binary, *words[:-1 if options.endswith("/") else None], word]
        argv += [] if options == "--" else ["--", "true"]
        context.answers.append((name, subprocess.run(argv, env=context.scene.environment(), stdin=subprocess.DEVNULL,
                                                     capture_output=True, timeout=20, check=False)))


@then("each time the status is not 0")
def never_fine(context):
    assert all(answer.returncode > 0 for _, answer in context.answers), context.answers


@then("each time nothing acts on a terminal")
def words_harmless(context):
    for name, answer in context.answers:
        said = answer.stdout + answer.stderr
        assert not acts(said), (name, said)


@then("the summary tells the callers of each apart")
def told_apart(context):
    """As a reader sees it that keeps every key, and as one that keeps the last of equal ones."""
    last = context.scene.tracer.out().strip().split("\n")[-1]
    pairs = []
    summary = json.loads(last, object_pairs_hook=lambda found: pairs.append([key for key, _ in found]) or dict(found))
    assert all(len(keys) == len(set(keys)) for keys in pairs), pairs
    callers = [name for process in summary["processes"] for name in process["by_caller"]]
    assert len(set(callers)) == len(context.crowd), callers
