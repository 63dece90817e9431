# SPDX-License-Identifier: Apache-2.0
"""The spool: what was traced while the collector was away arrives when it is back, in order, also
when the agent was killed in between."""
import os
import pathlib
import signal
import struct
import zlib

from e2e_case import EndToEndTestCase, free_port, main, wait_until
from recording_collector import Collector
from remora_test import Process

JSON = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}
HEADER = struct.Struct("<5I")  # agent/export/spool_record.h
MANY = "n=0; while [ $n -lt 30 ]; do /bin/true; n=$((n+1)); done; "


def records(spool):
    """(spans, body) of all whole records in a spool directory, by a reader of our own."""
    found = []
    for path in sorted(pathlib.Path(spool).rglob("*.segment")):
        data = path.read_bytes()
        while len(data) >= HEADER.size:
            magic, length, spans, of_body, of_header = HEADER.unpack_from(data)
            body = data[HEADER.size:HEADER.size + length]
            assert magic == 0x52736c4d and zlib.crc32(data[:16]) == of_header, path
            if len(body) < length:
                break
            assert zlib.crc32(body) == of_body, path
            found.append((spans, body))
            data = data[HEADER.size + length:]
    return found


class SpoolTest(EndToEndTestCase):
    def traced(self, port, command, **environment):
        return Process(["/bin/sh", "-c", command], self.directory,
                       flags=("--otlp", f"http://127.0.0.1:{port}", "--spool", self.spool),
                       environment={**JSON, **environment})

    def setUp(self):
        super().setUp()
        self.spool = self.directory / "spool"
        self.port = free_port()

    def spooled(self):
        return sum(spans for spans, _ in records(self.spool)) if self.spool.exists() else 0

    def arrived(self, expected):
        """Starts the collector and an agent that replays; the ids in the order of arrival."""
        collector = Collector(self.directory, "200", port=self.port)
        try:
            last = self.traced(self.port, "true")
            last.wait()
            wait_until(lambda: len(collector.accepted()[0]) >= expected, "all spans to arrive")
            return collector.accepted()[0], [s.span_id for s in last.spans]
        finally:
            collector.close()

    def test_killed_agent(self):
        agent = self.traced(self.port, MANY + "exec sleep 600")
        agent.wait_for_spans(30)
        wait_until(lambda: self.spooled() >= 30, "the spans to be spooled")
        os.kill(agent.popen.pid, signal.SIGKILL)
        agent.wait(None)
        before = [s.span_id for s in agent.spans]
        ids, after = self.arrived(len(before) + 1)
        self.assertEqual(ids, before + after)
        self.assertEqual(records(self.spool), [])

    def test_program_that_ended(self):
        agent = self.traced(self.port, MANY)
        agent.wait()
        before = [s.span_id for s in agent.spans]
        self.assertEqual(self.spooled(), len(before))
        lines = [line for line in agent.stderr.splitlines() if "OTLP export" in line]
        self.assertEqual(len(lines), 1, agent.stderr)
        self.assertIn(f"spans are kept in {self.spool}", lines[0])
        ids, after = self.arrived(len(before) + 1)
        self.assertEqual(ids, before + after)

    def test_collector_that_comes_back(self):
        agent = self.traced(self.port, MANY + "exec sleep 600")
        agent.wait_for_spans(30)
        wait_until(lambda: self.spooled() >= 30, "the spans to be spooled")
        collector = Collector(self.directory, "200", port=self.port)
        self.addCleanup(collector.close)
        wait_until(lambda: len(collector.accepted()[0]) >= 30, "the spool to be replayed")
        self.assertEqual(collector.accepted()[0][:30], [s.span_id for s in agent.spans][:30])
        wait_until(lambda: self.spooled() == 0, "the spool to be empty")

    def test_directory_that_cannot_be_used(self):
        self.spool = self.file("a-file", "")
        agent = self.traced(self.port, "true")
        self.assertEqual(agent.wait(None), 2)
        self.assertIn("spool", agent.stderr)


if __name__ == "__main__":
    main()
