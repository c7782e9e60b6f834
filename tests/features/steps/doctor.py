# SPDX-License-Identifier: Apache-2.0
"""Steps about vramtrace doctor. What it says of the machine is compared with what other programs say."""
import json
import os
import platform
import re
import shutil
import subprocess
import sys

from behave import given, then, when

from start import words
from truth import ROOT

CAPABILITIES = {"CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_DAC_READ_SEARCH": 2, "CAP_PERFMON": 38, "CAP_BPF": 39}
OTHER_KERNELS = "programs in another kernel"  # a virtual machine that runs here for another reason


def report(context):
    lines = context.scene.tracer.out().split("\n")
    assert len(lines) == 2 and not lines[1], "not one line: %d" % len(lines)
    return json.loads(lines[0])


@given('a 32-bit library "{name}"')
def library_of_32_bits(context, name):
    with open(os.path.join(context.scene.folder, name), "wb") as file:
        file.write(b"\x7fELF\x01\x01\x01" + bytes(4096))


@given("the simulated runtime lies in a folder named by control characters, red")
def evil_folder(context):
    folder = os.path.join(context.scene.folder, "a\x1b[31mred\x07\n\u202ename")
    os.mkdir(folder)
    context.evil_path = shutil.copy(os.path.join(context.scene.build, "sim/libcudart.so.13"), folder)


@when("vramtrace reports on that runtime")
def report_evil(context):
    context.status = context.scene.trace(["doctor", "--library", context.evil_path]).wait()


@when('vramtrace is called with "{options}" by a user without privileges')
def call_as_nobody(context, options):
    context.status = context.scene.trace(words(context, options), user="nobody").wait()


@then('the verdict line is "{text}"')
def verdict_line(context, text):
    last = context.scene.tracer.out().split("\n")[-2]
    if OTHER_KERNELS in last and text == "ready":
        assert re.fullmatch("works with limits: %s: [^;]*" % OTHER_KERNELS, last), last
    else:
        assert last == text, last


@then('the report\'s verdict is "{verdict}"')
def report_verdict(context, verdict):
    told = report(context)
    limits = [limit for limit in told["limits"] if not limit.startswith(OTHER_KERNELS)]
    got = "limited" if limits else "ready"
    if told["verdict"] == "unable":
        got = "unable"
        assert told["problems"]
    assert got == verdict, told["human"]
    assert told["level"] == {"ready": "info", "limited": "warning", "unable": "error"}[told["verdict"]]


@then("the report is of the schema")
def report_schema(context):
    schema = os.path.join(context.scene.folder, "schema.json")
    with open(schema, "w", encoding="utf-8") as file:
        subprocess.run([context.scene.binary, "--json-schema"], stdout=file, check=True, timeout=20)
    done = subprocess.run([sys.executable, "-B", os.path.join(ROOT, "tests/unit/check-json-lines"), schema,
                           context.scene.tracer.out_path], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=20)
    assert done.returncode == 0, done.stdout


@then("the report names this system and the rights of its user")
def report_system(context):
    told = report(context)
    system, rights = told["system"], told["rights"]
    with open("/etc/os-release", encoding="utf-8") as file:
        names = re.findall(r'^PRETTY_NAME="?([^"\n]*)"?$', file.read(), re.M)
    assert [system["distribution"]] == names, system
    assert (system["kernel"], system["architecture"]) == (platform.release(), platform.machine()), system
    assert system["processors"] == os.cpu_count(), system
    with open("/proc/self/status", encoding="utf-8") as file:
        held = int(re.search(r"^CapEff:\s*(\w+)", file.read(), re.M).group(1), 16)
    held = held if rights["uid"] == 0 else 0
    assert rights["capabilities"] == {name: bool(held >> bit & 1) for name, bit in CAPABILITIES.items()}, rights


def build_id(path):
    notes = subprocess.run(["readelf", "-n", path], text=True, check=True, stdout=subprocess.PIPE, timeout=20).stdout
    return re.search(r"Build ID: (\w+)", notes).group(1)


def exports(path):
    symbols = subprocess.run(["readelf", "--dyn-syms", "-W", path], text=True, check=True, stdout=subprocess.PIPE,
                             timeout=20).stdout
    return set(re.findall(r" FUNC +GLOBAL +DEFAULT +\d+ (\w+)", symbols))


@then("every named library is attached, with its build id and all of its calls")
def report_libraries(context):
    with open(os.path.join(ROOT, "include/vramtrace/probes.def"), encoding="utf-8") as file:
        rows = set(re.findall(r"^PROBE\((\w+), (\w+),", file.read(), re.M))
    named = [library for library in report(context)["libraries"] if library["named"]]
    assert {library["layer"] for library in named} == {"driver", "runtime"}, named
    for library in named:
        mine = {symbol for symbol, layer in rows if layer.lower() == library["layer"]}
        there = mine & exports(library["path"])
        assert library["attached"] and library["simulated"] and not library["error"], library
        assert library["build_id"] == build_id(library["path"]), library
        assert {call["api"] for call in library["calls"]} == there and len(there) > 10, library
        assert set(library["absent"]) == mine - there, library
        assert all(call["first_instruction"] == "emulated" for call in library["calls"]), library


@then("the report has the program's libraries by its process")
def report_process(context):
    pid = context.scene.target.pid
    sim = os.path.realpath(os.path.join(context.scene.build, "sim"))
    libraries = [library for library in report(context)["libraries"] if library["path"].startswith(sim)]
    assert {library["layer"] for library in libraries} == {"driver", "runtime"}, libraries
    assert all(library["attached"] and library["mapped_by"] for library in libraries), libraries
    # Other programs on this machine may have them, too.
    assert pid in [library["mapped_by"] for library in libraries] or len(libraries) == 2, libraries


@then("the report's programs saw every call, at a cost")
def report_cost(context):
    programs = report(context)["programs"]
    assert programs["loaded"] and not programs["error"], programs
    assert programs["calls_made"] == programs["calls_seen"] > 1000, programs
    assert 0 < programs["untraced_ns"] + 100 < programs["traced_emulated_ns"], programs
    assert programs["traced_emulated_ns"] < programs["traced_stepped_ns"], programs


@then("the report knows one GPU")
def report_gpu(context):
    told = report(context)
    assert len(told["gpus"]) == 1 and told["gpus"][0]["total_bytes"] == 8 << 30, told["gpus"]
    assert told["gpus"][0]["uuid"].startswith("GPU-") and told["driver"]["nvml_version"], told["driver"]


@then("the report lacks {count:d} features, each with what is used instead")
def report_features(context, count):
    lacking = [feature for feature in report(context)["features"] if not feature["available"]]
    assert len(lacking) == count and all(feature["instead"] and feature["since"] for feature in lacking), lacking


@then("stdout does not say the name of this machine")
def no_host_name(context):
    assert platform.node() not in context.scene.tracer.out().replace(platform.release(), "")
