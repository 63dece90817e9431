# SPDX-License-Identifier: Apache-2.0
"""Peers that send what nobody should send. A traced program answers, and is handed, what a bare one
is, but for the headers that Remora may add; nothing hangs, and no program ends differently."""
import collections
import concurrent.futures
import os
import re
import signal
import socket
import threading

from e2e_case import APPS, PYTHON, EndToEndTestCase, free_port, main, need, seeded_random, target
from nasty_messages import REQUESTS, RESPONSES, UNTOUCHABLE, mutations

MUTATIONS = int(os.environ.get("REMORA_TEST_MUTATIONS", "300"))
TRACE_LINE = re.compile(rb"(?im)^(?:traceparent|tracestate)[ \t]*:[^\n]*\n")
DATE = re.compile(rb"(?m)^Date: [^\r\n]*")


def converse(port, message, cut=None):
    """What comes back for it, until the peer has closed. A lost connection is written as such."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if cut:
                s.sendall(message[:cut])
            s.sendall(message[cut or 0:])
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the peer has closed; what it said is still to be read
        try:
            while data := s.recv(65536):
                received += data
        except ConnectionResetError:
            received += b"<reset>"
    return DATE.sub(b"Date: x", received)


class NastyServer:
    """Answers the request for /<n> with the n-th message and closes. Keeps what clients sent."""

    def __init__(self, messages):
        self.messages = list(messages)
        self.heard = collections.defaultdict(list)  # by n
        self._listener = socket.create_server(("", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    data = connection.recv(65536)
                    if not data:
                        return
                    head += data
                match = re.match(rb"GET (?:/app)?/(\d+)", head)
                if not match:
                    return
                self.heard[int(match[1])].append(head)
                connection.sendall(self.messages[int(match[1])])
                connection.shutdown(socket.SHUT_WR)
                while data := connection.recv(65536):
                    self.heard[int(match[1])].append(data)
        except OSError:
            pass

    def take(self):
        heard, self.heard = self.heard, collections.defaultdict(list)
        return {n: TRACE_LINE.sub(b"", b"".join(parts)) for n, parts in heard.items()}

    def close(self):
        self._listener.close()


class HostileClients(EndToEndTestCase):
    def setUp(self):
        super().setUp()
        rng = seeded_random()
        self.messages = {**REQUESTS, **mutations(rng, REQUESTS, MUTATIONS)}
        self.cuts = {name: rng.randrange(1, len(m)) if len(m) > 1 else None
                     for name, m in self.messages.items()}

    def answers(self, port, names):
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            return dict(zip(names, pool.map(
                lambda name: converse(port, self.messages[name], self.cuts[name]), names)))

    def compare(self, start, end=signal.SIGTERM):
        """The same messages to a bare and to a traced server."""
        bare_port, bare = start(traced=False)
        port, traced = start(traced=True)
        names = list(self.messages)
        want, got = self.answers(bare_port, names), self.answers(port, names)
        different = [n for n in names if want[n] != got[n]]
        # A server that closes with unread bytes resets the connection, and its answer may be lost.
        for name in list(different):
            both = [{converse(p, self.messages[name], self.cuts[name]) for _ in range(8)}
                    for p in (bare_port, port)]
            if both[0] & both[1]:
                different.remove(name)
        self.assertEqual([(n, self.messages[n][:300], want[n][:300], got[n][:300])
                          for n in different], [])
        statuses = [process.stop(end) for process in (bare, traced)]
        self.assertEqual(statuses[1], statuses[0])
        self.check_spans(traced.spans)
        self.assertGreater(len(traced.spans.where(kind="server")), 100)
        return traced

    def test_python(self):
        def start(traced):
            port = free_port()
            process = self.start(PYTHON, "-B", APPS / "mirror.py", port, traced=traced)
            return port, process.wait_for_port(port)
        self.compare(start)

    def test_nginx(self):
        self.compare(lambda traced: self.nginx(traced=traced), signal.SIGQUIT)

    def test_nginx_passing_on(self):
        heard = {}

        def start(traced):
            upstream = heard[traced] = self.server()
            return self.nginx(upstream.port, traced=traced)
        # Its own paths only: most of what is wrong ends at nginx.
        self.messages = {name: m.replace(b" /x", b" /app") for name, m in self.messages.items()}
        self.compare(start, signal.SIGQUIT)
        bare, traced = [collections.Counter(
            re.sub(rb"127\.0\.0\.1:\d+", b"upstream", TRACE_LINE.sub(b"", bytes(s)))
            for s in heard[t].streams) for t in (False, True)]
        self.assertEqual([s[:300] for s in set(traced) ^ set(bare)], [])

    def test_what_a_server_is_handed(self):
        port = free_port()
        process = self.start(target("byte_sink"), port).wait_for_port(port)
        rewritten = 0
        for name, message in self.messages.items():
            for _ in range(6 if name in REQUESTS and len(message) < 70000 else 1):
                handed = converse(port, message, self.cuts[name])
                self.assertEqual(TRACE_LINE.sub(b"", handed), TRACE_LINE.sub(b"", message), name)
                if name in UNTOUCHABLE:
                    self.assertEqual(handed, message, name)
                rewritten += handed != message
        self.assertGreater(rewritten, 200)
        process.stop()
        self.check_spans(process.spans)


class HostileServers(EndToEndTestCase):
    def setUp(self):
        super().setUp()
        messages = {**RESPONSES, **mutations(seeded_random(), RESPONSES, MUTATIONS)}
        self.names = list(messages)
        self.nasty = NastyServer(messages.values())
        self.addCleanup(self.nasty.close)

    def run_all(self, command, traced):
        """Runs command(n) until all messages were asked for: some answers make a client give up.
        Returns (status, stderr, stdout) of each, the bytes that were heard, and the spans."""
        ends, heard, spans = [], {}, []
        while len(heard) < len(self.names):
            process = self.start(*command(len(heard)), traced=traced)
            ends.append((process.wait(None), process.stderr, process.stdout))
            new = self.nasty.take()
            self.assertEqual(sorted(new), list(range(len(heard), len(heard) + len(new))))
            self.assertTrue(new, ends[-1])
            heard.update(new)
            if traced:
                self.check_spans(process.spans)
                spans += process.spans.where(kind="client")
        return ends, heard, spans

    def compare(self, command):
        bare, bare_heard, _ = self.run_all(command, traced=False)
        traced, traced_heard, spans = self.run_all(command, traced=True)
        self.assertEqual([end[:2] for end in traced], [end[:2] for end in bare])
        for (_, _, want), (_, _, got) in zip(bare, traced):
            different = [pair for pair in zip(want.split(b"\n"), got.split(b"\n"))
                         if pair[0] != pair[1]]
            self.assertEqual(different[:3], [])
        self.assertEqual({self.names[n]: (data, bare_heard[n]) for n, data in traced_heard.items()
                          if bare_heard[n] != data}, {})
        self.assertEqual(len(spans), len(self.names))

    def test_curl(self):
        need("curl")
        # An address each, so that no connection is used twice.
        urls = [f"http://127.1.{n // 250}.{n % 250 + 1}:{self.nasty.port}/{n}"
                for n in range(len(self.names))]
        self.compare(lambda first: (
            "curl", "-sS", "-i", "--max-time", "60", "-w",
            "\n<%{exitcode} %{http_code} %{size_download} %{errormsg}>\n", *urls[first:]))

    def test_python(self):
        self.compare(lambda first: (PYTHON, "-B", APPS / "ask.py", self.nasty.port,
                                    len(self.names)))

    def test_nginx(self):
        heard = []
        answers = []
        for traced in (False, True):
            port, process = self.nginx(self.nasty.port, traced=traced)
            answers.append([self.forwarded(port, n) for n in range(len(self.names))])
            process.stop(signal.SIGQUIT, expect=0)
            heard.append(self.nasty.take())
        for n, name in enumerate(self.names):
            self.assertEqual(answers[1][n], answers[0][n], name)
            self.assertEqual(heard[1].get(n), heard[0].get(n), name)
        self.check_spans(process.spans)

    @staticmethod
    def forwarded(port, n):
        return converse(port, f"GET /app/{n} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())


if __name__ == "__main__":
    main()
