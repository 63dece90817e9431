# SPDX-License-Identifier: Apache-2.0
"""A threaded service of the standard library: python_service.py PORT DOWNSTREAM_PORT CLIENT.
/call/<n> asks the downstream for /down/<n> by the named client (urllib, http.client, requests) and
a thread of its own calls /background all the time, which is nobody's child. /headers tells what the
program was handed. /echo gives a body back."""
import http.client
import http.server
import socketserver
import sys
import threading
import urllib.request

PORT, DOWNSTREAM, CLIENT = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
local = threading.local()


def call(path):
    url = f"http://127.0.0.1:{DOWNSTREAM}{path}"
    if CLIENT == "urllib":
        with urllib.request.urlopen(url) as answer:
            return answer.read()
    if CLIENT == "requests":
        import requests
        if not hasattr(local, "session"):
            local.session = requests.Session()
        return local.session.get(url, timeout=60).content
    if not hasattr(local, "connection"):
        local.connection = http.client.HTTPConnection("127.0.0.1", DOWNSTREAM)
    local.connection.request("GET", path)
    return local.connection.getresponse().read()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/call/"):
            body = call(self.path.replace("call", "down"))
        elif self.path == "/headers":
            body = str(self.headers).encode()
        elif self.path == "/fail":
            raise RuntimeError("as asked")
        else:
            body = b"hello\n"
        self.answer(body)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256


def background():
    while True:
        call("/background")
        threading.Event().wait(0.005)


server = Server(("127.0.0.1", PORT), Handler)
if "background" in sys.argv:
    threading.Thread(target=background, daemon=True).start()
server.serve_forever()
