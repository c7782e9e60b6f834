# SPDX-License-Identifier: Apache-2.0
"""Steps about the repository's own tools."""
import hashlib
import os
import re
import shutil
import subprocess

from behave import given, when, then
from behave.parser import parse_file

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def digest(folder):
    """Names, times and contents of everything under a folder, build folders left out."""
    state = hashlib.sha256()
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in (".git", "__pycache__") and not name.startswith("build"))
        for path in sorted(os.path.join(base, name) for name in names):
            if not os.path.isfile(path):
                continue
            state.update(path.encode())
            with open(path, "rb") as file:
                state.update(file.read())
    return state.hexdigest()


def run(context, command):
    context.apt_before = digest("/etc/apt")
    context.tree_before = digest(ROOT)
    context.done = subprocess.run(command, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=120)


def write(context, path, text):
    full = os.path.join(context.tree, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)


@given('a source tree with the file "{path}" holding "{text}"')
def source_tree(context, path, text):
    context.tree = os.path.join(context.scene.folder, "tree")
    for folder in ("bpf", "user", "include", "tests", "tools"):
        os.makedirs(os.path.join(context.tree, folder))
    shutil.copy(os.path.join(ROOT, ".clang-format"), context.tree)
    write(context, path, text + "\n")


@given('a source tree with the file "{path}" of {lines:d} lines in one function')
def long_function(context, path, lines):
    body = ["int long_one(int a)", "{"] + ["\ta++;"] * (lines - 4) + ["\treturn a;", "}"]
    source_tree(context, path, "\n".join(body))


@when('I run "tools/{tool}" on that tree')
def run_lint(context, tool):
    run(context, [os.path.join(ROOT, "tools", tool), context.tree])
    assert context.done.returncode != 77, "the lint cannot run: " + context.done.stdout


@when('I run "{command}" in the repository')
def run_in_repository(context, command):
    run(context, command.split())


@given('a template with a line "{line}"')
def template(context, line):
    context.template = os.path.join(context.scene.folder, "template")
    with open(context.template, "w", encoding="utf-8") as file:
        file.write(".Sh PROBES\n%s\n.Sh END\n" % line)


@given('a template without a line "{line}"')
def template_without(context, line):
    template(context, "x" + line)


@when('I run "tools/gen-probe-table" on it and the probe table')
def run_generator(context):
    run(context, [os.path.join(ROOT, "tools/gen-probe-table"), context.template,
                  os.path.join(ROOT, "include/vramtrace/probes.def")])


@then("the output has one table row for every row of the probe table")
def table_rows(context):
    with open(os.path.join(ROOT, "include/vramtrace/probes.def"), encoding="utf-8") as file:
        symbols = re.findall(r"^PROBE\((\w+),", file.read(), re.M)
    shown = re.findall(r"^\.It (\w+) Ta \w+ Ta \w+ Ta \w+$", context.done.stdout, re.M)
    assert shown == symbols and len(symbols) > 20, (shown, symbols)
    assert context.done.stdout.startswith(".Sh PROBES\n") and context.done.stdout.endswith(".Sh END\n")


@then("its exit status is {status:d}")
def exit_status(context, status):
    assert context.done.returncode == status, (context.done.returncode, context.done.stdout)


@then('it says "{text}"')
def says(context, text):
    assert text in context.done.stdout, context.done.stdout


@then("/etc/apt is as it was")
def apt_unchanged(context):
    assert digest("/etc/apt") == context.apt_before


@then("no file of the repository has changed")
def tree_unchanged(context):
    assert digest(ROOT) == context.tree_before


def marks(feature):
    """(tag, whether every run has it) of the scenarios, and of the examples of an outline."""
    for scenario in feature.scenarios:
        for part in [scenario, *getattr(scenario, "examples", [])]:
            tags = set(part.tags) | set(scenario.tags)
            yield from ((tag, not tags & {"slow", "long"}) for tag in part.tags if tag.startswith("C-"))


@then("each of these marks a scenario that every run has, and there is no other mark of that sort")
def marked(context):
    folder = os.path.join(ROOT, "tests/features")
    found = {}
    for name in os.listdir(folder):
        if name.endswith(".feature"):
            for tag, always in marks(parse_file(os.path.join(folder, name))):
                found["@" + tag] = found.get("@" + tag, False) or always
    wanted = {row["mark"] for row in context.table}
    missing = sorted(mark for mark in wanted if not found.get(mark))
    assert not missing and not set(found) - wanted, (missing, set(found) - wanted)
