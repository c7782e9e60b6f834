# SPDX-License-Identifier: Apache-2.0
"""A behave formatter: one line per scenario, with its time, as it ends."""
from behave.formatter.base import Formatter


class LineFormatter(Formatter):
    name = "line"
    description = "one line per scenario"

    def __init__(self, stream_opener, config):
        super().__init__(stream_opener, config)
        self.stream = self.open()
        self.current = None

    def feature(self, feature):
        self.flush()
        self.stream.write("%s\n" % feature.name)

    def scenario(self, scenario):
        self.flush()
        self.current = scenario

    def eof(self):
        self.flush()

    def flush(self):
        scenario, self.current = self.current, None
        if scenario is None or not scenario.should_run(self.config):
            return
        words = {"passed": "ok", "skipped": "SKIP"}
        reason = getattr(scenario, "skip_reason", None)
        self.stream.write("  %-6s %5.1f s  %s%s\n" % (words.get(scenario.status.name, "FAILED"), scenario.duration,
                                                    scenario.name, ": " + reason if reason else ""))
        self.stream.flush()
