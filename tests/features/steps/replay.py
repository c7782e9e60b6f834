# SPDX-License-Identifier: Apache-2.0
"""Steps about recordings. The live run is the judge of its replay; the simulated card's log is the judge of both."""
import os
import re
import subprocess

from behave import given, then, when

from start import words

RECORDING = "run.vramtrace"


def recording_of(context):
    return os.path.join(context.scene.folder, RECORDING)


def replay(context, options, source=RECORDING, user="nobody"):
    """By a user who may do nothing but read the file."""
    scene = context.scene
    os.chmod(os.path.join(scene.folder, RECORDING), 0o644)
    run = scene.trace(["-r", source, *words(context, options)], user=user, TZ="Asia/Tokyo", LD_LIBRARY_PATH="")
    context.replay_status = run.wait(60)
    return run


def live_of(context):
    return [run for run in context.scene.runs if "-w" in run.argv][-1]


def same(live, again):
    if live == again:
        return
    before, after = live.split("\n"), again.split("\n")
    for number, (one, other) in enumerate(zip(before, after)):
        assert one == other, "line %d:\n  live   %s\n  replay %s" % (number + 1, one, other)
    raise AssertionError("live %d lines, replay %d lines" % (len(before), len(after)))


@then('its replay with "{options}" prints the same bytes')
def same_bytes(context, options):
    live = live_of(context)
    assert live.out(), "the live run printed nothing"
    again = replay(context, options.replace("--layer both", ""))
    assert context.replay_status == 0, (context.replay_status, again.err())
    assert not again.err(), again.err()
    same(live.out(), again.out())


@then("its replay through a pipe prints the same bytes")
def through_pipe(context):
    live = live_of(context)
    with open(recording_of(context), "rb") as file, subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) as cat:
        done = subprocess.run([context.scene.binary, "-r", "-", "-o", "json"], stdin=cat.stdout, capture_output=True,
                              timeout=60, check=True, user="nobody", extra_groups=[])
    same(live.out(), done.stdout.decode("utf-8", "replace"))


@then('its replay with "{options}" says "{text}"')
def replay_says(context, options, text):
    again = replay(context, options)
    assert context.replay_status == 0 and text in again.out(), again.both()[:3000]


@then('its replay with "{options}" has status {status:d}')
def replay_status(context, options, status):
    replay(context, options)
    assert context.replay_status == status, context.replay_status


@then('its replay with "{options}" tells every call as it was made')
def replay_true(context, options):
    replay(context, options)
    context.execute_steps("Then every call is told as it was made, and nothing else")
    context.execute_steps("Then the summary holds for every process what it held")


@then("the child's words are all of stdout")
def child_has_stdout(context):
    out = live_of(context).out()
    assert out and not re.search(r"vramtrace|alloc.*caller|PLACEMENT", out), out


@when("a byte in the middle of the recording is flipped")
def flip(context):
    with open(recording_of(context), "r+b") as file:
        middle = os.path.getsize(recording_of(context)) // 2
        file.seek(middle)
        byte = file.read(1)[0]
        file.seek(middle)
        file.write(bytes([byte ^ 0x10]))


@then("its replay tells all but what was in that frame, and counts that as lost")
def damage_told(context):
    live = [event for event in live_of(context).events() if event["event"] in ("alloc", "free")]
    again = replay(context, "-o json")
    told = [event for event in again.events() if event["event"] in ("alloc", "free")]
    lost = sum(event["count"] for event in again.events("lost") if event["cause"] == "recording")
    assert context.replay_status == 0 and "damaged" in again.err(), again.err()
    assert lost > 0 and len(told) < len(live), (len(live), len(told), lost)
    missing = len(live) - len(told)
    assert missing <= lost + 1 <= missing + 8, (missing, lost)
    assert again.events("summary")[-1]["complete"] is False


@then("its replay says that it was cut, and is true up to there")
def cut_told(context):
    again = replay(context, "-o json")
    summary = again.events("summary")
    assert context.replay_status == 0 and "stops without its end" in again.err(), again.err()
    assert len(summary) == 1 and summary[0]["exit_reason"] == "recording cut", summary
    assert summary[0]["complete"] is False
    live, told = live_of(context).events(), again.events()
    calls = [event for event in told if event["event"] in ("alloc", "free")]
    assert len(calls) >= 2, len(calls)
    assert told[:len(calls)] == live[:len(calls)]


@given('a folder "{name}" with room for {kilobytes:d} KB')
def small_folder(context, name, kilobytes):
    """A tmpfs; it goes with the scenario."""
    path = os.path.join(context.scene.folder, name)
    os.mkdir(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dk" % kilobytes, "none", path], check=True)
    context.add_cleanup(subprocess.run, ["umount", "-l", path], check=False)


@then('there is no file "{name}"')
def no_file(context, name):
    assert not os.path.exists(os.path.join(context.scene.folder, name)), name
