# SPDX-License-Identifier: Apache-2.0
"""Python's threaded http.server, calling on by urllib, http.client and requests."""
import http.client
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import (PYTHON, converse, free_port, need_python,  # noqa: E402
                         seeded_random, wait_until)

APP = pathlib.Path(__file__).parent / "apps/python_service.py"


class PythonTest(remora_test.TestCase):
    def service(self, client="urllib", downstream=1, traced=True, extra=(), **options):
        port = free_port()
        process = self.start(PYTHON, "-B", APP, port, downstream, client, *extra, traced=traced,
                             **options)
        process.wait_for_port(port)
        return port, process

    def get(self, port, path, headers=None, method="GET", body=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        result = answer.status, answer.read()
        connection.close()
        return result

    def test_server_spans(self):
        port, process = self.service()
        trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
        self.get(port, "/hello?token=1", {"traceparent": f"00-{trace}-{parent}-01",
                                          "tracestate": "a=1,b=2", "User-Agent": "tester"})
        self.get(port, "/missing")
        status, body = self.get(port, "/echo", method="POST", body=bytes(100_000))
        self.assertEqual((status, body), (200, bytes(100_000)))
        process.wait_for_spans(3, kind="server")
        process.stop()
        self.check_spans(process.spans)
        span = process.spans.one(url_path="/hello")
        self.assertEqual((span.kind, span.name, span.trace_id, span.parent_id, span.trace_state),
                         ("server", "GET", trace, parent, "a=1,b=2"))
        self.assert_attributes(
            span, http_request_method="GET", url_scheme="http", url_query="token=1",
            http_response_status_code=200, network_protocol_version="1.1", remora_join="remote",
            user_agent_original="tester", server_address="127.0.0.1", server_port=port,
            client_address="127.0.0.1", network_peer_address="127.0.0.1")
        self.assertEqual(span.service, "python_service.py")
        missing = process.spans.one(url_path="/missing")
        self.assertEqual((missing.status, missing["error.type"], missing.parent_id, missing["remora.join"]),
                         ("unset", None, "", "root"))
        echo = process.spans.one(url_path="/echo")
        self.assert_attributes(echo, http_request_body_size=100_000, http_response_body_size=100_000)
        self.assertEqual(process.spans.where(kind="internal"), [])  # a server has no process span

    def test_the_program_is_handed_our_span(self):
        port, process = self.service()
        trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
        _, replaced = self.get(port, "/headers", {"TraceParent": f"00-{trace}-{parent}-01",
                                                  "X-Long": "x" * 300})
        _, inserted = self.get(port, "/headers", {"X-Long": "x" * 300})
        process.wait_for_spans(2, kind="server")
        process.stop()
        old, new = sorted(process.spans.where(kind="server"), key=lambda s: s.start_ns)
        self.assertIn(f"TraceParent: 00-{trace}-{old.span_id}-".encode(), replaced)
        self.assertIn(f"traceparent: 00-{new.trace_id}-{new.span_id}-".encode(), inserted)
        self.assertEqual(inserted.lower().count(b"traceparent"), 1)

    def test_bytes_of_the_server(self):
        requests = b"".join(f"GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for n in range(50))
        requests += b"GET /missing HTTP/1.1\r\nHost: x\r\n\r\n"
        requests += b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789"
        requests += b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n"
        answers = []
        for traced in (False, True):
            port, process = self.service(traced=traced)
            answers.append(converse(port, requests))
            if traced:
                process.wait_for_spans(53, kind="server")
            process.stop()
        bare, traced = [[line for line in a.split(b"\r\n") if not line.startswith(b"Date:")]
                        for a in answers]
        self.assertEqual(traced, bare)
        # The handler raised and the connection was closed without an answer.
        self.assertEqual(process.spans.one(url_path="/fail")["remora.end"], "local")

    def test_clients_are_children_of_the_request(self):
        for client, carriers, join in [(c, *how) for c in ("urllib", "http.client", "requests")
                                       for how in (("none", "thread"), ("python", "header"))]:
            with self.subTest(client=client, carriers=carriers):
                if client == "requests":
                    need_python("requests")
                downstream = self.server()
                port, process = self.service(client, downstream.port,
                                             environment={"REMORA_CARRIERS": carriers})
                self.get(port, "/call/7")
                process.wait_for_spans(1, kind="server")
                process.stop()
                self.check_spans(process.spans)
                server = process.spans.one(kind="server")
                call = process.spans.one(kind="client")
                self.assert_child(call, server)
                self.assertEqual(call["remora.join"], join)
                self.assert_carries(downstream.requests[0], call)
                self.assertGreaterEqual(call.start_ns, server.start_ns)
                self.assertLessEqual(call.end_ns, server.end_ns)

    def test_bytes_of_the_clients(self):
        for client in ("urllib", "http.client", "requests"):
            with self.subTest(client=client):
                if client == "requests":
                    need_python("requests")
                downstream = self.server()
                for traced in (False, True):
                    port, process = self.service(client, downstream.port, traced=traced)
                    for n in range(3):
                        self.get(port, f"/call/{n}")
                    process.stop()
                    if not traced:
                        _, bare_streams = downstream.take()
                self.assert_only_added(downstream.streams, bare_streams)

    def test_wrong_parents_are_none_and_threads_are_right(self):
        rng = seeded_random()
        for connections in (1, 2, 3, 50):
            with self.subTest(connections=connections):
                downstream = Downstream(rng)
                self.addCleanup(downstream.close)
                port, process = self.service("http.client", downstream.port, extra=["background"])
                sent, _ = load(port, 300, connections, rng)
                process.wait_for_spans(300, kind="server")
                process.stop()
                verdicts, wrong = judge(downstream.requests, sent, process.spans)
                self.assertEqual(wrong, [])
                self.assertEqual(verdicts["right"], 300, verdicts)
                self.assertGreater(verdicts["none"], 0)  # the background calls

    def test_a_connection_that_another_thread_takes_over(self):
        """Thread A answers request 1 of a connection and hands it on; while thread B works on request
        2, A calls for itself: nobody's child. B's call after that is request 2's, or nobody's."""
        downstream = self.server()
        port = free_port()
        script = self.file("handover.py", f"""
import http.client, socket, threading
handed, read, called = threading.Event(), threading.Event(), threading.Event()
answer = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"
def call(path):
    client = http.client.HTTPConnection("127.0.0.1", {downstream.port})
    client.request("GET", path)
    client.getresponse().read()
    client.close()
connection = socket.create_server(("127.0.0.1", {port})).accept()[0]
def a():
    connection.recv(65536)
    connection.sendall(answer)
    handed.set()
    read.wait()
    call("/background")
    called.set()
def b():
    handed.wait()
    connection.recv(65536)
    read.set()
    called.wait()
    call("/down/2")
    connection.sendall(answer)
threads = [threading.Thread(target=f) for f in (a, b)]
for t in threads: t.start()
for t in threads: t.join()
""")
        process = self.start(PYTHON, "-B", script)
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

        def connected():
            try:
                client.connect()
                return True
            except OSError:
                return False
        wait_until(connected, "the script to listen")
        for n in (1, 2):
            client.request("GET", f"/call/{n}", headers={"X-Long": "x" * 300})
            client.getresponse().read()
        process.wait(0)
        servers = {s["url.path"]: s for s in process.spans.where(kind="server")}
        self.assertEqual(set(servers), {"/call/1", "/call/2"})
        own = process.spans.one(kind="client", url_full=downstream.url("/background"))
        self.assertEqual(own.parent_id, "")
        call = process.spans.one(kind="client", url_full=downstream.url("/down/2"))
        self.assertIn(call.parent_id, ("", servers["/call/2"].span_id))

    def test_process_of_a_client_script(self):
        peer = self.server()
        script = self.file("job.py", f"""
import urllib.request
for n in range(3):
    urllib.request.urlopen("{peer.url()}" + str(n)).read()
raise SystemExit(4)
""")
        traced = self.run_traced(PYTHON, "-B", script, expect=4)
        process = traced.spans.one(kind="internal", service="job.py")
        self.assertEqual(process["process.exit.code"], 4)
        calls = traced.spans.where(kind="client")
        self.assertEqual(len(calls), 3)
        for call in calls:
            self.assert_child(call, process)

    def test_subprocess_under_load(self):
        downstream = self.server()
        port = free_port()
        script = self.file("forker.py", f"""
import http.server, subprocess, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        out = subprocess.run(["/bin/echo", "hi"], capture_output=True).stdout
        urllib.request.urlopen("http://127.0.0.1:{downstream.port}" + self.path.replace("call", "down")).read()
        self.send_response(200); self.send_header("Content-Length", "3"); self.end_headers()
        self.wfile.write(out)
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
""")
        process = self.start(PYTHON, "-B", script).wait_for_port(port)
        sent, bodies = load(port, 200, 8, seeded_random())
        self.assertEqual(set(bodies.values()), {b"hi\n"})
        process.wait_for_spans(200, kind="server")
        process.stop()
        self.check_spans(process.spans)
        verdicts, wrong = judge(downstream.requests, sent, process.spans)
        self.assertEqual(wrong, [])
        self.assertEqual(verdicts["right"], 200, verdicts)


if __name__ == "__main__":
    remora_test.main()
