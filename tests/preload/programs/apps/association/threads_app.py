# SPDX-License-Identifier: Apache-2.0
"""http.server with a thread for each connection; every call by a pool that all share (with `multi`
multiprocessing's), or with `own` by the thread itself. Clients: urllib and http.client in turn."""
import concurrent.futures
import http.client
import http.server
import multiprocessing.pool
import os
import sys
import time
import urllib.request

from shared import PORT, background_thread, moment, paths

pool = (multiprocessing.pool.ThreadPool(16) if "multi" in sys.argv
        else concurrent.futures.ThreadPoolExecutor(16))


def ask(url):
    time.sleep(moment())
    if url.endswith("1"):
        connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["DOWNSTREAM_PORT"]))
        connection.request("GET", url[url.index("/down"):])
        connection.getresponse().read()
        connection.close()
    else:
        urllib.request.urlopen(url).read()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        n = self.path.rsplit("/", 1)[1]
        if "own" in sys.argv:
            for url in paths(n):
                ask(url)
        else:
            list(pool.map(ask, paths(n)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512


background_thread()
Server(("127.0.0.1", PORT), Handler).serve_forever()
