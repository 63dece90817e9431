# SPDX-License-Identifier: Apache-2.0
"""mirror.py PORT: an http.server that answers every request with what the library made of it, but for
the trace headers."""
import http.server
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.mirror
        raise AttributeError(name)

    def mirror(self):
        fields = [(n, v) for n, v in self.headers.items()
                  if n.lower() not in ("traceparent", "tracestate")]
        try:
            size = min(max(int(self.headers.get("Content-Length", 0)), 0), 100_000)
        except ValueError:
            size = 0
        read = len(self.rfile.read(size))
        body = repr((self.command, self.path, self.request_version, fields,
                     self.headers.defects, read)).encode("utf-8", "surrogateescape")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp=None):
        return "now"

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer.request_queue_size = 256
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
