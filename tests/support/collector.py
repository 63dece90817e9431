#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A collector that behaves as a test wants it to: OTLP/HTTP traces, well or badly.

    collector.py [--port N] [--host ADDR] [--mode MODE[,MODE...]] [--record FILE] [--bodies DIR]
                 [--retry-after SECONDS] [--rejected N] [--message TEXT]

Prints the port it listens on as its first line on stdout, then serves until it is killed or its
stdin reaches the end (so that it ends with the test that started it; --keep ignores stdin).

Modes. A list is gone through request by request, the last one stays: "503,503,200" fails twice.
    200         accepts (empty ExportTraceServiceResponse, or {} for JSON)
    400         refuses, with a google.rpc.Status
    404 413 ... any other status, with a text of its own
    429 503     as 400, with Retry-After: SECONDS where --retry-after is given
    302         redirects to itself
    partial     200 with partial_success: --rejected spans, --message
    garbage     200, and a body that is neither protobuf nor JSON, labelled protobuf
    html        200 and a web page
    flood       200 and a body without an end
    hang        reads the request and never answers
    close       reads the request and closes the connection
    reset       reads the request and resets the connection

While it runs:
    GET  /requests     how many POSTs came, as a number
    GET  /spans        how many spans were accepted (modes 200, partial, garbage, html, flood)
    POST /mode/MODES   changes the mode

--record FILE   one JSON line per POST: {"path", "content_type", "headers", "mode", "size",
                "request"}. "request" is the export request in the OTLP/JSON mapping (hexadecimal
                ids, 64-bit integers as strings, enums as numbers), from either encoding. Reading
                protobuf needs protoc and python3-protobuf; without them "request" is null and
                "undecoded" says why.
--bodies DIR    every body as it came: DIR/00001, DIR/00002, ...
"""
import argparse
import base64
import gzip
import http.server
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

PROTO_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "otlp")
PROTO_FILE = "trace_service.proto"
PROTO_PACKAGE = "remora.test.otlp."
ACCEPTING = ("200", "partial", "garbage", "html", "flood")


class Decoder:
    """Reads protobuf export requests with Google's implementation and the .proto beside us."""

    def __init__(self):
        self.problem = None
        try:
            self._load()
        except Exception as error:  # protoc or the module is missing: say so in every record
            self.problem = str(error)

    def _load(self):
        from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

        with tempfile.NamedTemporaryFile() as output:
            subprocess.run(["protoc", "-I", PROTO_FOLDER, "--descriptor_set_out=" + output.name,
                            PROTO_FILE], check=True)
            files = descriptor_pb2.FileDescriptorSet.FromString(output.read())
        pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            pool.Add(file)
        self._pool = pool
        self._factory = message_factory.MessageFactory(pool)
        self._json_format = json_format

    def message(self, name):
        descriptor = self._pool.FindMessageTypeByName(PROTO_PACKAGE + name)
        return self._factory.GetPrototype(descriptor)

    def request(self, body):
        parsed = self.message("ExportTraceServiceRequest").FromString(body)
        return with_hex_ids(self._json_format.MessageToDict(parsed, use_integers_for_enums=True))


