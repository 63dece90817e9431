# SPDX-License-Identifier: Apache-2.0
"""A threaded service of the standard library: python_service.py PORT DOWNSTREAM_PORT CLIENT.
/call/<n> asks the downstream for /down/<n> by the named client (urllib, http.client, requests) and
a thread of its own calls /background all the time, which is nobody's child. /headers tells what the
program was handed. /echo gives a body back. With SERVICE_TLS=<folder of cert.pem and key.pem> all
of that is said inside TLS."""
import http.client
import http.server
import os
import socketserver
import ssl
import sys
import threading
import urllib.request

PORT, DOWNSTREAM, CLIENT = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
FOLDER = os.environ.get("SERVICE_TLS")
CERTIFICATE = f"{FOLDER}/cert.pem" if FOLDER else None
TLS = ssl.create_default_context(cafile=CERTIFICATE) if FOLDER else None
local = threading.local()


def call(path):
    url = f"{'https' if TLS else 'http'}://127.0.0.1:{DOWNSTREAM}{path}"
    if CLIENT == "urllib":
        with urllib.request.urlopen(url, context=TLS) as answer:
            return answer.read()
    if CLIENT == "requests":
        import requests
        if not hasattr(local, "session"):
            local.session = requests.Session()
            local.session.trust_env = False  # REQUESTS_CA_BUNDLE would win
            local.session.verify = CERTIFICATE or True
        return local.session.get(url, timeout=60).content
    if not hasattr(local, "connection"):
        local.connection = (
            http.client.HTTPSConnection("127.0.0.1", DOWNSTREAM, context=TLS) if TLS
            else http.client.HTTPConnection("127.0.0.1", DOWNSTREAM))
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

    def handle_error(self, request, client_address):
        if not TLS:  # a peer that goes away in the middle of a handshake is no news
            super().handle_error(request, client_address)


def background():
    while True:
        call("/background")
        threading.Event().wait(0.005)


server = Server(("127.0.0.1", PORT), Handler)
if TLS:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, f"{FOLDER}/key.pem")
    # The handshake is the handler thread's: nobody holds up the thread that accepts.
    server.socket = context.wrap_socket(server.socket, server_side=True,
                                        do_handshake_on_connect=False)
if "background" in sys.argv:
    threading.Thread(target=background, daemon=True).start()
server.serve_forever()
