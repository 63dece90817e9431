# SPDX-License-Identifier: Apache-2.0
"""haproxy over TLS on both sides: OpenSSL over buffers of its own, no descriptor, threads."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import converse, free_port, need, response, seeded_random  # noqa: E402
from tls_case import PARENT, TRACE, TRACEPARENT, TlsTestCase  # noqa: E402

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
    bind 127.0.0.1:{port} ssl crt {dir}/pair.pem
    http-request set-path %[path,regsub(^/call/,/down/)]
    http-request deny deny_status 403 if {{ path /denied }}
    default_backend back
backend back
    server app 127.0.0.1:{upstream} ssl verify required verifyhost localhost ca-file {dir}/cert.pem
"""


class TlsHaproxyTest(TlsTestCase):
    def setUp(self):
        need("haproxy")
        super().setUp()

    def haproxy(self, upstream, traced=True, threads=1, reuse="safe", port=None):
        port = port or free_port()
        config = self.file("haproxy.cfg", CONFIG.format(port=port, upstream=upstream, reuse=reuse,
                                                        threads=threads, dir=self.directory))
        process = self.start("haproxy", "-db", "-f", config, traced=traced)
        return port, process.wait_for_port(port)

    def test_bytes_and_spans(self):
        upstream = self.tls_server(lambda r: response(b"y" * 50_000))
        # One connection each: where several heads come in one read, only the first finds room.
        streams = [b"GET /a HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n",
                   b"GET /joined HTTP/1.1\r\nHost: box\r\nConnection: close\r\n"
                   + TRACEPARENT.encode() + b"\r\n\r\n",
                   # Head and body come in one read without room for a line: it has to bring one.
                   b"POST /b HTTP/1.1\r\nHost: box\r\nConnection: close\r\n"
                   + TRACEPARENT.encode() + b"\r\nContent-Length: 200000\r\n\r\n"
                   + bytes(200_000),
                   b"GET /denied HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n"]
        answers, heard, port = [], [], free_port()
        for traced in (False, True):
            _, process = self.haproxy(upstream.port, traced, port=port)
            answers.append([converse(port, s, tls=self.client_tls) for s in streams])
            process.stop()
            heard.append(upstream.take())
        self.assertEqual([a[9:12] for a in answers[0]], [b"200", b"200", b"200", b"403"])
        self.assert_same_bytes(answers[1], answers[0])
        self.assert_only_retraced([s for s in heard[1][1] if s], [s for s in heard[0][1] if s])
        self.check_spans(process.spans)
        for request in heard[1][0]:
            server = process.spans.one(kind="server", url_path=request.path)
            client = process.spans.one(kind="client", url_full=f"https://box{request.path}")
            self.assert_child(client, server)
            self.assert_carries(request, client,
                                flags="01" if request.path in ("/joined", "/b") else "03")
            self.assert_attributes(client, server_address="box", network_peer_address="127.0.0.1",
                                   network_peer_port=upstream.port)
        for span in process.spans:
            self.assert_tls(span)
        denied = process.spans.one(kind="server", url_path="/denied")
        self.assertEqual((denied["http.response.status_code"], denied.status), (403, "unset"))
        joined = process.spans.one(kind="server", url_path="/joined")
        self.assertEqual((joined.trace_id, joined.parent_id), (TRACE, PARENT))
        self.assertEqual(process.spans.one(kind="server", url_path="/b")["http.request.body.size"],
                         200_000)
        self.assertEqual(len(process.spans), 7)

    def test_the_right_parent_at_any_load(self):
        rng = seeded_random()
        for connections, threads, reuse in ((1, 1, "safe"), (30, 4, "always")):
            with self.subTest(connections=connections, threads=threads):
                downstream = Downstream(rng, tls=self.server_context())
                self.addCleanup(downstream.close)
                port, process = self.haproxy(downstream.port, threads=threads, reuse=reuse)
                sent, _ = load(port, 250, connections, rng, tls=self.client_tls)
                process.wait_for_spans(250, kind="server")
                process.stop()
                self.check_spans(process.spans)
                verdicts, wrong = judge(downstream.requests, sent, process.spans)
                self.assertEqual((verdicts["right"], wrong[:2]), (250, []), verdicts)


if __name__ == "__main__":
    remora_test.main()
