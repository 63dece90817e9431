# SPDX-License-Identifier: Apache-2.0
"""How connections come about, and why they don't: slow lookups, slow accepts, slow handshakes,
refused, reset, unroutable, timed out. In a network of its own, with a name server of its own."""
import os
import pathlib
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

from e2e_case import PYTHON, EndToEndTestCase, main, need, response, wait_until
from name_server import NameServer
from remora_test import need_python

SLOW = 0.4  # seconds that something slow takes; asserted as a lower bound alone
HOST, HOST6 = "192.0.2.1", "2001:db8::1"
UNREACHABLE, NOWHERE = "198.51.100.1", "203.0.113.1"
NAMES = {
    "quick.test": (0, [HOST]),
    "slow.test": (SLOW, [HOST]),
    "both.test": (0, [HOST6, HOST]),  # nothing listens on the first
    "twins.test": (0, [HOST]),
    "dead.test": (0, [UNREACHABLE, NOWHERE]),
}
SETUP = f"""
set -e
ip link set lo up
ip addr add {HOST}/32 dev lo
ip addr add {HOST6}/128 dev lo nodad
ip route add unreachable {UNREACHABLE}
mount --make-rprivate /
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
"""


def unshared():
    """Runs this file again where the network and /etc are its own. Returns why that is not possible,
    or does not return."""
    if os.geteuid() != 0:
        return "needs root"
    need_all = subprocess.run(["unshare", "-n", "-m", "true"], stderr=subprocess.DEVNULL,
                              check=False)
    if need_all.returncode != 0:
        return "unshare -n -m is not allowed here"
    os.environ["REMORA_TEST_OWN_NETWORK"] = "1"
    os.execvp("unshare", ["unshare", "-n", "-m", sys.executable, "-B", *sys.argv])


class Peer:
    """An HTTP server by hand, which can be slow at each step."""

    def __init__(self, address=HOST, backlog=64, accept_after=None, reset=False, tls=None,
                 handshake_after=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.bind((address, 0))
        self.listener.listen(backlog)
        self.port = self.listener.getsockname()[1]
        self._fillers = []
        self._reset = reset
        self._tls, self._handshake_after = tls, handshake_after
        if accept_after is not None:
            self.fill(backlog)
        threading.Thread(target=self._serve, args=(accept_after,), daemon=True).start()

    def fill(self, backlog):
        """Until the kernel takes no more connections, so that the next one has to wait."""
        for _ in range(backlog + 8):
            filler = socket.socket(self.listener.family)
            filler.setblocking(False)
            filler.connect_ex(self.listener.getsockname())
            self._fillers.append(filler)
        time.sleep(0.05)

    def _serve(self, accept_after):
        if accept_after is not None:
            accept_after.wait()
            for filler in self._fillers:
                filler.close()
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client):
        if self._tls:
            time.sleep(self._handshake_after)
            try:
                client = self._tls.wrap_socket(client, server_side=True)
            except OSError:
                client.close()
                return
        with client:
            head = b""
            while True:
                try:
                    data = client.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                head += data
                while b"\r\n\r\n" in head:
                    _, _, head = head.partition(b"\r\n\r\n")
                    if self._reset:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          struct.pack("ii", 1, 0))
                        return
                    client.sendall(response(b"ok\n"))

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # or accept() keeps it
        except OSError:
            pass
        self.listener.close()
        for filler in self._fillers:
            filler.close()


