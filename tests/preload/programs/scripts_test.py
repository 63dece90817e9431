# SPDX-License-Identifier: Apache-2.0
"""Clients and servers of ruby, perl and php, and httpd children of a shell: spans and bytes."""
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from remora_test import converse, free_port, need, response  # noqa: E402

CLIENTS = {
    "ruby": """
require 'net/http'
Net::HTTP.start('127.0.0.1', {port}) do |http|
  puts http.get('/a').body.size
  puts http.post('/b', 'x' * 100_000).code
  puts http.get('/missing').code
end
""",
    "perl": """
use LWP::UserAgent;
my $agent = LWP::UserAgent->new(keep_alive => 1);
print length($agent->get('http://127.0.0.1:{port}/a')->content), "\\n";
print $agent->post('http://127.0.0.1:{port}/b', Content => 'x' x 100_000)->code, "\\n";
print $agent->get('http://127.0.0.1:{port}/missing')->code, "\\n";
""",
    "php": """<?php
echo strlen(file_get_contents('http://127.0.0.1:{port}/a')), "\\n";
$post = stream_context_create(['http' => ['method' => 'POST', 'content' => str_repeat('x', 100000),
                                          'header' => 'Content-Type: text/plain']]);
file_get_contents('http://127.0.0.1:{port}/b', false, $post);
echo "200\\n";
@file_get_contents('http://127.0.0.1:{port}/missing');
echo "404\\n";
""",
}


def answer(request):
    if request.path == "/missing":
        return response(b"", "404 Not Found")
    return response(b"y" * 70_000)


class ScriptsTest(remora_test.TestCase):
    def client(self, name, check=None):
        need(name)
        if check is not None and subprocess.run(check, capture_output=True, check=False).returncode:
            raise unittest.SkipTest(f"{' '.join(check)} fails (deploy/setup.sh test)")
        peer = self.server(answer)
        script = self.file(f"client.{name}", CLIENTS[name].replace("{port}", str(peer.port)))
        bare = self.run_bare(name, script)
        _, bare_streams = peer.take()
        traced = self.run_traced(name, script)
        requests, streams = peer.take()
        self.assertEqual(traced.stdout, b"70000\n200\n404\n")
        self.assertEqual(traced.stdout, bare.stdout)
        self.assert_only_added(streams, bare_streams)
        self.assertEqual(len(traced.spans.where(kind="client")), 3)
        process = traced.spans.one(kind="internal", service=f"client.{name}")
        for request in requests:
            span = traced.spans.one(kind="client", url_full=peer.url(request.path))
            self.assert_child(span, process)
            self.assert_carries(request, span)
        self.assertEqual(traced.spans.one(url_full=peer.url("/missing"))["error.type"], "404")

    def test_ruby_client(self):
        self.client("ruby", ["ruby", "-e", "require 'net/http'"])

    def test_perl_client(self):
        self.client("perl", ["perl", "-MLWP::UserAgent", "-e", "1"])

    def test_php_client(self):
        self.client("php")

    def test_php_curl(self):
        # PHP loads its extensions with RTLD_DEEPBIND: their libcurl may be out of the shim's reach.
        need("php")
        if b"curl" not in subprocess.run(["php", "-m"], capture_output=True, check=True).stdout:
            raise unittest.SkipTest("PHP has no curl (deploy/setup.sh test)")
        peer = self.server(answer)
        script = self.file("curl.php", f"""<?php
for ($n = 0; $n < 3; ++$n) {{
    $c = curl_init("{peer.url('/')}" . $n);
    curl_setopt($c, CURLOPT_RETURNTRANSFER, true);
    echo strlen(curl_exec($c)), "\\n";
}}
""")
        traced = self.run_traced("php", script)
        self.assertEqual(traced.stdout, b"70000\n" * 3)
        self.assertEqual(len(peer.requests), 3)
        calls = traced.spans.where(kind="client")
        self.assertIn(len(calls), (0, 3))
        for request in peer.requests:
            if calls:
                self.assert_carries(request, calls.one(url_full=peer.url(request.path)))
            else:
                self.assertIsNone(request.traceparent())

    def test_php_server(self):
        need("php")
        downstream = self.server(answer)
        self.file("www/index.php", f"""<?php
echo strlen(file_get_contents("{downstream.url('/down')}"));
""")
        port = free_port()
        process = self.start("php", "-S", f"127.0.0.1:{port}", "-t", self.directory / "www")
        process.wait_for_port(port)
        self.assertIn(b"70000", converse(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
        process.wait_for_spans(1, kind="server")
        process.stop()
        self.check_spans(process.spans)
        server = process.spans.one(kind="server")
        self.assertEqual(server["http.response.status_code"], 200)
        call = process.spans.one(kind="client")
        # The server waits on several connections: its call is nobody's child, or the right one's.
        self.assertIn(call.parent_id, ("", server.span_id))

    def test_ruby_server(self):
        need("ruby")
        if subprocess.run(["ruby", "-e", "require 'webrick'"], capture_output=True,
                          check=False).returncode:
            raise unittest.SkipTest("ruby has no webrick (deploy/setup.sh test)")
        downstream = self.server(answer)
        port = free_port()
        script = self.file("server.rb", f"""
require 'webrick'
require 'net/http'
server = WEBrick::HTTPServer.new(Port: {port}, BindAddress: '127.0.0.1', AccessLog: [],
                                 Logger: WEBrick::Log.new('/dev/null'))
server.mount_proc('/') {{ |_, r| r.body = Net::HTTP.get(URI('{downstream.url("/down")}')) }}
trap('TERM') {{ server.shutdown }}
server.start
""")
        process = self.start("ruby", script).wait_for_port(port)
        for n in range(3):
            self.assertIn(b"y" * 70_000, converse(port, f"GET /{n} HTTP/1.0\r\n\r\n".encode()))
        process.wait_for_spans(3, kind="server")
        process.stop()
        self.check_spans(process.spans)
        servers = {s.span_id for s in process.spans.where(kind="server")}
        self.assertEqual(len(servers), 3)
        calls = process.spans.where(kind="client")
        self.assertEqual(len(calls), 3)
        parents = [c.parent_id for c in calls if c.parent_id]
        self.assertEqual(len(set(parents)), len(parents))
        self.assertLessEqual(set(parents), servers)


if __name__ == "__main__":
    remora_test.main()
