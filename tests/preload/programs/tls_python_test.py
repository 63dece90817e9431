# SPDX-License-Identifier: Apache-2.0
"""Python over TLS: http.server behind ssl (SSL_*_ex with a descriptor), urllib, http.client and
requests; aiohttp as server and client (SSL_*_ex over memory, no descriptor)."""
import http.client
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import (PYTHON, converse, free_port, need_python, response,  # noqa: E402
                         seeded_random)
from tls_case import PARENT, TRACE, TlsTestCase  # noqa: E402

APPS = pathlib.Path(__file__).parent / "apps"
CLIENTS = ("urllib", "http.client", "requests")
JOB = """
import asyncio, sys
url = sys.argv[1]
if sys.argv[2] == "urllib":
    import ssl, urllib.request
    context = ssl.create_default_context(cafile="cert.pem")
    for n in range(3):
        print(len(urllib.request.urlopen(f"{url}{n}", context=context).read()))
elif sys.argv[2] == "requests":
    import requests
    session = requests.Session()
    session.trust_env = False  # REQUESTS_CA_BUNDLE would win
    session.verify = "cert.pem"
    for n in range(3):
        print(len(session.get(f"{url}{n}").content))
    print(session.post(f"{url}post", data=bytes(200_000)).status_code)
else:
    import aiohttp, ssl
    context = ssl.create_default_context(cafile="cert.pem")
    async def main():
        async with aiohttp.ClientSession() as session:
            for n in range(3):
                async with session.get(f"{url}{n}", ssl=context) as answer:
                    print(len(await answer.read()))
            async with session.post(f"{url}post", data=bytes(200_000), ssl=context) as answer:
                print(answer.status, len(await answer.read()))
    asyncio.run(main())
"""


class PythonCase(TlsTestCase):
    app = "python_service.py"

    def service(self, downstream, *arguments, traced=True):
        port = free_port()
        process = self.start(PYTHON, "-B", APPS / self.app, port, downstream, *arguments,
                             traced=traced, environment={"SERVICE_TLS": str(self.directory)})
        return port, process.wait_for_port(port)

    def get(self, port, path, headers=None, method="GET", body=None):
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60,
                                                 context=self.client_tls)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        result = answer.status, answer.read()
        connection.close()
        return result


class ScriptsTest(PythonCase):
    def test_bytes_and_spans(self):
        peer = self.tls_server(lambda r: response(b"y" * 70_000))
        script = self.file("job.py", JOB)
        for client in ("urllib", "requests", "aiohttp"):
            with self.subTest(client=client):
                if client != "urllib":
                    need_python(client)
                bare = self.run_bare(PYTHON, "-B", script, peer.url(), client)
                _, bare_streams = peer.take()
                traced = self.run_traced(PYTHON, "-B", script, peer.url(), client)
                requests, streams = peer.take()
                self.assertEqual(traced.stdout, bare.stdout)
                self.assert_only_added(streams, bare_streams)
                process = traced.spans.one(kind="internal", service="job.py")
                calls = self.assert_calls(traced.spans, requests, peer, process)
                self.assertEqual(len(calls), 3 if client == "urllib" else 4)
                self.assertEqual({c["http.response.body.size"] for c in calls}, {70_000})
                if client != "urllib":
                    self.assertEqual(calls[-1]["http.request.body.size"], 200_000)


