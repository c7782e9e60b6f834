# SPDX-License-Identifier: Apache-2.0
"""Steps that start programs and tracers, and those that end them."""
import os
import shlex
import shutil
import signal
import subprocess
import time

import parse
from behave import given, register_type, when, then

from scene import PUPPET, wait_until


@parse.with_pattern(r'[^"]*')
def unquoted(text):
    return text


register_type(Text=unquoted)


def words(context, text):
    """A command line; {names} stand for what only the scene knows. A program of tests/prog goes by its name."""
    scene = context.scene
    known = {"folder": scene.folder, "sim": os.path.join(scene.build, "sim"), "prog": os.path.join(scene.build, "prog"),
             "pid": scene.target.pid if scene.target else "", "build": scene.build}
    parts = [part.format(**known) for part in shlex.split(text)]
    if "--" in parts[:-1]:
        command = parts.index("--") + 1
        if parts[command] == "puppet":
            parts[command:command + 1] = PUPPET
        elif os.path.exists(scene.program(parts[command])):
            parts[command] = scene.program(parts[command])
    return parts


def tracer_options(context, text):
    options = words(context, text)
    own = options[:options.index("--")] if "--" in options else options
    return options if "-o" in own or "--list-probes" in own else ["-o", "json", *options]


def blocks_interrupt(pid):
    """The tracer takes SIGINT by a descriptor once its probes count: a sign that does not depend on its words. (While it
    starts a thread it blocks every signal.)"""
    try:
        with open("/proc/%d/status" % pid, encoding="utf-8") as file:
            blocked = [line.split()[1] for line in file if line.startswith("SigBlk:")][0]
    except (OSError, IndexError):
        return False
    mask = int(blocked, 16)
    return bool(mask >> (signal.SIGINT - 1) & 1 and not mask >> (signal.SIGUSR1 - 1) & 1)


def wait_for_probes(context, tracer):
    wait_until(lambda: blocks_interrupt(tracer.pid) or not tracer.running(), "the tracer is ready")
    assert tracer.running(), "the tracer ended with status %d" % tracer.process.returncode
    context.scene.since_ns = time.monotonic_ns()


@given("the simulation has {settings}")
def simulation_setting(context, settings):
    for setting in settings.split():
        name, value = setting.split("=", 1)
        context.scene.settings[name] = value.format(folder=context.scene.folder)


@given("the simulated libraries lie in a folder of their own, {folder}")
def own_libraries(context, folder):
    target = os.path.join(context.scene.folder, folder)
    os.mkdir(target)
    for name in ("libcuda.so.1", "libcudart.so.13"):
        shutil.copy(os.path.join(context.scene.build, "sim", name), target)
    context.scene.settings["LD_LIBRARY_PATH"] = ""


@when("the libraries in {folder} are deleted and put there anew")
def replace_libraries(context, folder):
    target = os.path.join(context.scene.folder, folder)
    for name in os.listdir(target):
        os.unlink(os.path.join(target, name))
        shutil.copy(os.path.join(context.scene.build, "sim", name), target)


@given('a running "{command}"')
def running_program(context, command):
    argv = shlex.split(command)
    path = context.scene.program(argv[0])
    target = context.scene.start([path if os.path.exists(path) else argv[0], *argv[1:]])
    if argv[0].startswith("serve"):
        wait_until(lambda: "ready\n" in target.out() or not target.running(), argv[0] + " says ready")
        target.answered = 1
    assert target.running(), target.err()


@given("a running puppet")
def running_puppet(context):
    context.scene.start(PUPPET)


@given("a running puppet that has loaded the runtime")
def loaded_puppet(context):
    running_puppet(context)
    assert context.scene.actor.ask("load") == "loaded"


@when("vramtrace attaches to it")
@when("vramtrace attaches to the first")
@given("vramtrace attaches to it")
def attach(context):
    attach_with(context, "")


@when('vramtrace attaches to it with "{options}"')
def attach_with(context, options):
    trace_with(context, "-p {pid} " + options)


@when("vramtrace watches the whole machine")
def whole_machine(context):
    context.whole_machine = True
    trace_with(context, "")


@when('vramtrace traces "{options}"')
def trace_with(context, options):
    tracer = context.scene.trace(tracer_options(context, options))
    wait_for_probes(context, tracer)


@when('another vramtrace attaches to it')
def attach_another(context):
    context.scene.first_tracer, context.first_since_ns = context.scene.tracer, context.scene.since_ns
    attach(context)


@when("vramtrace runs a puppet")
def trace_puppet(context):
    trace_puppet_with(context, "")


