# SPDX-License-Identifier: Apache-2.0
"""Steps about what is printed where, exit statuses, and the state that a tracer leaves behind."""
import json
import os
import re
import stat

from behave import given, then

from truth import ROWS

from scene import wait_until


@then("the exit status is {status:d}")
def exit_status(context, status):
    assert context.status == status, context.status


@then('stdout says "{text}"')
def stdout_says(context, text):
    assert text in context.scene.tracer.out(), context.scene.tracer.out()[:2000]


@then('stderr says "{text}"')
def stderr_says(context, text):
    text = text.format(pid=context.scene.target.pid if context.scene.target else "", folder=context.scene.folder)
    assert text in context.scene.tracer.err(), context.scene.tracer.err()


@then('stderr matches "{pattern}"')
def stderr_matches(context, pattern):
    assert re.search(pattern, context.scene.tracer.err(), re.S | re.I), context.scene.tracer.err()


@then('stdout matches "{pattern}"')
def stdout_matches(context, pattern):
    assert re.search(pattern, context.scene.tracer.out(), re.S | re.I), context.scene.tracer.out()


@then('soon stderr matches "{pattern}"')
def soon_stderr(context, pattern):
    wait_until(lambda: re.search(pattern, context.scene.tracer.err(), re.S | re.I), pattern)


@then('soon stdout matches "{pattern}"')
def soon_stdout(context, pattern):
    wait_until(lambda: re.search(pattern, context.scene.tracer.out(), re.S | re.I), pattern)


@then("stdout is empty")
def stdout_empty(context):
    assert not context.scene.tracer.out(), context.scene.tracer.out()


@then("vramtrace itself has said nothing on stderr")
def nothing_said(context):
    said = [line for line in context.scene.tracer.err().split("\n") if line.startswith("vramtrace: ")]
    assert not said, said


@then("stderr is empty")
def stderr_empty(context):
    assert not context.scene.tracer.err(), context.scene.tracer.err()


@then('stdout does not say "{text}"')
def stdout_silent(context, text):
    assert text not in context.scene.tracer.out()


@then("the first line says what NVML counts for it and that the past is unseen")
def first_line(context):
    """The simulated card's NVML: a context (518 MiB) and what the program holds."""
    line = wait_until(lambda: context.scene.tracer.out().split("\n")[0], "a first line")
    assert re.search(r"NVML", line) and re.search(r"unseen|not seen", line), line
    assert re.search(r"\b582(\.0)? MB", line), line
    assert str(context.scene.target.pid) in line, line


@then("stdout is a JSON schema")
def json_schema(context):
    schema = json.loads(context.scene.tracer.out())
    assert "$schema" in schema or "properties" in schema or "oneOf" in schema, list(schema)


@then("stdout lists every row of the probe table once")
def list_probes(context):
    listed = [word for word in re.findall(r"\bcu\w+", context.scene.tracer.out()) if word in ROWS]
    assert sorted(listed) == sorted(ROWS), set(ROWS) ^ set(listed)


@then("stdout is a table of comma-separated values with as many columns in each row")
def csv_table(context):
    import csv
    rows = list(csv.reader(context.scene.tracer.out().splitlines()))
    assert len(rows) > 2 and len({len(row) for row in rows}) == 1, rows[:4]
    names = rows[0]
    for name in ("event", "pid", "addr", "size"):
        assert name in names, names


@then('the file "{name}" has mode {mode} and belongs to root')
def file_mode(context, name, mode):
    state = os.stat(os.path.join(context.scene.folder, name))
    assert stat.S_IMODE(state.st_mode) == int(mode, 8) and state.st_uid == 0, oct(state.st_mode)


@given('a file "{name}" holding "{text}"')
def make_file(context, name, text):
    with open(os.path.join(context.scene.folder, name), "w", encoding="utf-8") as file:
        file.write(text)


@given('a symbolic link "{name}"')
def make_link(context, name):
    os.symlink("/nowhere/at/all", os.path.join(context.scene.folder, name))


@given('a copy "{name}" of the simulated runtime, cut off after {size:d} bytes')
def cut_library(context, name, size):
    with open(os.path.join(context.scene.build, "sim/libcudart.so.13"), "rb") as file:
        head = file.read(size)
    with open(os.path.join(context.scene.folder, name), "wb") as file:
        file.write(head)


@then('the file "{name}" still holds "{text}"')
def file_holds(context, name, text):
    with open(os.path.join(context.scene.folder, name), encoding="utf-8") as file:
        assert file.read() == text


@then('the file "{name}" ends with a summary')
def file_summary(context, name):
    assert context.scene.tracer.events()[-1]["event"] == "summary"


def executable_ranges(pid):
    """(start, end, file offset, path) of the simulated libraries' code in a process."""
    with open("/proc/%d/maps" % pid, encoding="utf-8") as file:
        for line in file:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r-xp ([0-9a-f]+) \S+ \d+\s+(/.*lib(?:cuda|cudart)\.so.*)$", line)
            if found:
                yield int(found[1], 16), int(found[2], 16), int(found[3], 16), found[4]


def altered_bytes(pid):
    """How many bytes of code in memory differ from the file."""
    ranges = list(executable_ranges(pid))
    assert len(ranges) >= 2, "the program has not mapped both libraries"
    altered = 0
    with open("/proc/%d/mem" % pid, "rb") as memory:
        for start, end, offset, path in ranges:
            memory.seek(start)
            loaded = memory.read(end - start)
            with open(path, "rb") as file:
                file.seek(offset)
                stored = file.read(end - start)
            altered += sum(a != b for a, b in zip(loaded, stored))
    return altered


@then("the code of the libraries in the program's memory has breakpoints")
def has_breakpoints(context):
    assert altered_bytes(context.scene.target.pid) > 0


@then("the code of the libraries in the program's memory equals the files")
def code_equals(context):
    wait_until(lambda: altered_bytes(context.scene.target.pid) == 0, "the last breakpoint is gone", 5)


@then("the child's words went to stderr")
def child_words(context):
    words = '"program":"basic"'
    assert words in context.scene.tracer.err() and words not in context.scene.tracer.out()


@then("the program did not run")
def did_not_run(context):
    assert not os.path.exists(context.scene.truth_path)


@then("the run took between {low:g} and {high:g} seconds")
def took(context, low, high):
    seconds = context.scene.tracer.events()[-1]["wall_ns"] / 1e9
    assert low <= seconds <= high, seconds


@then("{count:d} tables are told")
def tables(context, count):
    assert len(context.scene.tracer.events("ledger")) == count
