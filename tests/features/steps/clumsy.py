# SPDX-License-Identifier: Apache-2.0
"""Steps of users who close, redirect and mistype."""
import json
import os
import re
import signal
import time

from behave import then, when

from scene import Run
from start import trace_with


@when('vramtrace is started by shell as "{line}"')
@when('vramtrace attaches to it by shell as "{line}"')
def by_shell(context, line):
    """The status is that of the first program of a pipe."""
    scene = context.scene
    many = ",".join(entry for entry in os.listdir("/proc") if entry.isdigit())
    line = line.format(vramtrace=scene.binary, prog=os.path.join(scene.build, "prog"), many=many,
                       pid=scene.target.pid if scene.target else "")
    scene.tracer = scene.add(Run(scene, "%02d-shell" % len(scene.runs), ["bash", "-o", "pipefail", "-c", line],
                                 scene.environment()))


@then("it ends within {seconds:d} seconds with status {status:d}")
def ends_within(context, seconds, status):
    got = context.scene.tracer.wait(seconds)
    assert got == status, (got, context.scene.tracer.both())


@then('stderr does not say "{text}"')
def stderr_silent(context, text):
    assert text not in context.scene.tracer.err(), context.scene.tracer.err()


@then('stderr says "{text}" once')
def stderr_once(context, text):
    assert context.scene.tracer.err().count(text) == 1, context.scene.tracer.err()


@then('the file "{name}" holds only JSON')
def only_json(context, name):
    with open(os.path.join(context.scene.folder, name), encoding="utf-8") as file:
        assert [json.loads(line) for line in file][-1]["event"] == "summary"


@when("vramtrace attaches to it under nohup")
def under_nohup(context):
    """nohup(1) does no more than this, and closes what is a terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        trace_with(context, "-p {pid}")
    finally:
        signal.signal(signal.SIGHUP, before)


@when("the tracer gets {name}")
def tracer_gets(context, name):
    os.kill(context.scene.tracer.pid, getattr(signal, name))
    time.sleep(0.3)


@then('there is one "{kind}" event')
def one_event(context, kind):
    assert len(context.scene.tracer.events(kind)) == 1, context.scene.tracer.events(kind)


def counters(context):
    return {name: int(count) for name, count in re.findall(r"stats: (\w+) (\d+)", context.scene.tracer.err())}


@then("the kernel side's counters add up")
def add_up(context):
    count = counters(context)
    assert count["produced"] == count["delivered"] + count["lost_ring"], count
    assert count["entered"] == count["returned"] + count["missed_return"] + count["killed_in_call"], count


@then("the kernel side counted {name} {number:d}")
def counted(context, name, number):
    assert counters(context)[name] == number, counters(context)
