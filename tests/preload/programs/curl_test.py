# SPDX-License-Identifier: Apache-2.0
"""curl: the simplest client. Spans, parents, and the bytes on the wire."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from remora_test import free_port, need, response  # noqa: E402

CHUNKED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
           b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: yes\r\n\r\n")


def answer(request):
    return {
        "/chunked": CHUNKED,
        "/missing": response(b"no\n", "404 Not Found"),
        "/broken": response(b"", "503 Service Unavailable"),
        "/empty": b"HTTP/1.1 204 No Content\r\n\r\n",
        "/until-close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it",
        "/hang-up": None,
    }.get(request.path, response())


class CurlTest(remora_test.TestCase):
    def setUp(self):
        need("curl")
        super().setUp()
        self.peer = self.server(answer)

    def compare(self, *arguments, expect=0):
        """Runs curl bare and traced: same output, same bytes but for the headers we add."""
        command = ["curl", "-sS", "--path-as-is", *arguments]
        bare = self.run_bare(*command, expect=expect)
        _, bare_streams = self.peer.take()
        traced = self.run_traced(*command, expect=expect)
        requests, streams = self.peer.take()
        self.assertEqual(traced.stdout, bare.stdout)
        self.assertEqual(traced.stderr, bare.stderr)
        self.assert_only_added(streams, bare_streams)
        return traced.spans, requests

    def test_get(self):
        spans, (request,) = self.compare(self.peer.url("/a/b?q=1"), "-A", "tester")
        client = spans.one(kind="client")
        process = spans.one(kind="internal")
        self.assertEqual(len(spans), 2)
        self.assertEqual((client.name, client.service, client.status), ("GET", "curl", "unset"))
        self.assert_attributes(
            client, http_request_method="GET", http_response_status_code=200,
            server_address="127.0.0.1", server_port=self.peer.port,
            url_full=self.peer.url("/a/b?q=1"), network_protocol_version="1.1",
            network_peer_address="127.0.0.1", network_peer_port=self.peer.port,
            http_response_body_size=3, remora_join="process", remora_end=None, error_type=None)
        self.assertEqual(client.events, ("connect", "first_byte"))
        self.assert_child(client, process)
        self.assert_carries(request, client)
        self.assertEqual(process.parent_id, "")
        self.assertEqual((process.name, process["process.exit.code"]), ("curl", 0))
        self.assertLessEqual(process.start_ns, client.start_ns)
        self.assertGreaterEqual(process.end_ns, client.end_ns)

    def test_keep_alive_and_connections_in_parallel(self):
        spans, requests = self.compare(*[self.peer.url(f"/{n}") for n in range(20)])
        self.assertEqual(len(spans.where(kind="client")), 20)
        for request in requests:
            self.assert_carries(request, spans.one(kind="client",
                                                   url_full=self.peer.url(request.path)))
        traced = self.run_traced("curl", "-sSZ", *[self.peer.url(f"/{n}") for n in range(20)])
        self.assertEqual(len(traced.spans.where(kind="client")), 20)

    def test_bodies(self):
        data = self.file("body", bytes(range(256)) * 8192)
        for flags in (["--data-binary", f"@{data}"],                             # Expect: 100-continue
                      ["--data-binary", f"@{data}", "-H", "Expect:"],
                      ["-T", str(data)],
                      ["--data-binary", f"@{data}", "-H", "Transfer-Encoding: chunked"],
                      ["-d", "small=1"]):
            with self.subTest(flags=flags):
                spans, (request,) = self.compare(self.peer.url("/upload"), *flags)
                client = spans.one(kind="client")
                self.assert_carries(request, client)
                self.assertEqual(client["http.request.body.size"], len(request.body))

    def test_kinds_of_responses(self):
        for path, flags, size in (("/chunked", [], 11), ("/until-close", [], 9), ("/empty", [], 0),
                                  ("/head", ["-I"], 0)):
            with self.subTest(path=path):
                spans, _ = self.compare(self.peer.url(path), *flags)
                client = spans.one(kind="client")
                self.assertEqual((client.status, client["http.response.body.size"]),
                                 ("unset", size))

    def test_failures(self):
        for path, status, error in (("/missing", 404, "404"), ("/broken", 503, "503")):
            with self.subTest(path=path):
                client = self.compare(self.peer.url(path))[0].one(kind="client")
                self.assert_attributes(client, http_response_status_code=status, error_type=error)
                self.assertEqual((client.status, client.status_message), ("error", ""))
        spans, _ = self.compare(self.peer.url("/hang-up"), expect=52)
        client = spans.one(kind="client")
        self.assertEqual((client.status, client["remora.end"]), ("error", "peer"))
        process = spans.one(kind="internal")
        self.assertEqual((process["process.exit.code"], process.status), (52, "error"))

    def test_nothing_listens(self):
        port = free_port()
        traced = self.run_traced("curl", "-sS", f"http://127.0.0.1:{port}/", expect=7)
        client = traced.spans.one(kind="client")
        self.assertEqual((client.name, client["error.type"]), ("connect", "ECONNREFUSED"))

    def test_unix_socket(self):
        path = str(self.directory / "socket")
        peer = remora_test.RecordingServer(answer, path)
        self.addCleanup(peer.close)
        traced = self.run_traced("curl", "-sS", "--unix-socket", path, "http://box/x")
        client = traced.spans.one(kind="client")
        self.assert_attributes(client, server_address="box", server_port=80, url_full="http://box/x",
                               network_transport="unix", network_peer_address=None)
        self.assert_carries(peer.requests[0], client)

    def test_trace_header_of_the_program_stays(self):
        own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        spans, (request,) = self.compare(self.peer.url(), "-H", f"TraceParent: {own}")
        self.assertEqual(request.values("traceparent"), [own.encode()])
        client = spans.one(kind="client")
        self.assertEqual((client.trace_id, client.parent_id, client["remora.join"]),
                         ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "program"))

    def test_parent_from_the_environment(self):
        trace, span = "1af7651916cd43dd8448eb211c80319c", "c7ad6b7169203331"
        traced = self.run_traced("curl", "-sS", self.peer.url(),
                                 environment={"TRACEPARENT": f"00-{trace}-{span}-01",
                                              "OTEL_SERVICE_NAME": "job"})
        process = traced.spans.one(kind="internal", service="job")
        self.assertEqual((process.trace_id, process.parent_id), (trace, span))
        self.assert_child(traced.spans.one(kind="client"), process)

    def test_children_of_a_script_are_one_trace(self):
        traced = self.run_traced("sh", "-c", f"curl -sS {self.peer.url('/1')}; "
                                             f"env -i /usr/bin/curl -sS {self.peer.url('/2')}; exit 3",
                                 expect=3)
        shell = next(s for s in traced.spans if s.name in ("sh", "dash"))
        self.assertEqual(shell["process.exit.code"], 3)
        for path in ("/1", "/2"):
            client = traced.spans.one(kind="client", url_full=self.peer.url(path))
            self.assertEqual(client.trace_id, shell.trace_id)

    def test_unsampled(self):
        traced = self.run_traced("curl", "-sS", self.peer.url(),
                                 environment={"OTEL_TRACES_SAMPLER": "always_off"})
        self.assertEqual(traced.spans, [])
        self.assertEqual(self.peer.requests[0].traceparent()[2], "02")

    def test_switched_off(self):
        for variable in ("REMORA_DISABLE", "OTEL_SDK_DISABLED"):
            with self.subTest(variable=variable):
                traced = self.run_traced("curl", "-sS", self.peer.url(),
                                         environment={variable: "true"})
                self.assertEqual(traced.spans, [])
                (request,), _ = self.peer.take()
                if variable == "REMORA_DISABLE":
                    self.assertIsNone(request.traceparent())

    def test_secrets_do_not_reach_the_span(self):
        traced = self.run_traced(
            "curl", "-sS", "-u", "user:passw0rd", "-H", "Cookie: session=c00kie",
            "-H", "Authorization: Bearer t0ken", self.peer.url("/x?sig=s1gnature&a=1"))
        client = traced.spans.one(kind="client")
        self.assertIn("sig=REDACTED", client["url.full"])
        text = traced.output.read_text()
        for secret in ("passw0rd", "c00kie", "t0ken", "s1gnature"):
            self.assertNotIn(secret, text)

    def test_the_preload_of_others_stays(self):
        traced = self.run_traced("sh", "-c", "echo $LD_PRELOAD", environment={"LD_PRELOAD": ""})
        self.assertEqual(traced.stdout.decode().strip().count("libremora.so"), 1)


if __name__ == "__main__":
    remora_test.main()
