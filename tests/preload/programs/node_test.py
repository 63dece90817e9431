# SPDX-License-Identifier: Apache-2.0
"""node: an event loop. Every request has its span, no call gets a wrong parent."""
import http.client
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import free_port, need, seeded_random  # noqa: E402

APP = pathlib.Path(__file__).parent / "apps/service.js"


class NodeTest(remora_test.TestCase):
    def setUp(self):
        need("node")
        super().setUp()

    def service(self, *flags):
        self.rng = seeded_random()
        self.downstream = Downstream(self.rng)
        self.addCleanup(self.downstream.close)
        port = free_port()
        process = self.start("node", APP, port, self.downstream.port, *flags)
        return port, process.wait_for_port(port)

    def run_load(self, connections, *flags):
        port, process = self.service(*flags)
        sent, _ = load(port, 300, connections, self.rng)
        process.wait_for_spans(300, kind="server")
        process.stop(expect=0)
        self.check_spans(process.spans)
        calls = [r for r in self.downstream.requests if r.path.startswith("/down/")]
        self.assertEqual(len(calls), 300)
        for call in calls:
            self.assertEqual(process.spans.by_id(call.traceparent()[1]).kind, "client")
        verdicts, wrong = judge(self.downstream.requests, sent, process.spans)
        self.assertEqual(wrong, [])
        return verdicts

    def test_no_wrong_parent(self):
        for connections in (1, 2, 3, 50):
            with self.subTest(connections=connections):
                self.assertEqual(self.run_load(connections)["wrong"], 0)

    def test_forwarded_headers_are_exact(self):
        for connections in (1, 50):
            with self.subTest(connections=connections):
                self.assertEqual(self.run_load(connections, "forward")["right"], 300)

    def test_server_spans(self):
        port, process = self.service()
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        client.request("POST", "/echo", bytes(300_000))
        self.assertEqual(client.getresponse().read(), bytes(300_000))
        client.request("GET", "/headers", headers={"X-Long": "x" * 400})
        headers = json.loads(client.getresponse().read())
        process.wait_for_spans(2, kind="server")
        process.stop(expect=0)
        echo = process.spans.one(kind="server", url_path="/echo")
        self.assert_attributes(echo, http_request_method="POST", http_request_body_size=300_000,
                               http_response_body_size=300_000, http_response_status_code=200)
        self.assertEqual(echo.service, "service.js")
        span = process.spans.one(kind="server", url_path="/headers")
        self.assertIn(f"00-{span.trace_id}-{span.span_id}-03", headers)


if __name__ == "__main__":
    remora_test.main()