@when('vramtrace runs a puppet with "{options}"')
def trace_puppet_with(context, options):
    """The puppet opens the runtime late; told of it by name, the tracer misses nothing all the same."""
    runtime = getattr(context, "runtime", "{sim}/libcudart.so.13")
    context.scene.actor = context.scene.trace(tracer_options(
        context, "--output trace.json --library %s %s -- puppet" % (runtime, options)))


@when('vramtrace runs "{command:Text}"')
def run_command(context, command):
    run_command_with(context, command, "")


@when('vramtrace runs "{command:Text}" with "{options:Text}"')
def run_command_with(context, command, options):
    tracer = context.scene.trace(tracer_options(context, "%s -- %s" % (options, command)))
    context.status = tracer.wait(60)


@when('vramtrace runs "{command:Text}" with "{options:Text}", for at most {seconds:d} seconds')
def run_command_long(context, command, options, seconds):
    tracer = context.scene.trace(tracer_options(context, "%s -- %s" % (options, command)))
    context.status = tracer.wait(seconds)


@when('vramtrace is called with "{options}"')
def call(context, options):
    tracer = context.scene.trace(words(context, options))
    context.status = tracer.wait(60)  # single links take seconds to go


@when("vramtrace is called with no option by a user without privileges")
def call_as_nobody(context):
    tracer = context.scene.trace([], user="nobody")
    context.status = tracer.wait()


@when('the puppet does "{command}"')
def puppet_does(context, command):
    context.answer = context.scene.actor.ask(words_of_puppet(context, command))


@when('the puppet does "{command}", giving {name}')
def puppet_gives(context, command, name):
    result, address = context.scene.actor.ask(words_of_puppet(context, command)).split()
    assert result == "0", "%s failed with %s" % (command, result)
    context.blocks = dict(getattr(context, "blocks", {}), **{name: address})


def words_of_puppet(context, command):
    blocks = getattr(context, "blocks", {})
    return " ".join(blocks.get(word, word) for word in command.format(folder=context.scene.folder).split())


@when("the puppet spawns another that allocates {size:d} bytes")
def puppet_spawns(context, size):
    actor = context.scene.actor
    actor.say("spawn")
    actor.ask("load")
    actor.ask("malloc %d" % size)
    assert actor.ask("exit 0") == "ended"


@when("the puppet begins to spawn another")
def puppet_begins(context):
    """From here on the child is the one that takes commands."""
    actor = context.scene.actor
    children = "/proc/%d/task/%d/children" % (actor.pid, actor.pid)

    def read(path):
        with open(path, encoding="utf-8") as file:
            return file.read()
    actor.say("spawn")
    wait_until(lambda: read(children).strip(), "the child is there")


@then('the answer is "{answer}"')
def answer_is(context, answer):
    assert context.answer.startswith(answer), context.answer


@when('the program is told "{line}"')
def tell_program(context, line):
    context.scene.actor.ask(line)


@when("the program is told to quit")
def tell_quit(context):
    context.scene.actor.say("quit")


@when("the puppet's input ends")
def end_of_input(context):
    context.scene.actor.process.stdin.close()
    context.scene.actor.process.stdin = None


@when("vramtrace is stopped")
@then("vramtrace can be stopped")
def stop(context):
    context.status = context.scene.tracer.stop()


@when("vramtrace ends by itself")
def ends(context):
    context.status = context.scene.tracer.wait(60)


@when("both are stopped")
def stop_both(context):
    assert context.scene.first_tracer.stop() == 0
    context.status = context.scene.tracer.stop()


@when("vramtrace is killed")
def kill_tracer(context):
    os.kill(context.scene.tracer.pid, signal.SIGKILL)
    context.scene.tracer.wait()


@when("vramtrace alone is killed")
def kill_tracer_alone(context):
    """Its child has the pipes and goes on."""
    context.scene.actor.orphaned = True
    os.kill(context.scene.tracer.pid, signal.SIGKILL)
    context.scene.tracer.process.wait(10)


@when("the program is killed by {name}")
def kill_target(context, name):
    os.kill(context.scene.target.pid, getattr(signal, name))
    context.scene.target.wait()


@when("the program has ended")
@then("the program goes on to its normal end")
def program_ends(context):
    status = context.scene.target.wait(60)
    assert status == 0, "the program ended with %d: %s" % (status, context.scene.target.err())


@when('a second program "{name}" has run')
def second_program(context, name):
    first = context.scene.target
    argv = words(context, name)
    context.second = context.scene.start([context.scene.program(argv[0]), *argv[1:]])
    assert context.second.wait() == 0
    context.scene.target = context.scene.actor = first


@when("the clock starts here")
def clock_starts(context):
    context.scene.since_ns = time.monotonic_ns()


@when("{milliseconds:d} ms have passed")
def pause(context, milliseconds):
    time.sleep(milliseconds / 1000)
