# SPDX-License-Identifier: Apache-2.0
"""curl over OpenSSL: spans, parents, and the bytes inside TLS. HTTP/2 is left alone."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from remora_test import converse, need, response  # noqa: E402
from tls_case import PARENT, TRACE, TlsTestCase  # noqa: E402

CHUNKED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
           b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: yes\r\n\r\n")


def answer(request):
    return {
        "/chunked": CHUNKED,
        "/missing": response(b"no\n", "404 Not Found"),
        "/empty": b"HTTP/1.1 204 No Content\r\n\r\n",
        "/until-close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it",
        "/big": response(bytes(range(256)) * 12_000),
        "/hang-up": None,
    }.get(request.path, response())


class TlsCurlTest(TlsTestCase):
    def setUp(self):
        need("curl")
        super().setUp()
        self.peer = self.tls_server(answer)

    def curl(self, *arguments):
        return ["curl", "-sS", "--cacert", self.certificate, *arguments]

    def compare(self, *arguments, expect=0):
        """Runs curl bare and traced: same output, same bytes but for the headers we add."""
        bare = self.run_bare(*self.curl(*arguments), expect=expect)
        _, bare_streams = self.peer.take()
        traced = self.run_traced(*self.curl(*arguments), expect=expect)
        requests, streams = self.peer.take()
        self.assertEqual(traced.stdout, bare.stdout)
        self.assertEqual(traced.stderr, bare.stderr)
        self.assert_only_added(streams, bare_streams)
        return traced.spans, requests

    def test_get(self):
        spans, (request,) = self.compare(self.peer.url("/a/b?q=1"), "-A", "tester")
        process = spans.one(kind="internal")
        client, = self.assert_calls(spans, [request], self.peer, process)
        self.assertEqual(len(spans), 2)
        self.assertEqual((client.name, client.service, client.status), ("GET", "curl", "unset"))
        self.assert_attributes(
            client, http_response_status_code=200, http_response_body_size=3,
            network_protocol_version="1.1", remora_join="process", remora_end=None, error_type=None)
        self.assertIn("first_byte", client.events)
        self.assertEqual(process["process.exit.code"], 0)

    def test_versions_and_names(self):
        for version in ("1.2", "1.3"):
            with self.subTest(version=version):
                peer = self.tls_server(answer, version)
                url = f"https://localhost:{peer.port}/x"
                traced = self.run_traced(*self.curl("--ipv4", url))
                client = traced.spans.one(kind="client", url_full=url)
                self.assert_tls(client, version)
                self.assert_attributes(client, server_address="localhost", server_port=peer.port,
                                       network_peer_address="127.0.0.1")
                self.assert_carries(peer.requests[0], client)

    def test_keep_alive_and_connections_in_parallel(self):
        urls = [self.peer.url(f"/{n}") for n in range(20)]
        spans, requests = self.compare(*urls)
        self.assert_calls(spans, requests, self.peer, spans.one(kind="internal"))
        traced = self.run_traced(*self.curl("-Z", *urls))
        requests, _ = self.peer.take()
        self.assert_calls(traced.spans, requests, self.peer)
        self.assertEqual(len(requests), 20)

    def test_bodies(self):
        data = self.file("body", bytes(range(256)) * 8192)
        for flags in (["--data-binary", f"@{data}"],                             # Expect: 100-continue
                      ["-T", str(data)],
                      ["--data-binary", f"@{data}", "-H", "Transfer-Encoding: chunked"],
                      ["-d", "small=1"]):
            with self.subTest(flags=flags):
                spans, requests = self.compare(self.peer.url("/upload"), *flags)
                client, = self.assert_calls(spans, requests, self.peer)
                self.assertEqual(client["http.request.body.size"], len(requests[0].body))

    def test_kinds_of_responses(self):
        for path, flags, size in (("/chunked", [], 11), ("/until-close", [], 9), ("/empty", [], 0),
                                  ("/head", ["-I"], 0), ("/big", [], 3_072_000)):
            with self.subTest(path=path):
                spans, requests = self.compare(self.peer.url(path), *flags)
                client, = self.assert_calls(spans, requests, self.peer)
                self.assertEqual((client.status, client["http.response.body.size"]),
                                 ("unset", size))

    def test_failures(self):
        client = self.compare(self.peer.url("/missing"))[0].one(kind="client")
        self.assert_attributes(client, http_response_status_code=404, error_type="404")
        spans, _ = self.compare(self.peer.url("/hang-up"), expect=52)
        client = spans.one(kind="client")
        self.assertEqual((client.status, client["remora.end"]), ("error", "peer"))
        self.assertEqual(spans.one(kind="internal")["process.exit.code"], 52)

    def test_a_certificate_that_is_not_trusted(self):
        for traced in (False, True):
            run = self.run_traced if traced else self.run_bare
            process = run("curl", "-sS", self.peer.url(), expect=60)
        self.assertEqual(self.peer.requests, [])
        self.assertEqual([s for s in process.spans.where(kind="client") if s["url.full"]], [])

    def test_trace_header_of_the_program_stays(self):
        own = f"00-{TRACE}-{PARENT}-01"
        spans, (request,) = self.compare(self.peer.url(), "-H", f"TraceParent: {own}")
        self.assertEqual(request.values("traceparent"), [own.encode()])
        client = spans.one(kind="client")
        self.assertEqual((client.trace_id, client.parent_id, client["remora.join"]),
                         (TRACE, PARENT, "program"))
        self.assert_tls(client)

    def test_unsampled_and_switched_off(self):
        traced = self.run_traced(*self.curl(self.peer.url()),
                                 environment={"OTEL_TRACES_SAMPLER": "always_off"})
        self.assertEqual(traced.spans, [])
        (request,), _ = self.peer.take()
        self.assertEqual(request.traceparent()[2], "02")
        traced = self.run_traced(*self.curl(self.peer.url()), environment={"REMORA_DISABLE": "true"})
        self.assertEqual(traced.spans, [])
        self.assertIsNone(self.peer.requests[0].traceparent())

    def test_secrets_do_not_reach_the_span(self):
        traced = self.run_traced(
            *self.curl("-u", "user:passw0rd", "-H", "Cookie: session=c00kie",
                       "-H", "Authorization: Bearer t0ken", self.peer.url("/x?sig=s1gnature&a=1")))
        self.assertIn("sig=REDACTED", traced.spans.one(kind="client")["url.full"])
        text = traced.output.read_text()
        for secret in ("passw0rd", "c00kie", "t0ken", "s1gnature"):
            self.assertNotIn(secret, text)


class TlsHttp2Test(TlsTestCase):
    """nginx tells what it was handed; both ends are traced in turn."""

    CONFIG = """
{user} daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
        location / {{ return 200 "$server_protocol $request_uri <$http_traceparent>\\n"; }}
    }}
}}
"""

    def setUp(self):
        need("curl", "nginx")
        super().setUp()
        if b"HTTP2" not in self.run_bare("curl", "--version").stdout:
            self.skipTest("this curl has no HTTP/2")

    def test_is_left_alone(self):
        port = remora_test.free_port()
        user = "user root;" if remora_test.os.getuid() == 0 else ""
        config = self.file("nginx.conf", self.CONFIG.format(dir=self.directory, port=port, user=user))
        command = ["curl", "-sS", "--http2", "--cacert", self.certificate,
                   *[f"https://127.0.0.1:{port}/{n}" for n in range(5)]]
        for traced in (False, True):
            server = self.start("nginx", "-e", self.directory / "error.log", "-c", config,
                                traced=traced).wait_for_port(port)
            expected = b"".join(b"HTTP/2.0 /%d <>\n" % n for n in range(5))
            self.assertEqual(self.run_bare(*command).stdout, expected)
            client = self.run_traced(*command)
            self.assertEqual(client.stdout, expected)
            self.assertEqual(client.spans.where(kind="client"), [])
            if traced:  # and the same nginx still traces what is HTTP/1
                head = f"GET /old HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
                body = converse(port, head, tls=self.client_tls).rpartition(b"\r\n\r\n")[2]
                server.wait_for_spans(1, kind="server")
            server.stop(remora_test.signal.SIGQUIT, expect=0)
        span = server.spans.one(kind="server")
        self.assertEqual(span["url.path"], "/old")
        self.assertEqual(re.findall(rb"<00-([0-9a-f]{32})-([0-9a-f]{16})-..>", body),
                         [(span.trace_id.encode(), span.span_id.encode())])


if __name__ == "__main__":
    remora_test.main()
