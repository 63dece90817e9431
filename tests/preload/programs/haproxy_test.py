# SPDX-License-Identifier: Apache-2.0
"""haproxy: an event loop that forwards heads; threads; keep-alive on both sides."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import converse, free_port, need, response, seeded_random  # noqa: E402

CONFIG = """
global
    nbthread {threads}
    maxconn 1000
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    http-reuse {reuse}
frontend front
    bind 127.0.0.1:{port}
    http-request set-path %[path,regsub(^/call/,/down/)]
    http-request deny deny_status 403 if {{ path /denied }}
    default_backend back
backend back
    server app 127.0.0.1:{upstream}
"""


class HaproxyTest(remora_test.TestCase):
    def setUp(self):
        need("haproxy")
        super().setUp()

    def haproxy(self, upstream, traced=True, threads=1, reuse="safe", port=None):
        port = port or free_port()
        config = self.file("haproxy.cfg", CONFIG.format(port=port, upstream=upstream,
                                                        threads=threads, reuse=reuse))
        process = self.start("haproxy", "-db", "-f", config, traced=traced)
        return port, process.wait_for_port(port)

    def test_bytes_and_spans(self):
        upstream = self.server(lambda r: response(b"y" * 50_000))
        # One connection each: where several heads come in one read, only the first finds room.
        streams = [b"GET /a HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n",
                   b"POST /b HTTP/1.1\r\nHost: box\r\nConnection: close\r\n"
                   b"Content-Length: 200000\r\n\r\n" + bytes(200_000),
                   b"GET /denied HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n"]
        answers, heard, port = [], [], free_port()
        for traced in (False, True):
            _, process = self.haproxy(upstream.port, traced, port=port)
            answers.append([converse(port, stream) for stream in streams])
            process.stop()
            heard.append(upstream.take())
        self.assert_same_bytes(answers[1], answers[0])
        self.assert_only_retraced(heard[1][1], heard[0][1])
        self.check_spans(process.spans)
        for request in heard[1][0]:
            server = process.spans.one(kind="server", url_path=request.path)
            client = process.spans.one(kind="client", url_full=f"http://box{request.path}")
            self.assert_child(client, server)
            self.assert_carries(request, client)
        denied = process.spans.one(kind="server", url_path="/denied")
        self.assertEqual((denied["http.response.status_code"], denied.status), (403, "unset"))
        self.assertEqual(len(process.spans), 5)

    def test_the_right_parent_at_any_load(self):
        rng = seeded_random()
        for connections, threads, reuse in ((1, 1, "safe"), (50, 1, "always"), (50, 4, "always")):
            with self.subTest(connections=connections, threads=threads):
                downstream = Downstream(rng)
                self.addCleanup(downstream.close)
                port, process = self.haproxy(downstream.port, threads=threads, reuse=reuse)
                sent, _ = load(port, 500, connections, rng)
                process.wait_for_spans(500, kind="server")
                process.stop()
                self.check_spans(process.spans)
                verdicts, wrong = judge(downstream.requests, sent, process.spans)
                self.assertEqual((verdicts["right"], wrong[:2]), (500, []), verdicts)


if __name__ == "__main__":
    remora_test.main()
