# SPDX-License-Identifier: Apache-2.0
"""Collectors that refuse, hang, lie or are away. The traced program never notices; Remora says once
what was lost and why, and its numbers agree with the collector's."""
import concurrent.futures
import dataclasses
import json
import re
import shutil
import signal
import subprocess
import time

from e2e_case import PYTHON, EndToEndTestCase, Load, free_port, main, wait_until
from otlp_spans import parse_line
from recording_collector import Collector
from remora_test import Process

CALLS = 40
DRAIN = 2  # seconds, REMORA_DRAIN_TIMEOUT
PROGRAM = """
import sys, time, urllib.request
for n in range({calls}):
    urllib.request.urlopen("http://127.0.0.1:{port}/" + str(n)).read()
print("done", flush=True)
open({ended!r}, "w").write(str(time.time()))
sys.exit(4)
"""


@dataclasses.dataclass(frozen=True)
class Case:
    mode: str
    accepted: str  # all, none
    says: str = ""  # on stderr; "": nothing at all. None: that is a matter of chance
    options: tuple = ()  # of the collector
    environment: tuple = ()
    url: str = "http://127.0.0.1:{port}"
    lost: int = 0  # spans that an accepting collector refuses, each post


def dropped(why):
    return rf"warning: OTLP export to http.* failed, \d+ spans? dropped: .*{why}"


