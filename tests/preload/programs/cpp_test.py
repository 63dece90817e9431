# SPDX-License-Identifier: Apache-2.0
"""A C++ service (tests/targets/thread_service.cc) with each family of socket calls."""
import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import BUILD, free_port, seeded_random  # noqa: E402

PROGRAM = BUILD / "targets/thread_service"


def converse_one_by_one(port, heads):
    """Each head after the answer to the one before; returns the answers."""
    answers = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
        file = s.makefile("rb")
        for head in heads:
            s.sendall(head)
            length = 0
            while line := file.readline():
                answers += line
                if line.startswith(b"Content-Length: "):
                    length = int(line.split()[1])
                if line == b"\r\n":
                    break
            answers += file.read(length)
    return answers


class CppTest(remora_test.TestCase):
    def setUp(self):
        if not PROGRAM.exists():
            raise unittest.SkipTest(f"{PROGRAM} is not built")
        super().setUp()

    def service(self, calls, downstream, traced=True):
        port = free_port()
        process = self.start(PROGRAM, port, downstream, calls, traced=traced)
        return port, process.wait_for_port(port)

    def test_every_family_of_calls(self):
        heads = [b"GET /call/%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(20)]
        for calls in ("send", "write", "vector", "message", "to"):
            with self.subTest(calls=calls):
                downstream = self.server()
                results = []
                for traced in (False, True):
                    port, process = self.service(calls, downstream.port, traced)
                    results.append(converse_one_by_one(port, heads))
                    if traced:
                        process.wait_for_spans(20, kind="server")
                    process.stop()
                    requests, streams = downstream.take()
                    if not traced:
                        bare_streams = streams
                self.assert_same_bytes(results[1], results[0])
                self.assert_only_added([s for s in streams if s], [s for s in bare_streams if s])
                self.check_spans(process.spans)
                for request in requests:
                    number = request.path.rpartition("/")[2]
                    server = process.spans.one(kind="server", url_path=f"/call/{number}")
                    client = process.spans.one(kind="client", url_full=f"http://down/down/{number}")
                    self.assert_child(client, server)
                    self.assert_carries(request, client)

    def test_the_right_parent_at_any_load(self):
        rng = seeded_random()
        for connections in (1, 3, 50):
            with self.subTest(connections=connections):
                downstream = Downstream(rng)
                self.addCleanup(downstream.close)
                port, process = self.service("send", downstream.port)
                sent, _ = load(port, 500, connections, rng)
                process.wait_for_spans(500, kind="server")
                process.stop()
                self.check_spans(process.spans)
                verdicts, wrong = judge(downstream.requests, sent, process.spans)
                self.assertEqual((verdicts["right"], wrong[:2]), (500, []), verdicts)


if __name__ == "__main__":
    remora_test.main()
