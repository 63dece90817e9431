#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A collector for OTLP over gRPC that behaves as a test wants it to, well or badly.

    grpc_collector.py [--mode MODE[,MODE...]] [--record FILE] [--unix PATH] [--retry-after SECONDS]
                      [--rejected N] [--message TEXT] [--delay SECONDS]

Prints its port (of --unix: 1) as the first line on stdout and serves until its stdin ends. A list of
modes is gone through call by call, the last one stays.

Served by python3-grpcio, with Google's decoder:
    OK          accepts
    partial     accepts with partial_success: --rejected spans, --message
    hang        reads the request and never answers
    UNAVAILABLE, INVALID_ARGUMENT ...   fails with this code and --message; with --retry-after the
                status has google.rpc.RetryInfo
Where the first mode begins with "raw-", by a few lines of HTTP/2 of our own, which break it:
    raw-ok          answers as it should, in frames of our own
    raw-unframed    a message without its length
    raw-short       a message shorter than its length
    raw-nostatus    trailers without grpc-status
    raw-notrailers  ends after the message
    raw-badstatus   a status that is no number
    raw-reset       RST_STREAM (INTERNAL_ERROR) instead of an answer
    raw-goaway      GOAWAY before an answer
    raw-close       closes the connection instead of an answer
    raw-flood       a message without an end
    raw-frames      bytes that are no HTTP/2 frames
    raw-http1       an HTTP/1.1 answer to the first bytes
    raw-503         HTTP status 503 and no gRPC