CASES = (
    Case("200", "all"),
    Case("400", "none", dropped("HTTP 400: refused with 400")),
    Case("400", "none", dropped(r"HTTP 400: \\x1b\[2Jline\\nline"), ("--message", "\x1b[2Jline\nline")),
    Case("400", "none", dropped("HTTP 400: x{150,199}…"), ("--message", "x" * 100_000)),
    Case("401", "none", dropped("OTEL_EXPORTER_OTLP_HEADERS")),
    Case("404", "none", dropped("/v1/traces")),
    Case("405", "none", dropped("HTTP 405")),
    Case("413", "none", dropped("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")),
    Case("415", "none", dropped("HTTP 415")),
    Case("500", "none", dropped("HTTP 500")),
    Case("302", "none", dropped("redirects are not followed.*/elsewhere")),
    Case("429", "none", dropped("HTTP 429")),
    Case("429,429,200", "all", None, ("--retry-after", "0")),
    Case("429,200", "all", None, ("--retry-after", "1")),
    Case("429,200", "none", dropped("HTTP 429"), ("--retry-after", "3600")),
    Case("429,200", "all", None, ("--retry-after", "99999999999999999999999")),
    Case("429,200", "all", None, ("--retry-after", "soon")),
    Case("429,200", "all", None, ("--retry-after", "-5")),
    Case("429,200", "all", None, ("--retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")),
    Case("503,503,200", "all", None),
    Case("503,400", "none", r"dropped: .*HTTP 400"),
    Case("503", "none", dropped("HTTP 503")),
    Case("partial", "all", r"warning: .* refused: not today", ("--rejected", "1", "--message", "not today"),
         lost=1),
    Case("partial", "all", r"warning: .* spans? refused: no reason given|refused: some spans", ("--rejected", "99999")),
    Case("partial", "all", r"/v1/traces: be careful", ("--rejected", "0", "--message", "be careful")),
    Case("garbage", "all", "the answer is not OTLP"),
    Case("html", "all", "the answer is not OTLP"),
    Case("flood", "all", "the answer is not OTLP"),
    Case("hang", "none", dropped("time")),
    Case("hang,200", "all", None, environment=(("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),)),
    Case("close", "none", dropped("")),
    Case("close,200", "all", None),
    Case("reset", "none", dropped("")),
    Case("reset,200", "all", None),
    Case("refused", "none", dropped("is the collector running")),
    Case("nobody", "none", dropped("is the collector running"), url="http://no-such-host.invalid:4318"),
    Case("200", "none", dropped(""), url="https://127.0.0.1:{port}"),
)


def lost(stderr):
    """What Remora says at its end that it lost."""
    match = re.search(r"^remora: (\d+) x span dropped: (?!export queue)", stderr, re.M)
    return int(match[1]) if match else 0


class Collectors(EndToEndTestCase):
    def protocol(self):
        """protobuf, unless nobody here can read it."""
        readable = shutil.which("protoc") and subprocess.run(
            [PYTHON, "-c", "import google.protobuf"], stderr=subprocess.DEVNULL,
            check=False).returncode == 0
        return "http/protobuf" if readable else "http/json"

    def run_case(self, number, case, peer, protocol):
        directory = self.directory / str(number)
        directory.mkdir()
        script = directory / "emitter.py"
        ended = directory / "ended"
        script.write_text(PROGRAM.format(calls=CALLS, port=peer, ended=str(ended)))
        collector = None if case.mode in ("refused", "nobody") else \
            Collector(directory, case.mode, case.options)
        try:
            url = case.url.format(port=collector.port if collector else free_port())
            process = Process([PYTHON, "-B", script], directory, flags=("--otlp", url), environment={
                "REMORA_DRAIN_TIMEOUT": str(DRAIN), "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
                "OTEL_EXPORTER_OTLP_HEADERS": "x-test=a%20b", **dict(case.environment)})
            status = process.wait(None)
            finished = time.time()
            return (case, process, status, finished - float(ended.read_text()),
                    collector.entries() if collector else [],
                    collector.accepted() if collector else ([], 0))
        finally:
            if collector:
                collector.close()

    def assert_same(self, accepted, produced):
        self.assertEqual((len(set(accepted) - set(produced)), len(set(produced) - set(accepted))),
                         (0, 0), "accepted and not produced, produced and not accepted")

    def check_case(self, case, process, status, took, entries, accepted):
        self.assertEqual((status, process.stdout), (4, b"done\n"), process.stderr)
        self.assertLess(took, DRAIN + 10)
        produced = {s.span_id for s in process.spans}
        self.assertEqual(len(process.spans), CALLS + 1)
        ids, posts = accepted
        self.assertEqual(len(ids), len(set(ids)), "accepted, and sent again")
        refused = case.lost * posts if case.lost else (len(ids) if "99999" in case.options else 0)
        self.assert_same(ids, produced if case.accepted == "all" else ())
        self.assertEqual(lost(process.stderr), len(produced) - len(ids) + refused, process.stderr)
        lines = [l for l in process.stderr.splitlines() if "OTLP export" in l]
        if case.says is not None:
            self.assertRegex(process.stderr, case.says or r"\A\Z")
        # Trouble, what it cost, and its end: not a line for every batch.
        self.assertLessEqual(len(lines), 3, process.stderr)
        for entry in entries:
            self.assertEqual(entry["path"], "/v1/traces")
            self.assertEqual(entry["headers"].get("x-test"), "a b")
            self.assertNotIn("traceparent", entry["headers"])  # we do not trace ourselves

    def test_every_kind(self):
        peer, protocol = self.server(), self.protocol()
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            runs = [pool.submit(self.run_case, n, case, peer.port, protocol)
                    for n, case in enumerate(CASES)]
            for run in runs:
                case, *results = run.result()
                with self.subTest(mode=case.mode, options=case.options, url=case.url):
                    self.check_case(case, *results)

    def test_both_encodings_say_the_same(self):
        peer = self.server()
        protocols = {self.protocol(), "http/json"}
        for protocol in protocols:
            collector = Collector(self.directory, "200")
            self.addCleanup(collector.close)
            process = self.start("curl", "-s", peer.url(), flags=("--otlp", f"http://127.0.0.1:{collector.port}"),
                                 environment={"OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
            process.wait(0)
            sent = {s.span_id: s for e in collector.entries()
                    for s in parse_line(json.dumps(e["request"]))}
            for span in process.spans:
                self.assertEqual(sent[span.span_id], span)
            collector.record.unlink()

    def test_away_for_a_while(self):
        port = free_port()
        server_port, process = self.python_server(
            "threads", flags=("--otlp", f"http://127.0.0.1:{port}"),
            environment={"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "REMORA_DRAIN_TIMEOUT": "60"})
        before = Load(server_port, 2).wait(300).stop()
        wait_until(lambda: "trying again" in process.stderr, "the first line about it")
        collector = Collector(self.directory, "200", port=port)
        self.addCleanup(collector.close)
        wait_until(lambda: collector.accepted()[1] > 0, "spans to arrive")
        wait_until(lambda: "works again" in process.stderr, "the last line about it")
        after = Load(server_port, 2).wait(300).stop()
        self.assertEqual(before.wrong + after.wrong, [])
        process.stop()
        ids, _ = collector.accepted()
        self.assertEqual(len(ids), len(set(ids)))
        self.assert_same(ids, {s.span_id for s in process.spans})
        self.assertEqual(len(process.stderr.splitlines()), 2, process.stderr)

    def test_a_queue_that_is_too_small(self):
        # Drops are counted, and the program goes on at full speed.
        collector = Collector(self.directory, "hang")
        self.addCleanup(collector.close)
        server_port, process = self.python_server(
            "threads", flags=("--otlp", f"http://127.0.0.1:{collector.port}"),
            environment={"OTEL_BSP_MAX_QUEUE_SIZE": "50", "REMORA_DRAIN_TIMEOUT": "1"})
        load = Load(server_port, 4).wait(2000).stop()
        self.assertEqual(load.wrong, [])
        process.stop(signal.SIGTERM, -signal.SIGTERM)
        full = re.search(r"(\d+) x span dropped: export queue full", process.stderr)
        self.assertIsNotNone(full, process.stderr)
        # Two destinations, each with a queue of its own: what came out, and what did not.
        self.assertEqual(len(process.spans) + int(full[1]) + lost(process.stderr),
                         2 * len(load.complete))


if __name__ == "__main__":
    main()
