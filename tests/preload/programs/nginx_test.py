# SPDX-License-Identifier: Apache-2.0
"""nginx: static files with sendfile, proxying with kept connections, prefork, as a daemon."""
import os
import re
import signal
import socket
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import (converse, free_port, need, response, seeded_random,  # noqa: E402
                         wait_until)

CONFIG = """{user}
daemon {daemon};
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
    sendfile {sendfile};
    upstream app {{ server 127.0.0.1:{upstream}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port} backlog=511;
        root {dir}/www;
        location /call/ {{
            rewrite ^/call/(.*)$ /down/$1 break;
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
        location /app/ {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering {buffering};
        }}
        location /broken {{ return 503; }}
    }}
}}
"""
CHUNKED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
           + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in [b"a" * 70_000, b"b", b"c" * 9000])
           + b"0\r\n\r\n")


def get(*paths, headers="", close=True):
    """Requests, of which the last asks nginx to close the connection."""
    last = "Connection: close\r\n"
    return "".join(f"GET {path} HTTP/1.1\r\nHost: box\r\n{headers}"
                   f"{last if close and n == len(paths) else ''}\r\n"
                   for n, path in enumerate(paths, 1)).encode()


def without_dates(stream):
    return re.sub(rb"Date: [^\r]*\r\n", b"", bytes(stream))


