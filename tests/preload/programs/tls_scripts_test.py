# SPDX-License-Identifier: Apache-2.0
"""Clients of ruby (SSL_write, SSL_read) and php (and SSL_peek) over TLS, and ruby's WEBrick as a
server that calls on."""
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from remora_test import converse, free_port, need, response  # noqa: E402
from tls_case import PARENT, TRACE, TRACEPARENT, TlsTestCase  # noqa: E402

CLIENTS = {
    "ruby": """
require 'net/http'
Net::HTTP.start('127.0.0.1', {port}, use_ssl: true, ca_file: 'cert.pem') do |http|
  puts http.get('/a').body.size
  puts http.post('/b', 'x' * 100_000).code
  puts http.get('/missing').code
end
""",
    "php": """<?php
$tls = ['cafile' => 'cert.pem'];
$get = stream_context_create(['ssl' => $tls]);
echo strlen(file_get_contents('https://127.0.0.1:{port}/a', false, $get)), "\\n";
$post = stream_context_create(['ssl' => $tls,
    'http' => ['method' => 'POST', 'content' => str_repeat('x', 100000),
               'header' => 'Content-Type: text/plain']]);
file_get_contents('https://127.0.0.1:{port}/b', false, $post);
echo "200\\n";
@file_get_contents('https://127.0.0.1:{port}/missing', false, $get);
echo "404\\n";
""",
}


def answer(request):
    if request.path == "/missing":
        return response(b"", "404 Not Found")
    return response(b"y" * 70_000)


class TlsScriptsTest(TlsTestCase):
    def client(self, name):
        need(name)
        peer = self.tls_server(answer)
        script = self.file(f"client.{name}", CLIENTS[name].replace("{port}", str(peer.port)))
        bare = self.run_bare(name, script)
        _, bare_streams = peer.take()
        traced = self.run_traced(name, script)
        requests, streams = peer.take()
        self.assertEqual(traced.stdout, b"70000\n200\n404\n")
        self.assertEqual(traced.stdout, bare.stdout)
        self.assert_only_added(streams, bare_streams)
        process = traced.spans.one(kind="internal", service=f"client.{name}")
        a, b, missing = self.assert_calls(traced.spans, requests, peer, process)
        self.assertEqual(a["http.response.body.size"], 70_000)
        self.assertEqual(b["http.request.body.size"], 100_000)
        self.assertEqual((missing["error.type"], missing.status), ("404", "error"))

    def test_ruby_client(self):
        if subprocess.run(["ruby", "-ropenssl", "-rnet/http", "-e", "1"], capture_output=True,
                          check=False).returncode:
            raise unittest.SkipTest("ruby has no openssl (deploy/setup.sh test)")
        self.client("ruby")

    def test_php_client(self):
        self.client("php")

    def test_ruby_server(self):
        need("ruby")
        if subprocess.run(["ruby", "-rwebrick/https", "-e", "1"], capture_output=True,
                          check=False).returncode:
            raise unittest.SkipTest("ruby has no webrick (deploy/setup.sh test)")
        downstream = self.tls_server(answer)
        port = free_port()
        script = self.file("server.rb", f"""
require 'webrick/https'
require 'net/http'
server = WEBrick::HTTPServer.new(
  Port: {port}, BindAddress: '127.0.0.1', AccessLog: [], Logger: WEBrick::Log.new('/dev/null'),
  SSLEnable: true, SSLCertificate: OpenSSL::X509::Certificate.new(File.read('cert.pem')),
  SSLPrivateKey: OpenSSL::PKey.read(File.read('key.pem')))
server.mount_proc('/') do |q, r|
  Net::HTTP.start('127.0.0.1', {downstream.port}, use_ssl: true, ca_file: 'cert.pem') do |http|
    r.body = http.get('/down' + q.path).body
  end
end
trap('TERM') {{ server.shutdown }}
server.start
""")
        process = self.start("ruby", script).wait_for_port(port)
        for n in range(3):
            context = TRACEPARENT + "\r\n" if n == 0 else ""
            self.assertIn(b"y" * 70_000, converse(port, f"GET /{n} HTTP/1.0\r\n{context}\r\n".encode(),
                                                  tls=self.client_tls))
        process.wait_for_spans(3, kind="server")
        process.stop()
        self.check_spans(process.spans)
        servers = process.spans.where(kind="server")
        self.assertEqual(len(servers), 3)
        for server in servers:
            self.assert_tls(server)
        first = servers.one(url_path="/0")
        self.assertEqual((first.trace_id, first.parent_id), (TRACE, PARENT))
        self.assertEqual(len(downstream.requests), 3)
        for request in downstream.requests:
            call = process.spans.one(kind="client", url_full=downstream.url(request.path))
            self.assert_tls(call)
            self.assertEqual(request.traceparent()[1], call.span_id)
            # Nobody's child, or the right one's.
            right = servers.one(url_path=request.path.replace("/down", ""))
            self.assertIn(call.parent_id, ("", right.span_id))


if __name__ == "__main__":
    remora_test.main()
