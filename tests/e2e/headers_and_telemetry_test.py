# SPDX-License-Identifier: Apache-2.0
"""Header fields that the user names go onto spans and no others; exports and scrapes of telemetry
are not traced and carry no header, unless asked."""
import e2e_case
from e2e_case import PYTHON, EndToEndTestCase, converse, free_port, main

CALLER = """
import sys, urllib.request
for line in sys.argv[2:]:
    method, path, fields, body = line.split("|")
    fields = dict(f.split("=") for f in fields.split(",") if f)
    request = urllib.request.Request(sys.argv[1] + path, data=body.encode() or None,
                                     headers=fields, method=method)
    urllib.request.urlopen(request).read()
"""
EXPORT = "POST|/v1/traces|Content-Type=application/x-protobuf|x"
ORDER = "POST|/orders|Content-Type=application/x-protobuf,X-Tenant=seven,X-Secret=s,Cookie=c|x"


class CallerCase(EndToEndTestCase):
    def call(self, *lines, **options):
        """The spans of a program that makes these calls, and what its server was asked."""
        self.peer = self.server()
        return self.run_traced(PYTHON, "-c", CALLER, f"http://127.0.0.1:{self.peer.port}", *lines,
                               **options)


class NamedHeaders(CallerCase):
    def test_of_a_client(self):
        process = self.call(ORDER, environment={
            "OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_REQUEST_HEADERS": "x-tenant,x-absent",
            "OTEL_INSTRUMENTATION_HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS": "Content-Length"})
        span = process.spans.one(kind="client")
        self.assertEqual(span["http.request.header.x-tenant"], ["seven"])
        self.assertEqual(len(span["http.response.header.content-length"]), 1)
        named = [k for k in span.attributes if ".header." in k]
        self.assertEqual(len(named), 2, named)

    def test_of_a_server(self):
        port = free_port()
        process = self.start(PYTHON, "-B", e2e_case.APPS / "server.py", port, "threads", environment={
            "OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS": "X-Tenant,cookie",
            "OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS": "server"})
        process.wait_for_port(port)
        converse(port, b"GET /x HTTP/1.1\r\nHost: h\r\nX-Tenant: a\r\nAuthorization: Basic s\r\n"
                       b"x-tenant: b\r\nCookie: named=1\r\nConnection: close\r\n\r\n")
        process.stop()
        span = process.spans.one(kind="server")
        self.assertEqual(span["http.request.header.x-tenant"], ["a", "b"])
        self.assertEqual(span["http.request.header.cookie"], ["named=1"])
        self.assertEqual(len(span["http.response.header.server"]), 1)
        self.assertNotIn("http.request.header.authorization", span.attributes)

    def test_none_by_default(self):
        span = self.call(ORDER).spans.one(kind="client")
        self.assertEqual([k for k in span.attributes if ".header." in k], [])


class Telemetry(CallerCase):
    def test_exports_are_left_alone(self):
        process = self.call(EXPORT, ORDER, "POST|/api/v2/spans|Content-Type=application/json|[]")
        span = process.spans.one(kind="client")
        self.assertTrue(span["url.full"].endswith("/orders"))
        carried = [request.traceparent() is not None for request in self.peer.requests]
        self.assertEqual(carried, [False, True, False])

    def test_unless_asked(self):
        process = self.call(EXPORT, environment={"REMORA_TRACE_TELEMETRY": "true"})
        span = process.spans.one(kind="client")
        self.assertEqual(self.peer.requests[0].traceparent()[1], span.span_id)

    def test_scrapes_are_left_alone(self):
        port = free_port()
        process = self.start(PYTHON, "-B", e2e_case.APPS / "server.py", port, "threads")
        process.wait_for_port(port)
        for agent in (b"Prometheus/2.45.0", b"curl/8"):
            converse(port, b"GET /metrics HTTP/1.1\r\nHost: h\r\nUser-Agent: " + agent +
                     b"\r\nConnection: close\r\n\r\n")
        process.stop()
        self.assertEqual(process.spans.one(kind="server")["user_agent.original"], "curl/8")


if __name__ == "__main__":
    main()
