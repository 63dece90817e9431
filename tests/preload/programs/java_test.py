# SPDX-License-Identifier: Apache-2.0
"""The JDK's HTTP server and clients, started from one source file."""
import http.client
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import free_port, need, seeded_random, strip_traceparent  # noqa: E402

APP = pathlib.Path(__file__).parent / "apps/Service.java"


class JavaTest(remora_test.TestCase):
    def setUp(self):
        need("java", "javac")
        super().setUp()
        self.rng = seeded_random()

    def service(self, client, downstream, traced=True):
        port = free_port()
        process = self.start("java", "-XX:TieredStopAtLevel=1", APP, port, downstream, client,
                             traced=traced)
        return port, process.wait_for_port(port)

    def run_load(self, client, connections, count=200):
        downstream = Downstream(self.rng)
        self.addCleanup(downstream.close)
        port, process = self.service(client, downstream.port)
        sent, _ = load(port, count, connections, self.rng)
        process.wait_for_spans(count, kind="server")
        process.stop()
        self.check_spans(process.spans)
        for request in downstream.requests:
            self.assertEqual(process.spans.by_id(request.traceparent()[1]).kind, "client")
        verdicts, wrong = judge(downstream.requests, sent, process.spans)
        self.assertEqual(wrong, [])
        self.assertEqual(sum(verdicts.values()), count)
        return verdicts

    def test_calls_of_the_handler_thread(self):
        for connections in (1, 50):
            with self.subTest(connections=connections):
                self.run_load("url", connections)

    def test_calls_of_other_threads_have_no_wrong_parent(self):
        for client in ("handed", "http"):
            with self.subTest(client=client):
                self.run_load(client, 20)

    def test_server_and_client_spans(self):
        downstream = self.server()
        heard = []
        for traced in (False, True):
            port, process = self.service("url", downstream.port, traced)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("POST", "/echo", bytes(200_000))
            self.assertEqual(connection.getresponse().read(), bytes(200_000))
            connection.request("GET", "/call/1")
            self.assertEqual(connection.getresponse().read(), b"ok\n")
            connection.close()
            if traced:
                process.wait_for_spans(2, kind="server")
            process.stop()
            heard.append([strip_traceparent(bytes(s)) for s in downstream.take()[1]])
        self.assert_same_bytes(heard[1], heard[0])
        echo = process.spans.one(kind="server", url_path="/echo")
        self.assert_attributes(echo, http_request_body_size=200_000, http_response_status_code=200,
                               http_response_body_size=200_000)
        self.assertEqual(process.spans.one(kind="client")["http.response.status_code"], 200)


if __name__ == "__main__":
    remora_test.main()
