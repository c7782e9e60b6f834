# SPDX-License-Identifier: Apache-2.0
"""What a scenario has on stage: a folder, a simulated card, programs that allocate, tracers. All end with the scenario."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

PUPPET = ["/usr/bin/python3", "-B", os.path.join(os.path.dirname(os.path.abspath(__file__)), "puppet.py")]
PATIENCE_S = 20


def wait_until(condition, what, seconds=PATIENCE_S):
    """The first true value of condition()."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %d s in vain: %s" % (seconds, what))
        time.sleep(0.01)


class Run:
    """A started program; stdout and stderr are files, stdin is a pipe."""

    def __init__(self, scene, name, argv, env, user=None):
        self.argv = argv
        self.out_path = os.path.join(scene.folder, name + ".out")
        self.err_path = os.path.join(scene.folder, name + ".err")
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(argv, env=env, cwd=scene.folder, stdin=subprocess.PIPE, stdout=out,
                                            stderr=err, start_new_session=True, user=user,
                                            extra_groups=[] if user else None)
        self.pid = self.process.pid
        self.answered = 0
        self.orphaned = False  # ended, while its child lives on with the pipes

    def out(self):
        with open(self.out_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def err(self):
        with open(self.err_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def both(self):
        return self.out() + self.err()

    def say(self, line):
        self.process.stdin.write((line + "\n").encode())
        self.process.stdin.flush()

    def ask(self, line):
        """A line to a program that answers each with one line on stdout."""
        self.say(line)
        self.answered += 1
        wait_until(lambda: self.out().count("\n") >= self.answered or not (self.running() or self.orphaned),
                   "answer to " + line)
        assert self.out().count("\n") >= self.answered, "it ended before it answered: " + line
        return self.out().split("\n")[self.answered - 1]

    def wait(self, seconds=PATIENCE_S):
        """The exit status as a shell would give it."""
        if self.process.stdin:
            self.process.stdin.close()
            self.process.stdin = None
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s still runs after %d s" % (" ".join(self.argv), seconds)) from None
        return status if status >= 0 else 128 - status

    def running(self):
        return self.process.poll() is None

    def kill(self):
        """The whole session, so that no child stays."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Tracer(Run):
    """vramtrace, with -o json unless the options say otherwise."""

    def __init__(self, scene, name, options, env, user=None):
        self.output_file = None
        self.parsed, self.parsed_length = [], 0
        if "--output" in options:
            self.output_file = os.path.join(scene.folder, options[options.index("--output") + 1])
        super().__init__(scene, name, [scene.binary, *options], env, user)

    def product(self):
        if not self.output_file:
            return self.out()
        with open(self.output_file, encoding="utf-8") as file:
            return file.read()

    def events(self, kind=None):
        """Every whole line so far. A line that is no JSON object fails the scenario."""
        text = self.product()
        if len(text) != self.parsed_length:
            self.parsed = [json.loads(line) for line in text.split("\n")[:-1]]
            self.parsed_length = len(text)
        return [event for event in self.parsed if kind is None or event["event"] == kind]

    def stop(self):
        """As Ctrl-C does."""
        os.kill(self.pid, signal.SIGINT)
        return self.wait()


class Scene:
    def __init__(self, build):
        self.build = build
        self.binary = os.path.join(build, "vramtrace")
        self.folder = tempfile.mkdtemp(prefix="vramtrace-features-")
        os.chmod(self.folder, 0o755)
        self.truth_path = os.path.join(self.folder, "truth.log")
        self.settings = {}
        self.runs = []
        self.tracer = None  # the last one started
        self.target = None  # what is traced, where it was started by itself
        self.actor = None   # what takes commands: the target, or the tracer whose child it is
        self.since_ns = 0   # what happened before is unseen

    def environment(self):
        env = {name: value for name, value in os.environ.items() if not name.startswith(("SUDO_", "VRAMSIM_"))}
        env.update(LD_LIBRARY_PATH=os.path.join(self.build, "sim"), VRAMSIM_CARD=os.path.join(self.folder, "card"),
                   VRAMSIM_LOG=self.truth_path)
        env.update(self.settings)
        return env

    def _name(self, what):
        return "%02d-%s" % (len(self.runs), what)

    def add(self, run):
        self.runs.append(run)
        return run

    def program(self, name):
        return os.path.join(self.build, "prog", name)

    def start(self, argv, **env):
        self.target = self.actor = self.add(Run(self, self._name("target"), argv, dict(self.environment(), **env)))
        return self.target

    def trace(self, options, user=None, **env):
        self.tracer = self.add(Tracer(self, self._name("vramtrace"), options, dict(self.environment(), **env), user))
        return self.tracer

    def evidence(self):
        """What the programs said, for a failed step."""
        parts = []
        for run in self.runs:
            parts.append("$ %s (%s)" % (" ".join(run.argv), "running" if run.running() else run.process.returncode))
            parts += ["  | " + line for line in run.both().split("\n")[-40:] if line]
        return "\n".join(parts)

    def end(self):
        for run in self.runs:
            run.kill()

    def close(self):
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)