--record FILE   one JSON line per call: {"mode", "request", "peer", "metadata", "size"}
"""
import argparse
import concurrent.futures
import json
import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from collector import Decoder, text_field, varint  # noqa: E402

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Calls:
    """Which mode is next, and what came."""

    def __init__(self, options):
        self.options = options
        self.lock = threading.Lock()
        self.modes = options.mode.split(",")
        self.decoder = Decoder()
        self.record = open(options.record, "a", encoding="utf-8") if options.record else None
        self.running = 0

    def next_mode(self):
        with self.lock:
            return self.modes.pop(0) if len(self.modes) > 1 else self.modes[0]

    def received(self, mode, message, peer="", metadata=None):
        entry = {"mode": mode, "size": len(message), "peer": peer, "metadata": metadata or {},
                 "request": None, "running": self.running}
        if self.decoder.problem is None:
            entry["request"] = self.decoder.request(message)
        else:
            entry["undecoded"] = self.decoder.problem
        with self.lock:
            if self.record:
                self.record.write(json.dumps(entry) + "\n")
                self.record.flush()


def retry_info(code, message, seconds):
    """google.rpc.Status with one detail, written by hand: Debian has no googleapis module."""
    whole, nanos = int(seconds), int(seconds % 1 * 1e9)
    duration = varint(1 << 3) + varint(whole) + varint(2 << 3) + varint(nanos)
    detail = (text_field(1, b"type.googleapis.com/google.rpc.RetryInfo") +
              text_field(2, text_field(1, duration)))
    other = text_field(1, b"type.googleapis.com/google.rpc.Help") + text_field(2, b"\xff")
    return (varint(1 << 3) + varint(code) + text_field(2, message.encode()) +
            text_field(3, other) + text_field(3, detail))


def serve_grpc(calls):
    import grpc
    options = calls.options

    def export(message, context):
        mode = calls.next_mode()
        with calls.lock:
            calls.running += 1
        calls.received(mode, message, context.peer(), dict(
            (key, value) for key, value in context.invocation_metadata()
            if isinstance(value, str)))
        time.sleep(options.delay)
        with calls.lock:
            calls.running -= 1
        if mode == "OK":
            return b""
        text = options.message or "refused with " + mode
        if mode == "partial":
            return text_field(1, varint(1 << 3) + varint(options.rejected) +
                              text_field(2, text.encode()))
        if mode == "hang":
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait()
            return b""
        code = grpc.StatusCode[mode]
        if options.retry_after is not None:
            context.set_trailing_metadata((("grpc-status-details-bin", retry_info(
                code.value[0], text, options.retry_after)),))
        context.abort(code, text)

    class Service(grpc.GenericRpcHandler):
        def service(self, call):
            if call.method != METHOD:
                return None  # UNIMPLEMENTED
            return grpc.unary_unary_rpc_method_handler(export)

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), handlers=[Service()],
                         options=[("grpc.so_reuseport", 0)])
    if options.unix:
        port = server.add_insecure_port("unix:" + options.unix)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    calls.server = server  # it ends with its last reference
    return port


# --- HTTP/2 by hand (RFC 9113), just enough to answer one call on a connection wrongly -----------
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + \
        struct.pack(">I", stream) + payload


def fields(*pairs):
    """RFC 7541, 6.2.2: literals with new names, neither indexed nor compressed."""
    return b"".join(b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) +
                    value.encode() for name, value in pairs)


class RawConnection:
    def __init__(self, connection, calls):
        self.connection = connection
        self.file = connection.makefile("rb")
        self.calls = calls

    def exactly(self, count):
        data = self.file.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def serve(self):
        try:
            if self.calls.modes[0] == "raw-http1":
                self.calls.next_mode()
                self.exactly(24)
                self.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                return
            self.exactly(24)  # the preface
            self.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 24)))
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 24)))
            while self.call():
                pass
        except (EOFError, OSError):
            pass
        finally:
            self.file.close()
            self.connection.close()

    def send(self, data):
        self.connection.sendall(data)

    def call(self):
        body = b""
        while True:
            head = self.exactly(9)
            size = int.from_bytes(head[:3], "big")
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            payload = self.exactly(size)
            if kind == SETTINGS and not flags & 1:
                self.send(frame(SETTINGS, 1, 0))
            elif kind == PING and not flags & 1:
                self.send(frame(PING, 1, 0, payload))
            elif kind == DATA:
                body += payload
                if flags & END_STREAM:
                    mode = self.calls.next_mode()
                    self.calls.received(mode, body[5:])
                    return getattr(self, mode.replace("-", "_"))(stream)

    def answer(self, stream, body, trailers=(("grpc-status", "0"),), status="200"):
        self.send(frame(HEADERS, END_HEADERS, stream,
                        fields((":status", status), ("content-type", "application/grpc"))))
        self.send(frame(DATA, 0 if trailers is not None else END_STREAM, stream, body))
        if trailers is not None:
            self.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, fields(*trailers)))
        return True

    def raw_ok(self, stream):
        return self.answer(stream, b"\0\0\0\0\0")

    def raw_unframed(self, stream):
        return self.answer(stream, b"\x0a\x02\x08\x01")

    def raw_short(self, stream):
        return self.answer(stream, b"\0\0\0\0\x10\x0a\x00")

    def raw_nostatus(self, stream):
        return self.answer(stream, b"\0\0\0\0\0", (("x-other", "1"),))

    def raw_notrailers(self, stream):
        return self.answer(stream, b"\0\0\0\0\0", None)

    def raw_badstatus(self, stream):
        return self.answer(stream, b"\0\0\0\0\0", (("grpc-status", "fine"),))

    def raw_503(self, stream):
        return self.answer(stream, b"away", None, "503")

    def raw_reset(self, stream):
        self.send(frame(RST_STREAM, 0, stream, struct.pack(">I", 2)))
        return True

    def raw_goaway(self, _):
        self.send(frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0)))
        return False

    def raw_close(self, _):
        return False

    def raw_frames(self, _):
        self.send(bytes(range(255, 0, -1)) * 20)
        return False

    def raw_flood(self, stream):
        self.send(frame(HEADERS, END_HEADERS, stream,
                        fields((":status", "200"), ("content-type", "application/grpc"))))
        for _ in range(1024):
            self.send(frame(DATA, 0, stream, b"\0" * 16384))
        return False


def serve_raw(calls):
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=RawConnection(connection, calls).serve, daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", default="OK")
    parser.add_argument("--record")
    parser.add_argument("--unix")
    parser.add_argument("--retry-after", type=float)
    parser.add_argument("--rejected", type=int, default=1)
    parser.add_argument("--message")
    parser.add_argument("--delay", type=float, default=0)
    calls = Calls(parser.parse_args())
    raw = calls.modes[0].startswith("raw-")
    try:
        print(serve_raw(calls) if raw else serve_grpc(calls), flush=True)
    except ImportError as error:
        sys.exit(f"needs python3-grpcio: {error}")
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)  # calls that hang are left


if __name__ == "__main__":
    main()
