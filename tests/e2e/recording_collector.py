# SPDX-License-Identifier: Apache-2.0
"""tests/support/collector.py as a process of the test's, and what it got."""
import json
import subprocess

from e2e_case import HERE, PYTHON
from otlp_spans import parse_line

COLLECTOR = HERE.parent / "support/collector.py"
ACCEPTING = ("200", "partial", "garbage", "html", "flood")  # modes


class Collector:
    """tests/support/collector.py, recording."""

    def __init__(self, directory, mode, options=(), port=0):
        self.record = directory / "record"
        self._popen = subprocess.Popen(
            [PYTHON, "-B", COLLECTOR, "--mode", mode, "--port", str(port), "--record", self.record,
             *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self._popen.stdout.readline())

    def entries(self):
        if not self.record.exists():
            return []
        return [json.loads(line) for line in self.record.read_text().splitlines(keepends=True)
                if line.endswith("\n")]

    def accepted(self):
        """Ids of the spans in posts that were answered well, in order; and the number of posts."""
        posts = [e for e in self.entries() if e["mode"] in ACCEPTING]
        return [s.span_id for e in posts for s in parse_line(json.dumps(e["request"]))], len(posts)

    def close(self):
        self._popen.kill()
        self._popen.communicate()
