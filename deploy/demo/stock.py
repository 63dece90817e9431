# SPDX-License-Identifier: Apache-2.0
"""The demo's inner service, with nothing but the standard library: how many are in stock?"""
import http.server
import json
import sys

STOCK = {"tea": 12, "coffee": 3}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one write; two would wait for each other (Nagle)

    def do_GET(self):
        item = self.path.rpartition("/")[2]
        if item == "unicorn":
            self.answer(500, {"error": "the unicorn shelf is broken"})
        else:
            self.answer(200, {"item": item, "in_stock": STOCK.get(item, 0)})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
