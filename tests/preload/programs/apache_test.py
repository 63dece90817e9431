# SPDX-License-Identifier: Apache-2.0
"""apache with the event MPM: static files, proxying, several processes and threads."""
import os
import re
import signal
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import converse, free_port, need, response, seeded_random  # noqa: E402

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
StartServers 2
ServerLimit 4
ThreadsPerChild 64
# More threads than connections: a busy event MPM closes idle connections under the client.
MaxRequestWorkers 256
MaxKeepAliveRequests 0
KeepAliveTimeout 60
EnableSendfile On
DocumentRoot {dir}/www
ProxyPass /call/ http://127.0.0.1:{upstream}/down/
ProxyPass /app/ http://127.0.0.1:{upstream}/app/
"""


class ApacheTest(remora_test.TestCase):
    def setUp(self):
        need("apache2")
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
        upstream = self.server(lambda r: response(b"z" * 30_000))
        stream = (b"GET /index.html HTTP/1.1\r\nHost: box\r\n\r\nGET /big HTTP/1.1\r\nHost: box\r\n\r\n"
                  b"GET /missing HTTP/1.1\r\nHost: box\r\n\r\nGET /app/1 HTTP/1.1\r\nHost: box\r\n"
                  b"Connection: close\r\n\r\n")
        answers, heard, port = [], [], free_port()
        for traced in (False, True):
            _, process = self.apache(upstream.port, traced, port=port)
            answers.append(re.sub(rb"Date: [^\r]*\r\n", b"", converse(port, stream)))
            process.stop(signal.SIGTERM)
            heard.append(upstream.take())
        self.assert_same_bytes(answers[1], answers[0])
        self.assert_only_retraced(heard[1][1], heard[0][1])
        spans = process.spans
        self.check_spans(spans)
        self.assertEqual(sorted((s["url.path"], s["http.response.status_code"])
                                for s in spans.where(kind="server")),
                         [("/app/1", 200), ("/big", 200), ("/index.html", 200), ("/missing", 404)])
        self.assertEqual(spans.one(url_path="/big")["http.response.body.size"], 2_000_000)
        client = spans.one(kind="client")
        self.assert_child(client, spans.one(kind="server", url_path="/app/1"))
        self.assert_carries(heard[1][0][0], client)

    def test_the_right_parent_at_any_load(self):
        rng = seeded_random()
        for connections in (1, 30):
            with self.subTest(connections=connections):
                downstream = Downstream(rng)
                self.addCleanup(downstream.close)
                port, process = self.apache(downstream.port)
                sent, _ = load(port, 500, connections, rng)
                process.wait_for_spans(500, kind="server")
                process.stop()
                self.check_spans(process.spans)
                verdicts, wrong = judge(downstream.requests, sent, process.spans)
                self.assertEqual((verdicts["right"], wrong[:2]), (500, []), verdicts)


if __name__ == "__main__":
    remora_test.main()