def with_hex_ids(value):
    """Protobuf's JSON writes bytes as base64; OTLP's wants ids in hexadecimal."""
    if isinstance(value, list):
        return [with_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {key: base64.b64decode(item).hex() if key in ids else with_hex_ids(item)
            for key, item in value.items()}


def count_spans(request):
    if isinstance(request, list):  # Zipkin
        return len(request)
    return sum(len(scope.get("spans", [])) for group in (request or {}).get("resourceSpans", [])
               for scope in group.get("scopeSpans", []))


def varint(number):
    out = bytearray()
    while True:
        out.append(number & 0x7F | (0x80 if number > 0x7F else 0))
        number >>= 7
        if number == 0:
            return bytes(out)


def text_field(tag, data):
    return varint(tag << 3 | 2) + varint(len(data)) + data


class State:
    def __init__(self, options):
        self.options = options
        self.lock = threading.Lock()
        self.modes = options.mode.split(",")
        self.requests = 0
        self.spans = 0
        self.decoder = Decoder()
        self.record = open(options.record, "a", encoding="utf-8") if options.record else None
        if options.bodies:
            os.makedirs(options.bodies, exist_ok=True)

    def next_mode(self):
        with self.lock:
            return self.modes.pop(0) if len(self.modes) > 1 else self.modes[0]

    def received(self, handler, mode, body):
        entry = {"path": handler.path, "content_type": handler.headers.get("Content-Type", ""),
                 "headers": {name.lower(): value for name, value in handler.headers.items()},
                 "mode": mode, "size": len(body), "request": None}
        if handler.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        try:
            if "json" in entry["content_type"]:
                entry["request"] = json.loads(body)
            elif self.decoder.problem is None:
                entry["request"] = self.decoder.request(body)
            else:
                entry["undecoded"] = self.decoder.problem
        except Exception as error:
            entry["undecoded"] = str(error)
        with self.lock:
            self.requests += 1
            if mode in ACCEPTING:
                self.spans += count_spans(entry["request"])
            if self.options.bodies:
                with open(os.path.join(self.options.bodies, "%05d" % self.requests), "wb") as file:
                    file.write(body)
            if self.record:
                self.record.write(json.dumps(entry) + "\n")
                self.record.flush()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        known = {"/requests": self.state.requests, "/spans": self.state.spans}
        if self.path in known:
            self.answer(200, "text/plain", str(known[self.path]).encode())
        else:
            self.answer(404, "text/plain", b"no such page\n")

    def do_POST(self):
        body = self.read_body()
        if self.path.startswith("/mode/"):
            with self.state.lock:
                self.state.modes = self.path[len("/mode/"):].split(",")
            self.answer(200, "text/plain", b"")
            return
        mode = self.state.next_mode()
        self.state.received(self, mode, body)
        self.json = "json" in self.headers.get("Content-Type", "")
        getattr(self, "mode_" + mode, lambda: self.refuse(int(mode)))()

    def read_body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return body

    def answer(self, status, content_type, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_otlp(self, status, as_json, as_protobuf, headers=()):
        if self.json:
            self.answer(status, "application/json", json.dumps(as_json).encode(), headers)
        else:
            self.answer(status, "application/x-protobuf", as_protobuf, headers)

    def refuse(self, status):
        text = self.state.options.message or "refused with %d" % status
        headers = []
        if self.state.options.retry_after is not None and status in (429, 503):
            headers.append(("Retry-After", self.state.options.retry_after))
        self.answer_otlp(status, {"code": 3, "message": text},
                         varint(1 << 3) + varint(3) + text_field(2, text.encode()), headers)

    def mode_200(self):
        self.answer_otlp(200, {}, b"")

    def mode_302(self):
        self.answer(302, "text/plain", b"", [("Location", "/elsewhere")])

    def mode_partial(self):
        options = self.state.options
        text = options.message or "some spans were refused"
        inner = varint(1 << 3) + varint(options.rejected) + text_field(2, text.encode())
        self.answer_otlp(200, {"partialSuccess": {"rejectedSpans": str(options.rejected),
                                                  "errorMessage": text}}, text_field(1, inner))

    def mode_garbage(self):
        self.answer(200, "application/x-protobuf", bytes(range(255, 0, -1)))

    def mode_html(self):
        self.answer(200, "text/html", b"<html><body>It works!</body></html>")

    def mode_flood(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                self.wfile.write(b"\0" * 65536)
        except OSError:
            pass

    def mode_hang(self):
        # Until the peer gives up: a read returns when it closes.
        self.close_connection = True
        try:
            self.connection.recv(1)
        except OSError:
            pass

    def mode_close(self):
        self.close_connection = True

    def mode_reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # peers that go away are part of the tests


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--mode", default="200")
    parser.add_argument("--record")
    parser.add_argument("--bodies")
    parser.add_argument("--retry-after")
    parser.add_argument("--rejected", type=int, default=1)
    parser.add_argument("--message")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    Handler.state = State(options)
    server = Server((options.host, options.port), Handler)
    print(server.server_address[1], flush=True)
    if options.keep:
        server.serve_forever()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while sys.stdin.buffer.read(4096):
        pass


if __name__ == "__main__":
    main()
