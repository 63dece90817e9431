# SPDX-License-Identifier: Apache-2.0
"""Peers of a traced program that keep every byte: a server, a proxy, and HTTP heads taken apart.
What they keep is what was said inside TLS, where they speak that (`tls`: an ssl.SSLContext)."""
import random
import re
import socket
import threading

TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def free_port():
    """A port for a server that is started a moment later. Below the range from which the kernel
    takes ports for outgoing connections: tests that run at the same time make many of those."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            pass


class Exchange:
    """One request as it came over the wire."""

    def __init__(self, head, body):
        self.head = head  # with the blank line
        self.body = body
        self.line = head.split(b"\r\n", 1)[0].decode("latin-1")
        self.fields = [tuple(part.strip() for part in line.split(b":", 1))
                       for line in head.split(b"\r\n")[1:-2]]

    def values(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower().encode()]

    @property
    def path(self):
        return self.line.split(" ")[1]

    def traceparent(self):
        """(trace id, span id, flags) of the one traceparent line, None where there is none."""
        lines = self.values("traceparent")
        assert len(lines) <= 1, f"{len(lines)} traceparent lines in {self.head!r}"
        if not lines:
            return None
        match = TRACEPARENT.fullmatch(lines[0])
        assert match, f"malformed traceparent {lines[0]!r}"
        return tuple(g.decode() for g in match.groups())


def strip_traceparent(stream):
    """A byte stream without the lines that Remora adds."""
    return re.sub(rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\r\n", b"", stream)


def mask_traceparent(stream):
    """A byte stream with the ids of its trace headers blanked: what is left must not differ."""
    return TRACEPARENT.sub(b"00-" + b"x" * 32 + b"-" + b"y" * 16 + b"-zz", stream)


def read_request(file):
    """Reads one request from a buffered binary file. None at its end. Returns it and its bytes."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = file.readline()
        if not line:
            return None, head
        head += line
    length = re.search(rb"(?im)^content-length: *(\d+)\r$", head)
    if re.search(rb"(?im)^transfer-encoding: *chunked\r$", head):
        body, raw = _read_chunked(file)
    else:
        raw = body = file.read(int(length[1])) if length else b""
    return Exchange(head, body), head + raw


def _read_chunked(file):
    body = raw = b""
    while True:
        line = file.readline()
        size = int(line.split(b";")[0], 16)
        data = file.read(size + 2) if size else b""
        body += data[:size]
        raw += line + data
        if size == 0:
            while line and line != b"\r\n":
                line = file.readline()
                raw += line
            return body, raw


def response(body=b"ok\n", status="200 OK", headers=()):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class RecordingServer:
    """Answers HTTP/1.1 requests and keeps what came: .requests (in order of arrival), .streams (the
    raw bytes of each connection). `answer` makes a response's bytes from an Exchange; None closes.
    """

    def __init__(self, answer=lambda request: response(), address=("127.0.0.1", 0), tls=None):
        self.requests = []
        self.streams = []
        self._answer = answer
        self._tls = tls
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self._listener = socket.socket(family)
        self._listener.bind(address)
        self._listener.listen(256)
        self.port = None if family == socket.AF_UNIX else self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path="/"):
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}{path}"

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        if self._tls:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:  # a client that only looks whether somebody listens, or mistrusts us
                connection.close()
                return
        stream = bytearray()
        self.streams.append(stream)
        with connection, connection.makefile("rb") as file:
            try:
                while True:
                    request, raw = read_request(file)
                    stream += raw
                    if request is None:
                        return
                    self.requests.append(request)
                    if request.values("expect"):
                        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    answer = self._answer(request)
                    if answer is None:
                        return
                    connection.sendall(answer)
                    closes = (b"connection: close" in answer.lower().split(b"\r\n\r\n")[0]
                              or b"close" in [v.lower() for v in request.values("connection")]
                              or request.line.endswith("HTTP/1.0"))
                    if closes:
                        if self._tls:
                            connection.unwrap()  # an end of the stream that is no truncation
                        return
            except OSError:
                pass

    def take(self):
        """What has come since the last call: (requests, streams)."""
        taken = self.requests, self.streams
        self.requests, self.streams = [], []
        return taken

    def close(self):
        self._listener.close()


class RecordingProxy:
    """Stands between a client and the server on `port` and keeps what each of them sent:
    .sent and .received, one entry a connection, as the client sees it. With `tls` the client speaks
    TLS to us, and the server does not."""

    def __init__(self, port, tls=None):
        self.sent = []
        self.received = []
        self._target = port
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
                if self._tls:
                    client = self._tls.wrap_socket(client, server_side=True)
            except OSError:
                client.close()
                continue
            for log, a, b in ((self.sent, client, server), (self.received, server, client)):
                stream = bytearray()
                log.append(stream)
                threading.Thread(target=self._pump, args=(stream, a, b), daemon=True).start()

    @staticmethod
    def _pump(stream, source, target):
        try:
            while data := source.recv(65536):
                stream += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            target.close()

    def close(self):
        self._listener.close()


def converse(port, stream, close_write=False, tls=None):
    """Sends bytes to a server, returns all that comes back until it closes. Proxies take an early
    close_write for an abort: let the last request ask for the close instead. tls: a client's
    ssl.SSLContext."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    if tls:
        connection = tls.wrap_socket(connection, server_hostname="127.0.0.1")
    with connection as s:
        s.sendall(stream)
        if close_write:
            s.shutdown(socket.SHUT_WR)
        received = b""
        while data := s.recv(65536):
            received += data
        return received
