# SPDX-License-Identifier: Apache-2.0
"""A small service of the standard library: server.py PORT [threads|forks] [daemon] [down=PORT].

    /spawn      runs /bin/echo, answers with what that printed on both streams
    /call/x     asks the downstream for /down/x, answers with its body
    /hang       never answers
    /quit       answers, and ends the process by os._exit(7)
    any other   answers with the path

"daemon": detaches twice, as daemons do, before it listens.
"""
import http.server
import os
import socketserver
import subprocess
import sys
import threading
import urllib.request

PORT = int(sys.argv[1])
WORDS = sys.argv[2:]
DOWN = next((w[5:] for w in WORDS if w.startswith("down=")), None)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one call: no waiting for delayed acknowledgements

    def do_GET(self):
        if self.path == "/hang":
            threading.Event().wait()
        elif self.path == "/spawn":
            body = subprocess.run(["/bin/echo", "spawned"], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, check=True).stdout
        elif self.path.startswith("/call/"):
            url = f"http://127.0.0.1:{DOWN}{self.path.replace('call', 'down')}"
            with urllib.request.urlopen(url) as answer:
                body = answer.read()
        else:
            body = self.path.encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.path == "/quit":
            self.wfile.flush()
            os._exit(7)

    def log_message(self, *args):
        pass


MixIn = socketserver.ForkingMixIn if "forks" in WORDS else socketserver.ThreadingMixIn


class Server(MixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256
    max_children = 1000


def become_daemon():
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    null = os.open("/dev/null", os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.closerange(3, 256)


if "daemon" in WORDS:
    become_daemon()
Server(("127.0.0.1", PORT), Handler).serve_forever()
