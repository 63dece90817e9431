# SPDX-License-Identifier: Apache-2.0
"""A service whose answers come late, or unseen (tests/targets/late_service.cc): no wrong parents, and
every request ends."""
import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from remora_test import BUILD, free_port  # noqa: E402

PROGRAM = BUILD / "targets/late_service"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
REQUESTS = 5


class LateAnswersTest(remora_test.TestCase):
    def setUp(self):
        if not PROGRAM.exists():
            raise unittest.SkipTest(f"{PROGRAM} is not built")
        super().setUp()

    def talk(self, how, pipelined):
        """One connection; the process when it has ended, and what the downstream was asked."""
        downstream = self.server()
        port = free_port()
        process = self.start(PROGRAM, port, downstream.port, how)
        process.wait_for_port(port)
        heads = [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(REQUESTS)]
        with socket.create_connection(("127.0.0.1", port)) as s:
            for text in [b"".join(heads)] if pipelined else heads:
                s.sendall(text)
                wanted = len(ANSWER) * text.count(b"GET")
                while wanted > 0:
                    wanted -= len(s.recv(wanted))
        process.stop()
        requests, _ = downstream.take()
        self.assertEqual(len(requests), REQUESTS)
        self.check_spans(process.spans)
        return process.spans

    def parents(self, spans):
        """For each call its server span's number, or None."""
        found = []
        for n in range(REQUESTS):
            client = spans.one(kind="client", url_full=f"http://down/down/{n}")
            parent = spans.by_id(client.parent_id)
            found.append(None if parent is None else int(parent["url.path"][1:]))
        return found

    def test_no_wrong_parent(self):
        for how, pipelined in (("together", True), ("raw", False), ("syscall", False),
                               ("dprintf", False), ("stdio", False)):
            with self.subTest(how=how):
                parents = self.parents(self.talk(how, pipelined))
                wrong = [(n, p) for n, p in enumerate(parents) if p not in (None, n)]
                self.assertEqual(wrong, [], parents)

    def test_answered_one_by_one_each_call_has_its_parent(self):
        self.assertEqual(self.parents(self.talk("together", False)), list(range(REQUESTS)))


if __name__ == "__main__":
    remora_test.main()
