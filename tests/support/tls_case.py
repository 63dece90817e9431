# SPDX-License-Identifier: Apache-2.0
"""What tests of programs that speak TLS share: a certificate, peers, what a span says of TLS.

The certificate is made by openssl(1) in the test's own directory, signed by itself, valid for
localhost and 127.0.0.1; programs are told to trust it by an option or a variable of their own.
"""
import ssl
import subprocess

import remora_test
from peers import RecordingProxy, RecordingServer, response
from remora_test import need

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"traceparent: 00-{TRACE}-{PARENT}-01"


def make_certificate(directory):
    """cert.pem and key.pem in a directory, and both in pair.pem (haproxy)."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", directory / "key.pem", "-out", directory / "cert.pem"],
        check=True, capture_output=True)
    (directory / "key.pem").chmod(0o644)  # servers that give up root still have to read it
    (directory / "pair.pem").write_bytes((directory / "cert.pem").read_bytes()
                                         + (directory / "key.pem").read_bytes())


class TlsTestCase(remora_test.TestCase):
    """A test with a certificate: .certificate, .key, .pair, and contexts for both ends."""

    def setUp(self):
        need("openssl")
        super().setUp()
        make_certificate(self.directory)
        self.certificate = self.directory / "cert.pem"
        self.key = self.directory / "key.pem"
        self.pair = self.directory / "pair.pem"
        self.client_tls = self.client_context()

    def server_context(self, version=None):
        """version: "1.2" or "1.3" and no other; None: what both ends have, the newest."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        # Clients that offer HTTP/2 get HTTP/1.1, as from most servers behind a gateway.
        context.set_alpn_protocols(["http/1.1"])
        return _only(context, version)

    def client_context(self, version=None):
        return _only(ssl.create_default_context(cafile=self.certificate), version)

    def tls_server(self, answer=lambda request: response(), version=None):
        server = RecordingServer(answer, tls=self.server_context(version))
        self.addCleanup(server.close)
        return server

    def tls_proxy(self, port):
        proxy = RecordingProxy(port, tls=self.server_context())
        self.addCleanup(proxy.close)
        return proxy

    def assert_tls(self, span, version="1.3"):
        self.assertEqual((span["tls.protocol.name"], span["tls.protocol.version"]),
                         ("tls", version), f"\n{span}")
        self.assertIsInstance(span["tls.cipher"], str, f"\n{span}")
        if span.kind == "server":
            self.assertEqual(span["url.scheme"], "https", f"\n{span}")
        elif span["url.full"] is not None:
            self.assertTrue(span["url.full"].startswith("https://"), f"\n{span}")

    def assert_calls(self, spans, requests, peer, parent=None):
        """Each request that the peer got was sent by a span of its own, which says what it was, and
        names it. Returns the spans in the order of the requests."""
        calls = []
        for request in requests:
            client = spans.one(kind="client", url_full=peer.url(request.path))
            self.assert_carries(request, client)
            self.assert_tls(client)
            self.assert_attributes(
                client, http_request_method=request.line.split(" ")[0],
                server_address="127.0.0.1", server_port=peer.port,
                network_peer_address="127.0.0.1", network_peer_port=peer.port,
                network_protocol_version=request.line.rpartition("/")[2])
            if parent is not None:
                self.assert_child(client, parent)
            calls.append(client)
        self.assertEqual(len({c.span_id for c in calls}), len(requests))
        self.assertEqual(len(spans.where(kind="client")), len(requests))
        return calls


def _only(context, version):
    if version is not None:
        wanted = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
        context.minimum_version = context.maximum_version = wanted
    return context
