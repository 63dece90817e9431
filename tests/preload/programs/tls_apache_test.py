# SPDX-License-Identifier: Apache-2.0
"""apache's mod_ssl on both sides: OpenSSL over apache's own buffers, the event MPM."""
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

MODULES = pathlib.Path("/usr/lib/apache2/modules")
CONFIG = """
ServerName box
ServerRoot {dir}
Listen 127.0.0.1:{port}
PidFile {dir}/apache.pid
ErrorLog {dir}/error.log
Mutex file:{dir}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
LoadModule ssl_module {modules}/mod_ssl.so
StartServers 1
ServerLimit 4
ThreadsPerChild 64
MaxRequestWorkers 256
MaxKeepAliveRequests 0
KeepAliveTimeout 60
DocumentRoot {dir}/www
SSLEngine on
SSLCertificateFile {dir}/cert.pem
SSLCertificateKeyFile {dir}/key.pem
SSLProxyEngine on
SSLProxyCACertificateFile {dir}/cert.pem
SSLProxyVerify require
SSLProxyCheckPeerName off
ProxyPass /call/ https://127.0.0.1:{upstream}/down/
ProxyPass /app/ https://127.0.0.1:{upstream}/app/
"""


class TlsApacheTest(TlsTestCase):
    def setUp(self):
        need("apache2")
        if not (MODULES / "mod_ssl.so").exists():
            self.skipTest("apache has no mod_ssl (deploy/setup.sh test)")
        super().setUp()
        self.file("www/index.html", "<p>hello")
        self.file("www/big", os.urandom(2_000_000))
        (self.directory / "www").chmod(0o755)

    def apache(self, upstream, traced=True, port=None):
        port = port or free_port()
        config = self.file("apache.conf", CONFIG.format(dir=self.directory, port=port,
                                                        upstream=upstream, modules=MODULES))
        if os.getuid() == 0:
            with config.open("a") as file:
                file.write("User www-data\nGroup www-data\n")
        process = self.start("apache2", "-d", self.directory, "-f", config, "-DFOREGROUND",
                             traced=traced)
        return port, process.wait_for_port(port)

    def test_bytes_and_spans(self):
        upstream = self.tls_server(lambda r: response(b"z" * 30_000))
        streams = [b"GET /index.html HTTP/1.1\r\nHost: box\r\n\r\n"
                   b"GET /big HTTP/1.1\r\nHost: box\r\n\r\n"
                   b"GET /missing HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n",
                   b"GET /app/1 HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n",
                   b"GET /app/2 HTTP/1.1\r\nHost: box\r\nConnection: close\r\n"
                   + TRACEPARENT.encode() + b"\r\n\r\n"]
        answers, heard, port = [], [], free_port()
        for traced in (False, True):
            _, process = self.apache(upstream.port, traced, port=port)
            answers.append([re.sub(rb"Date: [^\r]*\r\n", b"", converse(port, s, tls=self.client_tls))
                            for s in streams])
            process.stop(signal.SIGTERM)
            heard.append(upstream.take())
        self.assertEqual([a[9:12] for a in answers[0]], [b"200"] * 3)
        self.assert_same_bytes(answers[1], answers[0])
        self.assert_only_retraced([s for s in heard[1][1] if s], [s for s in heard[0][1] if s])
        spans = process.spans
        self.check_spans(spans)
        for span in spans:
            self.assert_tls(span)
        self.assertEqual(sorted((s["url.path"], s["http.response.status_code"])
                                for s in spans.where(kind="server")),
                         [("/app/1", 200), ("/app/2", 200), ("/big", 200), ("/index.html", 200),
                          ("/missing", 404)])
        self.assertEqual(spans.one(url_path="/big")["http.response.body.size"], 2_000_000)
        self.assertEqual(len(spans.where(kind="client")), 2)
        for request in heard[1][0]:
            client = spans.one(kind="client", url_full=upstream.url(request.path))
            self.assert_child(client, spans.one(kind="server", url_path=request.path))
            self.assert_carries(request, client, flags="01" if request.path == "/app/2" else "03")
            self.assert_attributes(client, network_peer_address="127.0.0.1",
                                   network_peer_port=upstream.port, server_port=upstream.port)
        joined = spans.one(kind="server", url_path="/app/2")
        self.assertEqual((joined.trace_id, joined.parent_id), (TRACE, PARENT))

    def test_the_right_parent_at_any_load(self):
        rng = seeded_random()
        for connections in (1, 20):
            with self.subTest(connections=connections):
                downstream = Downstream(rng, tls=self.server_context())
                self.addCleanup(downstream.close)
                port, process = self.apache(downstream.port)
                sent, _ = load(port, 250, connections, rng, tls=self.client_tls)
                process.wait_for_spans(250, kind="server")
                process.stop()
                self.check_spans(process.spans)
                verdicts, wrong = judge(downstream.requests, sent, process.spans)
                self.assertEqual((verdicts["right"], wrong[:2]), (250, []), verdicts)


if __name__ == "__main__":
    remora_test.main()
