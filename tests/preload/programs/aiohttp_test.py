# SPDX-License-Identifier: Apache-2.0
"""An event loop: every request has its span, and no call gets a wrong parent. A program that passes
the trace header on gets the right one."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import PYTHON, free_port, need_python, seeded_random  # noqa: E402

APP = pathlib.Path(__file__).parent / "apps/aiohttp_service.py"


class AiohttpTest(remora_test.TestCase):
    def setUp(self):
        need_python("aiohttp")
        super().setUp()

    def run_load(self, connections, *flags):
        rng = seeded_random()
        downstream = Downstream(rng)
        self.addCleanup(downstream.close)
        port = free_port()
        process = self.start(PYTHON, "-B", APP, port, downstream.port, *flags).wait_for_port(port)
        sent, _ = load(port, 300, connections, rng)
        process.wait_for_spans(300, kind="server")
        process.stop()
        self.check_spans(process.spans)
        calls = [r for r in downstream.requests if r.path.startswith("/down/")]
        self.assertEqual(len(calls), 300)
        for call in calls:  # each has a header, and each header names an exported span
            self.assertEqual(process.spans.by_id(call.traceparent()[1]).kind, "client")
        verdicts, wrong = judge(downstream.requests, sent, process.spans)
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


if __name__ == "__main__":
    remora_test.main()
