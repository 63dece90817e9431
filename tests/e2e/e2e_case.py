# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: servers of several kinds, load on them, peers that misbehave."""
import http.client
import itertools
import os
import pathlib
import re
import select
import socket
import sys
import threading
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
# pylint: disable=wrong-import-position,unused-import
import remora_test  # noqa: E402
from remora_test import (BUILD, PATIENCE, PYTHON, converse, free_port, main,  # noqa: E402,F401
                         mask_traceparent, need, response, seeded_random, strip_traceparent,
                         wait_until)

APPS = HERE / "apps"
REMORA = BUILD / "remora"
NGINX = """{user}
daemon {daemon};
worker_processes {workers};
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=511;
        root {dir}/www;
        location / {{ return 200 "$request_uri\\n"; }}
        location /file {{ }}
        location /app {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_ignore_client_abort on;
        }}
    }}
}}
"""


def target(name):
    """A program of tests/targets."""
    return BUILD / "targets" / name


def need_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")


def programs_of(process):
    """Process ids of what runs in the session of a traced Process, orphans too, but not Remora
    itself and its helper."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == process.popen.pid and state not in "ZX" \
                    and os.readlink(entry / "exe") != str(REMORA):
                found.append(int(entry.name))
        except (OSError, ValueError):
            pass  # gone
    return found


class Load:
    """Clients that ask for /0, /1, ... over kept connections, each path once, until stop() or until
    nobody answers. .complete: the numbers whose answer came in full; .wrong: answers that are not
    the body which `body` says."""

    def __init__(self, port, connections=8, path="/{}", body=lambda n: f"/{n}\n".encode()):
        self.complete = []
        self.wrong = []
        self._port, self._path, self._body = port, path, body
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(connections)]
        for thread in self._threads:
            thread.start()

    def _work(self):
        while not self._stop.is_set():
            client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
            try:
                client.connect()
            except OSError:
                return
            try:
                self._ask(client)
            except (OSError, http.client.HTTPException):
                pass  # cut off in the middle: that one does not count
            finally:
                client.close()

    def _ask(self, client):
        while not self._stop.is_set():
            n = next(self._numbers)
            client.request("GET", self._path.format(n))
            answer = client.getresponse()
            body = answer.read()
            self.complete.append(n)
            if answer.status != 200 or body != self._body(n):
                self.wrong.append((n, answer.status, body))
            if answer.will_close:
                return

    def wait(self, count):
        goal = len(self.complete) + count
        wait_until(lambda: len(self.complete) >= goal, f"{count} more answers")
        return self

    def stop(self):
        self._stop.set()
        return self.join()

    def join(self):
        for thread in self._threads:
            thread.join()
        return self


class SilentServer:
    """Accepts, and never answers."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)

    def requests(self):
        """How many connections hold a request."""
        return len(select.select(self.connections, [], [], 0)[0])

    def close(self):
        self._listener.close()
        for connection in self.connections:
            connection.close()


class EndToEndTestCase(remora_test.TestCase):
    def python_server(self, *arguments, **options):
        """apps/server.py; see there for its paths."""
        port = free_port()
        process = self.start(PYTHON, "-B", APPS / "server.py", port, *arguments, **options)
        return port, process.wait_for_port(port)

    def nginx_config(self, port, upstream, workers=1, daemon="off"):
        need("nginx")
        user = "user root;" if os.getuid() == 0 else ""
        return self.file("nginx.conf", NGINX.format(
            dir=self.directory, port=port, upstream=upstream, daemon=daemon, workers=workers,
            user=user))

    def nginx(self, upstream=1, workers=1, daemon="off", port=None, **options):
        port = port or free_port()
        config = self.nginx_config(port, upstream, workers, daemon)
        process = self.start("nginx", "-e", self.directory / "error.log", "-c", config, **options)
        if daemon == "off":
            process.wait_for_port(port)
        return port, process

    def cpp_server(self, downstream=1, **options):
        port = free_port()
        process = self.start(target("thread_service"), port, downstream, "send", **options)
        return port, process.wait_for_port(port)

    def silent_server(self):
        server = SilentServer()
        self.addCleanup(server.close)
        return server

    def assert_all_served(self, load, spans):
        """Every request that was answered in full has exactly one server span."""
        self.assertEqual(load.wrong, [])
        served = [int(s["url.path"][1:]) for s in spans.where(kind="server")
                  if re.fullmatch(r"/\d+", s["url.path"])]
        self.assertEqual(len(served), len(set(served)), "a request has two spans")
        missing = sorted(set(load.complete) - set(served))
        self.assertEqual((len(missing), missing[:10]), (0, []), "answered, and without a span")


def get(path, headers="", close=True):
    last = "Connection: close\r\n" if close else ""
    return f"GET {path} HTTP/1.1\r\nHost: box\r\n{headers}{last}\r\n".encode()


def body_of(answer):
    return answer.partition(b"\r\n\r\n")[2]


def fetch(port, path="/0", headers=""):
    """The body of one answer, from a connection of its own."""
    return body_of(converse(port, get(path, headers)))
