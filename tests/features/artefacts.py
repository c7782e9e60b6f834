# SPDX-License-Identifier: Apache-2.0
"""What a run of the features leaves to be read, in O/artefacts: stages.txt, the VRAM at each stage of the scenarios of STAGED, as the
ledger told it and as the truth log has it; leak.txt, the VRAM of the simulated card before and after every scenario that had one."""
import os
import subprocess
import sys
from collections import defaultdict

from scene import Tracer
from world import World, calls_seen

STAGED = ("api.feature", "devices.feature")
STAGES_MAX = 60  # lines of a scenario

# Asked in a process of its own: the library takes the card that it first finds.
USED = """
import ctypes
nvml = ctypes.CDLL("libnvidia-ml.so.1")
count, handle, memory = ctypes.c_uint(), ctypes.c_void_p(), (ctypes.c_ulonglong * 3)()
assert nvml.nvmlInit_v2() == 0 and nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0
used = 0
for index in range(count.value):
    assert nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)) == 0
    assert nvml.nvmlDeviceGetMemoryInfo(handle, memory) == 0
    used += memory[2]
print(used)
"""


def card_used(scene):
    """Bytes in use on all GPUs of the card, by NVML."""
    environment = dict(scene.environment(), LD_LIBRARY_PATH=os.path.join(scene.build, "sim"))
    done = subprocess.run([sys.executable, "-c", USED], env=environment, capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else None


class Stages(World):
    """After each block that came or went: the bytes that its process has."""

    def __init__(self, made, ends):
        self.after = defaultdict(list)  # (pid, what, addr) -> bytes, in their order
        super().__init__(made, ends)

    def make(self, call):
        super().make(call)
        self.after[call.pid, "alloc", call.addr].append(self.bytes_of(call.pid))

    def take(self, pid, addr, reason, held=False):
        is_known = addr in self.live[pid]
        super().take(pid, addr, reason, held)
        if is_known:
            self.after[pid, "free", addr].append(self.bytes_of(pid))


def ends_told(events):
    return {event["pid"]: event["mono_ns"] for event in events if event["event"] == "process" and event["what"] == "exit"}


def stage_lines(scene, events):
    stages = Stages(calls_seen(scene), ends_told(events))
    told = [event for event in events if event["event"] in ("alloc", "free")]
    for event in told[:STAGES_MAX]:
        key = event["pid"], event["event"], event["addr"]
        truth = stages.after[key].pop(0) if stages.after[key] else "-"
        yield "  %+.6f s  pid %d  %-5s %-26s %12d %-10s %-5s  ledger %12d  truth %12s" % (
            (event["mono_ns"] - told[0]["mono_ns"]) / 1e9, event["pid"], event["event"],
            event["api"] or "(%s)" % event.get("reason"), event["size"], event["kind"], event["device"] or "-",
            event["live_bytes"], truth)
    if len(told) > STAGES_MAX:
        yield "  and %d more" % (len(told) - STAGES_MAX)


def held_after_end(events):
    """(live bytes of the processes whose end was told, what they held as they ended), by the summary."""
    ended = ends_told(events)
    processes = [process for event in events if event["event"] == "summary" for process in event["processes"]
                 if process["pid"] in ended]
    return sum(process["live_bytes"] or 0 for process in processes), sum(process["held_at_exit_bytes"] or 0 for process in processes)


def events_of(scene):
    """Of the last tracer; nothing where it wrote no JSON, or none of this sort, or to what is no file (/dev/full has no end)."""
    tracer = scene.tracer
    if not isinstance(tracer, Tracer) or (tracer.output_file and not os.path.isfile(tracer.output_file)):
        return []
    try:
        events = tracer.events()
    except (OSError, ValueError):
        return []
    return [event for event in events if isinstance(event, dict) and "event" in event]


def leak_line(scene, events, running):
    """One line. The card is new with the scene: before, nothing is in use."""
    after, (live, held) = card_used(scene), held_after_end(events)
    word = "equal" if after == 0 and not live else "LEAK"
    return "%-5s  card before 0 after %s  ledger after the end %d, held at it %d  %s" % (
        word, "unknown" if after is None else after, live, held,
        "%d programs were ended" % running if running else "all programs had ended")


class Artefacts:
    def __init__(self, build):
        folder = os.path.join(build, "artefacts")
        os.makedirs(folder, exist_ok=True)
        self.paths = {name: os.path.join(folder, name + ".txt") for name in ("stages", "leak")}
        for path in self.paths.values():
            open(path, "w", encoding="utf-8").close()

    def add(self, name, lines):
        with open(self.paths[name], "a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))

    def take(self, scene, scenario):
        """The scene's programs end here at the latest."""
        running = sum(run.running() for run in scene.runs)
        scene.end()
        if not os.path.exists(scene.truth_path):
            return
        events = events_of(scene)
        feature = os.path.basename(scenario.filename)
        if feature in STAGED and events:
            self.add("stages", ["%s: %s" % (feature, scenario.name), *stage_lines(scene, events)])
        self.add("leak", ["%s  %s: %s" % (leak_line(scene, events, running), feature, scenario.name)])
