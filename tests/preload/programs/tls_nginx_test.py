# SPDX-License-Identifier: Apache-2.0
"""nginx over TLS on both sides: static files, proxying with kept connections, several workers."""
import os
import pathlib
import re
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import converse, free_port, need, response, seeded_random  # noqa: E402
from tls_case import PARENT, TRACE, TRACEPARENT, TlsTestCase  # noqa: E402

CONFIG = """{user}
daemon off;
worker_processes {workers};
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log {dir}/access.log;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    client_max_body_size 100m;
    proxy_ssl_trusted_certificate {dir}/cert.pem;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_verify on;
    proxy_ssl_name localhost;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host 127.0.0.1:{upstream};
    upstream app {{ server 127.0.0.1:{upstream}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port} ssl backlog=511;
        ssl_certificate {dir}/cert.pem;
        ssl_certificate_key {dir}/key.pem;
        ssl_protocols TLSv{version};
        ssl_buffer_size {buffer};
        root {dir}/www;
        location /call/ {{
            rewrite ^/call/(.*)$ /down/$1 break;
            proxy_pass https://app;
        }}
        location /app/ {{ proxy_pass https://app; }}
        location /broken {{ return 503; }}
    }}
}}
"""


def get(*paths, headers=""):
    """Requests, of which the last asks nginx to close the connection."""
    last = "Connection: close\r\n"
    return "".join(f"GET {path} HTTP/1.1\r\nHost: box\r\n{headers}"
                   f"{last if n == len(paths) else ''}\r\n"
                   for n, path in enumerate(paths, 1)).encode()


class TlsNginxTest(TlsTestCase):
    def setUp(self):
        need("nginx")
        super().setUp()
        for name, content in (("index.html", b"<p>hello"), ("big", os.urandom(3_000_000)),
                              ("empty", b"")):
            os.utime(self.file(f"www/{name}", content), (1_700_000_000, 1_700_000_000))

    def nginx(self, traced=True, upstream=1, workers=1, version="1.3", port=None, buffer="16k"):
        port = port or free_port()
        user = "user root;" if os.getuid() == 0 else ""
        config = self.file("nginx.conf", CONFIG.format(
            dir=self.directory, port=port, upstream=upstream, workers=workers, user=user,
            version=version, buffer=buffer))
        process = self.start("nginx", "-e", self.directory / "error.log", "-c", config,
                             traced=traced)
        return port, process.wait_for_port(port)

    def compare(self, *streams, upstream=None, **options):
        """The same bytes to a bare and to a traced nginx, a connection each: the same answers, and
        the same to the upstream. Returns the spans."""
        answers, heard = [], []
        port = free_port()
        for traced in (False, True):
            _, process = self.nginx(traced, upstream.port if upstream else 1, port=port, **options)
            answers.append([re.sub(rb"Date: [^\r]*\r\n", b"", converse(port, s, tls=self.client_tls))
                            for s in streams])
            process.stop(signal.SIGQUIT, expect=0)
            if upstream:
                heard.append(upstream.take())
        self.assert_same_bytes(answers[1], answers[0])
        if upstream:
            (_, bare), (self.requests, traced) = heard
            # nginx forwards what it was handed: our header, or the client's with our id.
            self.assert_only_retraced([s for s in traced if s], [s for s in bare if s])
        self.check_spans(process.spans)
        for span in process.spans:
            self.assert_tls(span, options.get("version", "1.3") if span.kind == "server" else "1.3")
        return process.spans, answers[1]

    def test_static(self):
        paths = ["/", "/missing", "/big", "/empty", "/index.html?q=1", "/broken"]
        for version, buffer in (("1.2", "16k"), ("1.3", "4k")):
            with self.subTest(version=version):
                spans, _ = self.compare(get(*paths), version=version, buffer=buffer)
                self.assertEqual({s.kind for s in spans}, {"server"})
                self.assertEqual(sorted((s["url.path"], s["http.response.status_code"], s.status)
                                        for s in spans),
                                 [("/", 200, "unset"), ("/big", 200, "unset"),
                                  ("/broken", 503, "error"), ("/empty", 200, "unset"),
                                  ("/index.html", 200, "unset"), ("/missing", 404, "unset")])
                self.assertEqual(spans.one(url_path="/big")["http.response.body.size"], 3_000_000)
                self.assertEqual({s["server.address"] for s in spans}, {"box"})
                self.assertEqual({s["network.peer.address"] for s in spans}, {"127.0.0.1"})

    def test_proxy(self):
        upstream = self.tls_server(lambda r: {
            "/app/missing": response(b"no", "404 Not Found")}.get(r.path, response(b"x" * 100_000)))
        body = os.urandom(1_000_000)
        spans, _ = self.compare(
            get("/app/1"), get("/app/missing"), get("/app/2", headers=TRACEPARENT + "\r\n"),
            # Head and body come in one read that leaves no room for a line: it has to bring one.
            b"POST /app/upload HTTP/1.1\r\nHost: box\r\nConnection: close\r\n"
            + TRACEPARENT.encode() + b"\r\nContent-Length: 1000000\r\n\r\n" + body,
            upstream=upstream)
        self.assertEqual(len(self.requests), 4)
        self.assertEqual(len(spans), 8)
        for request in self.requests:
            server = spans.one(kind="server", url_path=request.path)
            client = spans.one(kind="client", url_full=upstream.url(request.path))
            self.assert_child(client, server)
            self.assert_carries(request, client,
                                flags="01" if request.path in ("/app/2", "/app/upload") else "03")
            self.assert_attributes(
                client, remora_join="header", server_address="127.0.0.1",
                server_port=upstream.port, network_peer_address="127.0.0.1",
                network_peer_port=upstream.port, network_protocol_version="1.1")
        upload = spans.one(kind="server", url_path="/app/upload")
        self.assertEqual(upload["http.request.body.size"], 1_000_000)
        self.assertEqual((upload.trace_id, upload.parent_id), (TRACE, PARENT))
        joined = spans.one(kind="server", url_path="/app/2")
        self.assertEqual((joined.trace_id, joined.parent_id), (TRACE, PARENT))
        self.assertEqual(spans.one(kind="server", url_path="/app/1").parent_id, "")

    def test_the_right_parent_at_any_load(self):
        rng = seeded_random()
        for connections, workers in ((1, 1), (30, 2)):
            with self.subTest(connections=connections, workers=workers):
                downstream = Downstream(rng, tls=self.server_context())
                self.addCleanup(downstream.close)
                port, process = self.nginx(upstream=downstream.port, workers=workers)
                sent, _ = load(port, 250, connections, rng, tls=self.client_tls)
                process.stop(signal.SIGQUIT, expect=0)
                self.check_spans(process.spans)
                verdicts, wrong = judge(downstream.requests, sent, process.spans)
                self.assertEqual((verdicts["right"], wrong[:2]), (250, []), verdicts)

    def test_a_plain_request_to_the_tls_port(self):
        answers = []
        port = free_port()
        for traced in (False, True):
            _, process = self.nginx(traced, port=port)
            answers.append(re.sub(rb"Date: [^\r]*\r\n", b"", converse(port, get("/"))))
            process.stop(signal.SIGQUIT, expect=0)
        self.assertIn(b"400 Bad Request", answers[0])
        self.assert_same_bytes(answers[1], answers[0])


if __name__ == "__main__":
    remora_test.main()
