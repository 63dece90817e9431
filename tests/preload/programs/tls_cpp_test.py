# SPDX-License-Identifier: Apache-2.0
"""A C++ service on OpenSSL itself (tests/targets/tls_service.cc), server and client, with each
family of calls."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import BUILD, free_port, seeded_random  # noqa: E402
from tls_case import PARENT, TRACE, TRACEPARENT, TlsTestCase  # noqa: E402

PROGRAM = BUILD / "targets/tls_service"


class TlsCppTest(TlsTestCase):
    def setUp(self):
        if not PROGRAM.exists():
            raise unittest.SkipTest(f"{PROGRAM} is not built (libssl-dev was missing)")
        super().setUp()

    def service(self, calls, downstream, traced=True):
        port = free_port()
        process = self.start(PROGRAM, port, downstream, calls, traced=traced)
        return port, process.wait_for_port(port)

    def test_every_family_of_calls(self):
        heads = [b"GET /call/0 HTTP/1.1\r\nHost: x\r\n" + TRACEPARENT.encode() + b"\r\n\r\n",
                 b"GET /call/1 HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"GET /call/2 HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 3000 + b"\r\n\r\n"]
        for calls in ("plain", "ex", "peek", "memory", "pieces"):
            with self.subTest(calls=calls):
                downstream = self.tls_server()
                results = []
                for traced in (False, True):
                    port, process = self.service(calls, downstream.port, traced)
                    results.append([self.ask(port, head) for head in heads])
                    if traced:
                        process.wait_for_spans(3, kind="server")
                    process.stop()
                    requests, streams = downstream.take()
                    if not traced:
                        bare_streams = streams
                self.assert_same_bytes(results[1], results[0])
                self.assert_only_added([s for s in streams if s], [s for s in bare_streams if s])
                spans = process.spans
                self.check_spans(spans)
                self.assertEqual(len(requests), 3)
                self.assertEqual(len(spans.where(kind="client")), 3)
                for request in requests:
                    number = request.path.rpartition("/")[2]
                    server = spans.one(kind="server", url_path=f"/call/{number}")
                    client = spans.one(kind="client", url_full=f"https://down/down/{number}")
                    self.assert_child(client, server)
                    self.assert_carries(request, client, flags="01" if number == "0" else "03")
                    self.assert_tls(server)
                    self.assert_tls(client)
                    if calls != "memory":
                        self.assert_attributes(client, network_peer_address="127.0.0.1",
                                               network_peer_port=downstream.port)
                joined = spans.one(kind="server", url_path="/call/0")
                self.assertEqual((joined.trace_id, joined.parent_id), (TRACE, PARENT))

    def ask(self, port, head):
        """One request on a connection of its own; all that comes until the answer is there."""
        with remora_test.socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
            with self.client_tls.wrap_socket(plain, server_hostname="localhost") as s:
                s.sendall(head)
                received = b""
                while not received.endswith(b"ok\n"):
                    received += s.recv(65536)
                return received

    def test_what_the_program_is_handed(self):
        for calls in ("plain", "ex", "memory"):
            with self.subTest(calls=calls):
                port, process = self.service(calls, 1)
                with remora_test.socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
                    with self.client_tls.wrap_socket(plain, server_hostname="localhost") as s:
                        s.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
                        received = b""
                        while received.count(b"\r\n\r\n") < 2:
                            received += s.recv(65536)
                process.wait_for_spans(1, kind="server")
                process.stop()
                span = process.spans.one(kind="server")
                line = f"\r\ntraceparent: 00-{span.trace_id}-{span.span_id}-03\r\n\r\n".encode()
                self.assertIn(line, received)

    def test_the_right_parent_at_any_load(self):
        rng = seeded_random()
        for connections, calls in ((1, "plain"), (30, "ex"), (10, "memory")):
            with self.subTest(connections=connections, calls=calls):
                downstream = Downstream(rng, tls=self.server_context())
                self.addCleanup(downstream.close)
                port, process = self.service(calls, downstream.port)
                sent, _ = load(port, 250, connections, rng, tls=self.client_tls)
                process.wait_for_spans(250, kind="server")
                process.stop()
                self.check_spans(process.spans)
                verdicts, wrong = judge(downstream.requests, sent, process.spans)
                self.assertEqual((verdicts["right"], wrong[:2]), (250, []), verdicts)


if __name__ == "__main__":
    remora_test.main()