class HttpServerTest(PythonCase):
    def test_server_spans(self):
        port, process = self.service(1, "urllib")
        self.get(port, "/hello?token=1", {"traceparent": f"00-{TRACE}-{PARENT}-01",
                                          "tracestate": "a=1,b=2", "User-Agent": "tester"})
        self.get(port, "/missing")
        status, body = self.get(port, "/echo", method="POST", body=bytes(100_000))
        self.assertEqual((status, body), (200, bytes(100_000)))
        process.wait_for_spans(3, kind="server")
        process.stop()
        self.check_spans(process.spans)
        span = process.spans.one(url_path="/hello")
        self.assertEqual((span.kind, span.name, span.trace_id, span.parent_id, span.trace_state),
                         ("server", "GET", TRACE, PARENT, "a=1,b=2"))
        self.assert_attributes(
            span, http_request_method="GET", http_response_status_code=200, url_scheme="https",
            url_query="token=1", server_address="127.0.0.1", server_port=port,
            network_peer_address="127.0.0.1", client_address="127.0.0.1",
            user_agent_original="tester", network_protocol_version="1.1")
        self.assertIsInstance(span["network.peer.port"], int)
        missing = process.spans.one(url_path="/missing")
        self.assertEqual((missing.parent_id, missing["http.response.status_code"]), ("", 404))
        echo = process.spans.one(url_path="/echo")
        self.assert_attributes(echo, http_request_body_size=100_000, http_response_body_size=100_000)
        for span in process.spans:
            self.assert_tls(span)
        self.assertEqual(len(process.spans), 3)

    def test_the_program_is_handed_our_span(self):
        port, process = self.service(1, "urllib")
        _, replaced = self.get(port, "/headers", {"TraceParent": f"00-{TRACE}-{PARENT}-01",
                                                  "X-Long": "x" * 300})
        _, inserted = self.get(port, "/headers", {"X-Long": "x" * 300})
        process.wait_for_spans(2, kind="server")
        process.stop()
        old, new = sorted(process.spans.where(kind="server"), key=lambda s: s.start_ns)
        self.assertIn(f"TraceParent: 00-{TRACE}-{old.span_id}-".encode(), replaced)
        self.assertIn(f"traceparent: 00-{new.trace_id}-{new.span_id}-".encode(), inserted)
        self.assertEqual(inserted.lower().count(b"traceparent"), 1)

    def test_bytes_of_the_server(self):
        requests = b"".join(f"GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for n in range(50))
        requests += b"GET /missing HTTP/1.1\r\nHost: x\r\n\r\n"
        requests += b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789"
        requests += b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answers = []
        for traced in (False, True):
            port, process = self.service(1, "urllib", traced=traced)
            answers.append(converse(port, requests, tls=self.client_tls))
            if traced:
                process.wait_for_spans(53, kind="server")
            process.stop()
        bare, traced = [[line for line in a.split(b"\r\n") if not line.startswith(b"Date:")]
                        for a in answers]
        self.assertEqual(traced, bare)
        self.assertEqual(len(process.spans), 53)

    def test_clients_are_children_of_the_request(self):
        for client in CLIENTS:
            with self.subTest(client=client):
                if client == "requests":
                    need_python("requests")
                downstream = self.tls_server()
                for traced in (False, True):
                    port, process = self.service(downstream.port, client, traced=traced)
                    for n in range(3):
                        self.assertEqual(self.get(port, f"/call/{n}"), (200, b"ok\n"))
                    if traced:
                        process.wait_for_spans(3, kind="server")
                    process.stop()
                    if not traced:
                        _, bare_streams = downstream.take()
                self.check_spans(process.spans)
                self.assert_only_added(downstream.streams, bare_streams)
                calls = self.assert_calls(process.spans, downstream.requests, downstream)
                for n, call in enumerate(calls):
                    server = process.spans.one(kind="server", url_path=f"/call/{n}")
                    self.assert_child(call, server)
                    self.assertIn(call["remora.join"], ("thread", "header"))

    def test_wrong_parents_are_none_and_threads_are_right(self):
        rng = seeded_random()
        for connections in (1, 20):
            with self.subTest(connections=connections):
                downstream = Downstream(rng, tls=self.server_context())
                self.addCleanup(downstream.close)
                port, process = self.service(downstream.port, "http.client", "background")
                sent, _ = load(port, 150, connections, rng, tls=self.client_tls)
                process.wait_for_spans(150, kind="server")
                process.stop()
                verdicts, wrong = judge(downstream.requests, sent, process.spans)
                self.assertEqual(wrong, [])
                self.assertEqual(verdicts["right"], 150, verdicts)
                self.assertGreater(verdicts["none"], 0)  # the background calls


class AiohttpTest(PythonCase):
    app = "aiohttp_service.py"

    def setUp(self):
        need_python("aiohttp")
        super().setUp()

    def run_load(self, connections, *flags):
        rng = seeded_random()
        downstream = Downstream(rng, tls=self.server_context())
        self.addCleanup(downstream.close)
        port, process = self.service(downstream.port, *flags)
        sent, _ = load(port, 150, connections, rng, tls=self.client_tls)
        process.wait_for_spans(150, kind="server")
        process.stop()
        self.check_spans(process.spans)
        calls = [r for r in downstream.requests if r.path.startswith("/down/")]
        self.assertEqual(len(calls), 150)
        for call in calls:  # each has a header, and each header names an exported span
            client = process.spans.by_id(call.traceparent()[1])
            self.assertEqual(client.kind, "client")
            self.assert_tls(client)
        for server in process.spans.where(kind="server"):
            self.assert_tls(server)
        verdicts, wrong = judge(downstream.requests, sent, process.spans)
        self.assertEqual(wrong, [])
        return verdicts

    def test_no_wrong_parent(self):
        for connections in (1, 30):
            with self.subTest(connections=connections):
                self.assertEqual(self.run_load(connections)["wrong"], 0)

    def test_a_forwarded_header_is_exact(self):
        for connections in (1, 30):
            with self.subTest(connections=connections):
                self.assertEqual(self.run_load(connections, "forward")["right"], 150)

    def test_addresses(self):
        """There is no descriptor at the SSL object: the address is known where memory and socket
        could be joined for certain, and never another one's."""
        downstream = Downstream(seeded_random(), tls=self.server_context())
        self.addCleanup(downstream.close)
        port, process = self.service(downstream.port)
        self.get(port, "/call/1")
        process.wait_for_spans(1, kind="server")
        process.stop()
        server = process.spans.one(kind="server")
        self.assert_attributes(server, server_address="127.0.0.1", server_port=port)
        self.assertIn(server["network.peer.address"], (None, "127.0.0.1"))
        call = process.spans.one(kind="client", url_full=downstream.url("/down/1"))
        self.assert_attributes(call, server_address="127.0.0.1", server_port=downstream.port)
        self.assertIn(call["network.peer.port"], (None, downstream.port))


if __name__ == "__main__":
    remora_test.main()