class NginxTest(remora_test.TestCase):
    def setUp(self):
        need("nginx")
        super().setUp()
        for name, content in (("index.html", b"<p>hello"), ("big", os.urandom(5_000_000)),
                              ("empty", b"")):
            os.utime(self.file(f"www/{name}", content), (1_700_000_000, 1_700_000_000))

    def nginx(self, traced=True, upstream=1, daemon="off", workers=1, sendfile="on",
              buffering="on", port=None, environment=None):
        port = port or free_port()
        user = "user root;" if os.getuid() == 0 else ""
        config = self.file("nginx.conf", CONFIG.format(
            dir=self.directory, port=port, upstream=upstream, daemon=daemon, workers=workers,
            sendfile=sendfile, buffering=buffering, user=user))
        process = self.start("nginx", "-e", self.directory / "error.log", "-c", config,
                             traced=traced, environment=environment)
        if daemon == "off":
            process.wait_for_port(port)
        return port, process

    def compare(self, stream, upstream=None, buffering="on", **options):
        """The same bytes to a bare and to a traced nginx: the same answer. Returns the spans."""
        answers, heard = [], []
        port = free_port()
        for traced in (False, True):
            _, process = self.nginx(traced, upstream.port if upstream else 1, port=port,
                                    buffering=buffering, **options)
            answers.append(without_dates(converse(port, stream)))
            process.stop(signal.SIGQUIT, expect=0)
            if upstream:
                heard.append(upstream.take())
        self.assert_same_bytes(answers[1], answers[0])
        if upstream:
            (bare_requests, bare), (self.requests, traced) = heard
            self.assertEqual([len(r.body) for r in self.requests],
                             [len(r.body) for r in bare_requests])
            if buffering == "on":
                # nginx forwards what it was handed: our header, or the client's with our id.
                self.assert_only_retraced(traced, bare)
            else:  # chunks are cut as they come, by chance
                self.assert_same_bytes([r.body for r in self.requests],
                                       [r.body for r in bare_requests])
        self.check_spans(process.spans)
        return process.spans, answers[1]

    def test_static(self):
        paths = ["/", "/missing", "/big", "/empty", "/index.html?q=1", "/broken"]
        for sendfile in ("on", "off"):
            with self.subTest(sendfile=sendfile):
                spans, _ = self.compare(get(*paths), sendfile=sendfile)
                self.assertEqual({s.kind for s in spans}, {"server"})
                self.assertEqual(sorted((s["url.path"], s["http.response.status_code"], s.status)
                                        for s in spans),
                                 [("/", 200, "unset"), ("/big", 200, "unset"),
                                  ("/broken", 503, "error"), ("/empty", 200, "unset"),
                                  ("/index.html", 200, "unset"), ("/missing", 404, "unset")])
                self.assertEqual(spans.one(url_path="/big")["http.response.body.size"], 5_000_000)
                self.assertEqual({s.service for s in spans}, {"nginx"})
                self.assertEqual({s["server.address"] for s in spans}, {"box"})

    def test_static_kinds(self):
        stream = (b"HEAD /big HTTP/1.1\r\nHost: box\r\n\r\n"
                  + get("/big", headers="Range: bytes=10-20\r\n", close=False)
                  + get("/", headers="If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT\r\n",
                        close=False)
                  + b"GET / HTTP/1.0\r\n\r\n")
        spans, _ = self.compare(stream)
        self.assertEqual(sorted((s.name, s["http.response.status_code"],
                                 s["http.response.body.size"], s["network.protocol.version"])
                                for s in spans),
                         [("GET", 200, 8, "1.0"), ("GET", 206, 11, "1.1"), ("GET", 304, 0, "1.1"),
                          ("HEAD", 200, 0, "1.1")])

    def test_heads_cut_at_every_byte(self):
        port, process = self.nginx()
        head = get("/", headers="traceparent: 00-" + "a" * 32 + "-" + "b" * 16 + "-01\r\n")
        whole = without_dates(converse(port, head))
        for cut in range(1, len(head), 7):
            with socket.create_connection(("127.0.0.1", port)) as s:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                s.sendall(head[:cut])
                # The first piece has to be read before the second comes: nginx keeps it in memory,
                # and the socket's receive queue is empty then.
                wait_until(lambda s=s: unread(s) == 0, "nginx to read")
                s.sendall(head[cut:])
                received = b""
                while data := s.recv(65536):
                    received += data
            self.assert_same_bytes(without_dates(received), whole)
        process.stop(signal.SIGQUIT, expect=0)
        self.assertEqual({(s.trace_id, s.parent_id) for s in process.spans}, {("a" * 32, "b" * 16)})

    def test_proxy(self):
        upstream = self.server(lambda r: {
            "/app/chunked": CHUNKED, "/app/dies": None,
            "/app/missing": response(b"no", "404 Not Found")}.get(r.path, response(b"x" * 100_000)))
        stream = get("/app/1", "/app/chunked", "/app/missing", "/app/2")
        spans, answer = self.compare(stream, upstream)
        self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 3)
        self.assertEqual(len(spans), 8)
        for request in self.requests:
            server = spans.one(kind="server", url_path=request.path)
            client = spans.one(kind="client", url_full=f"http://app{request.path}")
            self.assert_child(client, server)
            self.assert_carries(request, client)
            self.assertEqual(client["remora.join"], "header")
            self.assertEqual(client["network.peer.port"], upstream.port)
        self.assertEqual(spans.one(kind="client", url_full="http://app/app/missing").status, "error")
        self.assertEqual(spans.one(kind="server", url_path="/app/missing").status, "unset")

    def test_proxy_of_a_dying_upstream(self):
        upstream = self.server(lambda r: None)
        spans, answer = self.compare(get("/app/dies"), upstream)
        self.assertIn(b"502 Bad Gateway", answer)
        server = spans.one(kind="server")
        self.assertEqual((server.status, server["error.type"]), ("error", "502"))
        client = spans.one(kind="client")
        self.assertEqual((client.status, client["remora.end"]), ("error", "peer"))
        self.assert_child(client, server)

    def test_proxy_of_uploads(self):
        upstream = self.server(lambda r: response(str(len(r.body)).encode()))
        body = os.urandom(3_000_000)
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(p), p)
                           for p in (body[i:i + 50_001] for i in range(0, len(body), 50_001)))
        stream = (b"POST /app/a HTTP/1.1\r\nHost: box\r\nContent-Length: 3000000\r\n\r\n" + body
                  + b"POST /app/b HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: chunked\r\n\r\n"
                  + chunked + b"0\r\n\r\n" + get("/app/c"))
        for buffering in ("on", "off"):
            with self.subTest(buffering=buffering):
                spans, answer = self.compare(stream, upstream, buffering=buffering)
                self.assertEqual(answer.count(b"\r\n\r\n3000000"), 2)
                for path in ("/app/a", "/app/b"):
                    self.assertEqual(spans.one(kind="server", url_path=path)
                                     ["http.request.body.size"], 3_000_000)
                self.assertEqual(len(spans), 6)

    def test_trace_state_travels_on(self):
        upstream = self.server()
        trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
        spans, _ = self.compare(
            get("/app/1", headers=f"traceparent: 00-{trace}-{parent}-01\r\n"
                                  "tracestate: a=1\r\nTraceState: b=2\r\n"), upstream)
        server, client = spans.one(kind="server"), spans.one(kind="client")
        self.assertEqual((server.trace_id, server.parent_id), (trace, parent))
        self.assert_child(client, server)
        self.assertEqual(server.trace_state, "a=1,b=2")
        self.assertEqual(b",".join(self.requests[0].values("tracestate")), b"a=1,b=2")
        self.assert_carries(self.requests[0], client, flags="01")

    def test_the_right_parent_at_any_load(self):
        rng = seeded_random()
        for connections, workers in ((1, 1), (3, 1), (50, 1), (50, 3)):
            with self.subTest(connections=connections, workers=workers):
                downstream = Downstream(rng)
                self.addCleanup(downstream.close)
                port, process = self.nginx(upstream=downstream.port, workers=workers)
                sent, _ = load(port, 500, connections, rng)
                process.stop(signal.SIGQUIT, expect=0)
                self.check_spans(process.spans)
                verdicts, wrong = judge(downstream.requests, sent, process.spans)
                self.assertEqual((verdicts["right"], wrong[:2]), (500, []), verdicts)

    def test_as_a_daemon(self):
        port, process = self.nginx(daemon="on", workers=2)
        wait_until((self.directory / "nginx.pid").exists, "nginx's pid file")
        process.wait_for_port(port)  # remora follows the daemon until it ends
        converse(port, get("/", "/missing"))
        os.kill(int((self.directory / "nginx.pid").read_text()), signal.SIGQUIT)
        process.wait(0)
        self.assertEqual(sorted(s["url.path"] for s in process.spans.where(kind="server")),
                         ["/", "/missing"])

    def test_unsampled_still_propagates(self):
        upstream = self.server()
        port, process = self.nginx(upstream=upstream.port,
                                   environment={"OTEL_TRACES_SAMPLER": "always_off"})
        trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
        converse(port, get("/app/1", headers=f"traceparent: 00-{trace}-{parent}-01\r\n"))
        process.stop(signal.SIGQUIT, expect=0)
        self.assertEqual(process.spans, [])
        context = upstream.requests[0].traceparent()
        self.assertEqual((context[0], context[2]), (trace, "00"))


def unread(s):
    """Bytes that we sent and the peer's program has not read yet, over loopback (/proc/net/tcp)."""
    (_, port), (_, own) = s.getpeername(), s.getsockname()
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            if (int(fields[1][-4:], 16), int(fields[2][-4:], 16)) == (port, own):
                return int(fields[4].split(":")[1], 16)
    return -1


if __name__ == "__main__":
    remora_test.main()
