# SPDX-License-Identifier: Apache-2.0
"""Several destinations at once, each with its own failures and counts, which /metrics shows."""
import urllib.error
import urllib.request

from e2e_case import EndToEndTestCase, free_port, main, wait_until
from recording_collector import Collector
from remora_test import Process

MANY = "n=0; while [ $n -lt 20 ]; do /bin/true; n=$((n+1)); done; sleep 600"


class Destinations(EndToEndTestCase):
    def collector(self, name, mode="200"):
        directory = self.directory / name
        directory.mkdir()
        collector = Collector(directory, mode)
        self.addCleanup(collector.close)
        return collector

    def page(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}{path}") as answer:
            return answer.read().decode()

    def number(self, name, *labels):
        """Of the one line with this name and these texts in its labels."""
        lines = [line for line in self.page("/metrics").splitlines()
                 if line.startswith((name + " ", name + "{")) and all(t in line for t in labels)]
        self.assertEqual(len(lines), 1, (name, labels, lines))
        return float(lines[0].rsplit(" ", 1)[1])

    def test_each_for_itself(self):
        first, second, zipkin = (self.collector(n) for n in ("first", "second", "zipkin"))
        refusing = self.collector("refusing", "400")
        self.metrics = free_port()
        ports = [c.port for c in (first, refusing, second)]
        agent = Process(["/bin/sh", "-c", MANY], self.directory, environment={
            "OTEL_TRACES_EXPORTER": "otlp,zipkin",
            "OTEL_EXPORTER_OTLP_ENDPOINT": ",".join(f"http://127.0.0.1:{p}" for p in ports),
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
            "OTEL_EXPORTER_ZIPKIN_ENDPOINT": f"http://127.0.0.1:{zipkin.port}/api/v2/spans",
            "REMORA_METRICS_LISTEN": f"127.0.0.1:{self.metrics}"})
        agent.wait_for_spans(20)
        sent, failed = "remora_export_spans_sent_total", "remora_export_spans_failed_total"
        for port in (first.port, second.port, zipkin.port):
            wait_until(lambda: self.number(sent, f":{port}/") == 20, "the spans to be sent")
            self.assertEqual(self.number(failed, f":{port}/"), 0)
        wait_until(lambda: self.number(failed, f":{refusing.port}/") == 20, "the refusal")
        self.assertEqual(self.number(sent, f":{refusing.port}/"), 0)
        self.assertEqual(self.number("remora_spans_seen_total"), 20)
        self.assertEqual(self.number("remora_losses_total", 'reason="export_failed"'), 20)
        self.assertGreater(self.number("remora_export_request_seconds_count", f":{first.port}/"), 0)
        self.assertEqual(self.page("/healthz"), "ok\n")
        with self.assertRaises(urllib.error.HTTPError):
            self.page("/")
        wanted = [s.span_id for s in agent.spans]
        self.assertEqual(first.accepted()[0], wanted)
        self.assertEqual(second.accepted()[0], wanted)
        ids = [span["id"] for entry in zipkin.entries() for span in entry["request"]]
        self.assertEqual(ids, wanted)
        # Credentials go to the first one alone.
        self.assertEqual([c.entries()[0]["headers"].get("authorization")
                          for c in (first, second, zipkin)], ["secret", None, None])

    def test_an_address_that_is_taken(self):
        taken = self.collector("taken").port
        agent = Process(["/bin/true"], self.directory,
                        environment={"REMORA_METRICS_LISTEN": f"127.0.0.1:{taken}"})
        self.assertEqual(agent.wait(None), 2)
        self.assertIn(f"cannot listen on 127.0.0.1:{taken}", agent.stderr)


if __name__ == "__main__":
    main()