class OpeningTest(EndToEndTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if "REMORA_TEST_OWN_NETWORK" not in os.environ:
            cls.skipTest(cls, cls.reason)

    def setUp(self):
        super().setUp()
        need("curl")

    def peer(self, *arguments, **options):
        peer = Peer(*arguments, **options)
        self.addCleanup(peer.close)
        return peer

    def curl(self, *arguments, expect=0):
        process = self.run_traced("curl", "-sS", "-o", "/dev/null", *arguments, expect=expect)
        self.assert_child(process.spans.one(kind="client"), process.spans.one(kind="internal"))
        return process.spans.one(kind="client")

    def python(self, code, *arguments, expect=0):
        script = self.file("client.py", code)
        return self.run_traced(PYTHON, "-B", script, *arguments, expect=expect).spans

    def test_a_quick_call(self):
        peer = self.peer()
        span = self.curl(f"http://quick.test:{peer.port}/")
        self.assertEqual(span.events, ("dns", "connect", "first_byte"))
        self.assertEqual(span.step("dns")["dns.question.name"], "quick.test")
        connect = span.step("connect")
        self.assertEqual(connect["network.peer.address"], HOST)
        self.assertEqual(connect["network.peer.port"], peer.port)
        self.assertEqual(span.status, "unset")

    def test_an_address_is_not_looked_up(self):
        span = self.curl(f"http://{HOST}:{self.peer().port}/")
        self.assertEqual(span.events, ("connect", "first_byte"))

    def test_slow_lookup(self):
        peer = self.peer()
        programs = {
            "curl": ("curl", "-sS"), "wget": ("wget", "-q", "-O-", "--no-proxy"),
            "python": (PYTHON, "-c", "import sys, urllib.request as u\nu.urlopen(sys.argv[1])"),
            "requests": (PYTHON, "-c", "import sys, requests as r\nr.get(sys.argv[1])"),
            "aiohttp": (PYTHON, "-c", AIOHTTP)}
        for name, command in programs.items():
            with self.subTest(program=name):
                if name in ("requests", "aiohttp"):
                    need_python(name)
                elif name != "python":
                    need(name)
                spans = self.run_traced(*command, f"http://slow.test:{peer.port}/").spans
                span = spans.one(kind="client")
                self.assertEqual(span.events, ("dns", "connect", "first_byte"))
                self.assertGreaterEqual(span.step("dns")["duration"], SLOW)
                self.assertGreaterEqual(span.end_ns - span.start_ns, SLOW * 1e9)

    def test_slow_accept(self):
        for client in (self.curl, self.blocking_client):
            with self.subTest(client=client.__name__):
                accept = threading.Event()
                peer = self.peer(backlog=0, accept_after=accept)
                threading.Timer(SLOW, accept.set).start()
                span = client(f"http://quick.test:{peer.port}/")
                self.assertEqual(span.events, ("dns", "connect", "first_byte"))
                self.assertGreaterEqual(span.step("connect")["duration"], SLOW / 2)

    def blocking_client(self, url, expect=0):
        return self.python("import sys, urllib.request as u\nu.urlopen(sys.argv[1])", url,
                           expect=expect).one(kind="client")

    def test_refused(self):
        peer = self.peer()
        peer.close()
        for client in (self.curl, self.blocking_client):
            with self.subTest(client=client.__name__):
                status = 7 if client == self.curl else 1  # pylint: disable=comparison-with-callable
                span = client(f"http://quick.test:{peer.port}/", expect=status)
                self.assertEqual((span.name, span.status), ("connect", "error"))
                self.assert_attributes(
                    span, error_type="ECONNREFUSED", server_address="quick.test",
                    server_port=peer.port, network_peer_address=HOST, remora_join="process")
                self.assertEqual(span.events, ("dns",))

    def test_unroutable(self):
        for address, error in ((UNREACHABLE, "EHOSTUNREACH"), (NOWHERE, "ENETUNREACH")):
            with self.subTest(address=address):
                span = self.curl(f"http://{address}:80/", expect=7)
                self.assertEqual((span.name, span["error.type"]), ("connect", error))
                self.assertEqual(span["server.address"], address)

    def test_timed_out_by_the_program(self):
        peer = self.peer(backlog=0, accept_after=threading.Event())
        url = f"http://quick.test:{peer.port}/"
        span = self.curl("--connect-timeout", "0.3", url, expect=28)
        self.check_timeout(span, "timeout")
        span = self.python("import sys, urllib.request as u\nu.urlopen(sys.argv[1], timeout=0.3)",
                           url, expect=1).one(kind="client")
        self.check_timeout(span, "timeout")
        need("wget")  # leaves connect() by longjmp
        spans = self.run_traced("wget", "-q", "-O-", "--connect-timeout=0.3", "--tries=1",
                                "--no-proxy", url, expect=4).spans
        self.check_timeout(spans.one(kind="client"), "timeout")

    def check_timeout(self, span, error):
        self.assertEqual((span.name, span["error.type"], span.status),
                         ("connect", error, "error"))
        self.assertEqual(span.events, ("dns",))
        self.assertGreaterEqual(span.end_ns - span.start_ns, 0.25e9)

    def test_timed_out_by_the_kernel(self):
        pathlib.Path("/proc/sys/net/ipv4/tcp_syn_retries").write_text("1", encoding="ascii")
        self.addCleanup(pathlib.Path("/proc/sys/net/ipv4/tcp_syn_retries").write_text, "6")
        peer = self.peer(backlog=0, accept_after=threading.Event())
        span = self.blocking_client(f"http://quick.test:{peer.port}/", expect=1)
        self.check_timeout(span, "ETIMEDOUT")

    def tls_context(self):
        need("openssl")
        make_certificate(self.directory, "quick.test", "slow.test")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "cert.pem", self.directory / "key.pem")
        return context

    def tls_clients(self):
        """Commands without their URL, by OpenSSL on a descriptor, by memory BIOs, by GnuTLS."""
        certificate = str(self.directory / "cert.pem")
        yield "curl", ("curl", "-sS", "--http1.1", "--cacert", certificate)
        yield "python", (PYTHON, "-c", "import ssl, sys, urllib.request as u\nu.urlopen("
                         "sys.argv[1], context=ssl.create_default_context("
                         f"cafile={certificate!r}))")
        yield "aiohttp", (PYTHON, "-c", AIOHTTP.replace(
            "get(sys.argv[1])", "get(sys.argv[1], ssl=__import__('ssl').create_default_context("
            f"cafile={certificate!r}))"))
        yield "wget", ("wget", "-q", "-O-", "--no-proxy", "--ca-certificate", certificate)

    def test_slow_handshake(self):
        peer = self.peer(tls=self.tls_context(), handshake_after=SLOW)
        for name, command in self.tls_clients():
            with self.subTest(program=name):
                if name == "aiohttp":
                    need_python(name)
                else:
                    need(command[0])
                span = self.run_traced(*command, f"https://quick.test:{peer.port}/").spans.one(
                    kind="client")
                self.assertEqual(span.events, ("dns", "connect", "tls.handshake", "first_byte"))
                self.assertGreaterEqual(span.step("tls.handshake")["duration"], SLOW / 2)
                self.assertGreaterEqual(span.end_ns - span.start_ns, SLOW * 1e9)

    def test_a_kept_tls_connection_is_not_opened_again(self):
        peer = self.peer(tls=self.tls_context())
        url = f"https://quick.test:{peer.port}/"
        _, command = next(self.tls_clients())
        spans = self.run_traced(*command, url, url).spans.where(kind="client")
        self.assertEqual(sorted(s.events for s in spans),
                         [("dns", "connect", "tls.handshake", "first_byte"), ("first_byte",)])

    def test_a_handshake_that_fails(self):
        # The client does not trust the certificate; the client's time runs out.
        peer = self.peer(tls=self.tls_context())
        slow = self.peer(tls=self.tls_context(), handshake_after=30)
        for arguments, port, status in (((), peer.port, 60),
                                        (("--max-time", "0.5"), slow.port, 28)):
            with self.subTest(arguments=arguments):
                span = self.curl(*arguments, f"https://quick.test:{port}/", expect=status)
                self.assertEqual((span.name, span["error.type"], span["server.address"]),
                                 ("connect", "tls_handshake", "quick.test"))
                self.assertEqual(span.events[:2], ("dns", "connect"))

    def test_reset(self):
        peer = self.peer(reset=True)
        span = self.curl(f"http://quick.test:{peer.port}/", expect=56)
        self.assertEqual((span.name, span["error.type"]), ("GET", "ECONNRESET"))
        self.assertEqual(span.events, ("dns", "connect"))

    def test_fallback(self):
        peer = self.peer()
        for client in (self.curl, self.blocking_client):
            with self.subTest(client=client.__name__):
                span = client(f"http://both.test:{peer.port}/")
                self.assertEqual((span.name, span.status), ("GET", "unset"))
                self.assertEqual(span.events, ("dns", "connect.failed", "connect", "first_byte"))
                failed = span.step("connect.failed")
                self.assertEqual((failed["network.peer.address"], failed["error.type"]),
                                 (HOST6, "ECONNREFUSED"))
                self.assertEqual(span.step("connect")["network.peer.address"], HOST)

    def test_no_address_answers(self):
        span = self.curl("http://dead.test:80/", expect=7)
        self.assertEqual((span.name, span["server.address"]), ("connect", "dead.test"))
        self.assertEqual(span.events, ("dns", "connect.failed"))
        self.assertEqual({span["error.type"], span.step("connect.failed")["error.type"]},
                         {"EHOSTUNREACH", "ENETUNREACH"})

    def test_the_program_stops_at_the_first_address(self):
        # Another connect may follow until the program ends, or for some seconds.
        code = ("import socket, sys\ni = socket.getaddrinfo('both.test', 9, type=1)\n"
                "a = next(a for a in i if a[0] == 10)\ns = socket.socket(a[0], a[1])\n"
                "print(s.connect_ex(a[4]))\ns.close()\n")
        spans = self.python(code)
        span = spans.one(kind="client")
        self.assertEqual((span.name, span["error.type"]), ("connect", "ECONNREFUSED"))
        process = self.start(PYTHON, "-c", code + "sys.stdout.flush()\nsys.stdin = open('wait')\n"
                             "sys.stdin.read()", cwd=self.fifo())
        span = process.wait_for_spans(1, kind="client").one(kind="client")
        self.assertEqual((span.name, span["error.type"]), ("connect", "ECONNREFUSED"))

    def fifo(self):
        os.mkfifo(self.directory / "wait")
        return self.directory

    def test_a_kept_connection_is_not_opened_again(self):
        url = f"http://quick.test:{self.peer().port}/"
        process = self.run_traced("curl", "-sS", url + "a", url + "b", url + "c")
        spans = sorted(process.spans.where(kind="client"), key=lambda s: s.start_ns)
        self.assertEqual([s.events for s in spans],
                         [("dns", "connect", "first_byte"), ("first_byte",), ("first_byte",)])

    def test_which_lookup(self):
        # Two lookups returned the address: neither is told.
        url = f"http://quick.test:{self.peer().port}/"
        spans = self.python("import socket, sys, urllib.request as u\n"
                            "socket.getaddrinfo('twins.test', 80)\nu.urlopen(sys.argv[1])", url)
        self.assertEqual(spans.one(kind="client").events, ("connect", "first_byte"))

    def test_killed_on_the_way(self):
        peer = self.peer(backlog=0, accept_after=threading.Event())
        code = ("import socket, sys, time\ns = socket.socket()\ns.setblocking(False)\n"
                f"s.connect_ex(('{HOST}', {peer.port}))\nprint('on its way', flush=True)\n"
                "time.sleep(600)\n")
        process = self.start(PYTHON, "-c", code)
        wait_until(lambda: b"on its way" in process.stdout, "the connect")
        process.stop(signal.SIGTERM)
        span = process.spans.one(kind="client")
        self.assertEqual((span.name, span["remora.end"], span["error.type"]),
                         ("connect", "process", "unfinished"))
        self.assertEqual(span["server.address"], HOST)

    def test_others_have_no_span(self):
        # A UNIX socket that nobody listens on, datagrams, and where telemetry goes.
        code = ("import socket\n"
                "for f, t, a in ((socket.AF_UNIX, 1, '/nowhere'), (socket.AF_INET, 2, ('127.0.0.1', 9)),\n"
                "                (socket.AF_INET, 1, ('127.0.0.1', 4318))):\n"
                "    s = socket.socket(f, t)\n    print(s.connect_ex(a))\n    s.close()\n")
        self.assertEqual(self.python(code).where(kind="client"), [])


def make_certificate(folder, *names):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={names[0]}",
         "-addext", "subjectAltName=" + ",".join("DNS:" + name for name in names),
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True)


AIOHTTP = """
import aiohttp, asyncio, sys
async def call():
    async with aiohttp.ClientSession() as session:
        async with session.get(sys.argv[1]) as answer:
            await answer.read()
asyncio.run(call())
"""


def enter_network():
    import tempfile  # pylint: disable=import-outside-toplevel
    folder = pathlib.Path(tempfile.mkdtemp(prefix="remora-network-"))
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n", encoding="ascii")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n", encoding="ascii")
    subprocess.run(["sh", "-c", SETUP, "sh", folder], check=True)
    NameServer(NAMES)


if __name__ == "__main__":
    if "REMORA_TEST_OWN_NETWORK" in os.environ:
        enter_network()
    else:
        OpeningTest.reason = unshared()
    main()
