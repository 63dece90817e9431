# SPDX-License-Identifier: Apache-2.0
"""Clients that speak TLS by GnuTLS: wget, git over https, apt's download method."""
import os
import pathlib
import subprocess
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from remora_test import need, response  # noqa: E402
from tls_case import PARENT, TRACE, TlsTestCase  # noqa: E402

PAGE = b'<a href="/one">1</a><a href="/two">2</a><a href="/gone">3</a>'
APT_HELPER = "/usr/lib/apt/apt-helper"


def wget_answer(request):
    html = ["Content-Type: text/html"]
    return {"/": response(PAGE, headers=html), "/gone": response(b"", "404 Not Found"),
            "/robots.txt": response(b"", "404 Not Found"),
            "/big": response(bytes(range(256)) * 12_000)}.get(request.path, response(headers=html))


class WgetTest(TlsTestCase):
    def setUp(self):
        need("wget")
        super().setUp()
        self.peer = self.tls_server(wget_answer)

    def compare(self, *arguments, expect=0, **options):
        """Runs wget bare and traced: same output, same bytes but for the headers we add."""
        results = []
        for run in (self.run_bare, self.run_traced):
            process = run("wget", "-q", "--no-hsts", f"--ca-certificate={self.certificate}",
                          *arguments, expect=expect, **options)
            results.append((process, *self.peer.take()))
        (bare, _, bare_streams), (traced, requests, streams) = results
        self.assertEqual(traced.stdout, bare.stdout)
        self.assert_only_added(streams, bare_streams)
        return traced.spans, requests

    def test_one_file(self):
        spans, requests = self.compare("-O-", self.peer.url("/big"))
        client, = self.assert_calls(spans, requests, self.peer, spans.one(kind="internal"))
        self.assert_attributes(client, http_response_status_code=200, remora_join="process",
                               http_response_body_size=3_072_000)
        self.assertEqual(len(spans), 2)

    def test_parent_from_the_environment(self):
        spans, requests = self.compare("-O-", self.peer.url("/one"),
                                       environment={"TRACEPARENT": f"00-{TRACE}-{PARENT}-01"})
        process = spans.one(kind="internal")
        self.assertEqual((process.trace_id, process.parent_id), (TRACE, PARENT))
        client = spans.one(kind="client")
        self.assert_child(client, process)
        self.assertEqual(requests[0].traceparent()[:2], (TRACE, client.span_id))

    def test_recursive_on_one_connection(self):
        spans, requests = self.compare("-r", self.peer.url(), expect=8)
        self.assertEqual(sorted(r.path for r in requests),
                         ["/", "/gone", "/one", "/robots.txt", "/two"])
        self.assert_calls(spans, requests, self.peer)

    def test_upload(self):
        data = self.file("data", bytes(range(256)) * 4000)
        spans, requests = self.compare("-O-", f"--post-file={data}", self.peer.url("/one"))
        client, = self.assert_calls(spans, requests, self.peer)
        self.assertEqual(client["http.request.body.size"], 1_024_000)
        self.assertEqual(requests[0].body, data.read_bytes())


class GitTest(TlsTestCase):
    def setUp(self):
        need("git")
        super().setUp()
        self.environment = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_SSL_CAINFO": str(self.certificate),
                            "HOME": str(self.directory), "GIT_TERMINAL_PROMPT": "0"}
        for name in ("AUTHOR", "COMMITTER"):
            self.environment[f"GIT_{name}_NAME"] = self.environment[f"GIT_{name}_EMAIL"] = "a@b"
            self.environment[f"GIT_{name}_DATE"] = "1700000000 +0000"
        work = self.directory / "work"
        self.git("init", "-q", "-b", "main", work)
        self.file("work/big", os.urandom(600_000))
        for n in range(3):
            self.file("work/file", f"version {n}\n" * 1000)
            self.git("add", ".", cwd=work)
            self.git("commit", "-q", "-m", f"number {n}", cwd=work)
        self.git("clone", "-q", "--bare", work, self.directory / "served/repo.git")
        self.git("config", "http.receivepack", "true", cwd=self.directory / "served/repo.git")
        self.git("update-server-info", cwd=self.directory / "served/repo.git")

    def git(self, *arguments, cwd=None):
        subprocess.run(["git", *arguments], env={**os.environ, **self.environment}, check=True,
                       cwd=cwd, capture_output=True)

    def file_answer(self, request):
        """What any web server of files answers: git's "dumb" protocol."""
        path = self.directory / "served" / urllib.parse.urlparse(request.path).path.lstrip("/")
        return response(path.read_bytes()) if path.is_file() else response(b"", "404 Not Found")

    def smart_answer(self, request):
        """git's own CGI program."""
        url = urllib.parse.urlparse(request.path)

        def value(name):
            return b"".join(request.values(name)).decode()
        result = subprocess.run(
            ["git", "http-backend"], input=request.body, check=True, capture_output=True,
            env={**os.environ, **self.environment, "GIT_PROJECT_ROOT": str(self.directory / "served"),
                 "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": url.path, "QUERY_STRING": url.query,
                 "REQUEST_METHOD": request.line.split(" ")[0],
                 "CONTENT_TYPE": value("content-type"), "CONTENT_LENGTH": str(len(request.body)),
                 "HTTP_CONTENT_ENCODING": value("content-encoding"),
                 "GIT_PROTOCOL": value("git-protocol")}).stdout
        head, _, body = result.partition(b"\r\n\r\n")
        lines = [line for line in head.decode().split("\r\n") if not line.startswith("Status:")]
        return response(body, headers=lines)

    def check(self, answer, *arguments):
        """The same git command, bare and traced, against a server of its own."""
        peer = self.tls_server(answer)
        results = []
        for run, place in ((self.run_bare, "bare"), (self.run_traced, "traced")):
            process = run("git", *[str(a).format(url=peer.url("/repo.git"), place=place)
                                   for a in arguments], environment=self.environment)
            results.append((process, *peer.take()))
        (_, bare_requests, bare_streams), (traced, requests, streams) = results
        if answer == self.file_answer:
            # Objects come over several connections; which by which, and some fields, is chance.
            self.assertEqual(sorted(r.line for r in requests),
                             sorted(r.line for r in bare_requests))
        else:
            self.assert_only_added(streams, bare_streams)
        self.assertGreater(len(requests), 1)
        trace = {s.trace_id for s in traced.spans}
        self.assertEqual(len(trace), 1, f"git and its helpers are one trace\n{traced.spans}")
        calls = traced.spans.where(kind="client")
        self.assertEqual(len(calls), len(requests))
        for request in requests:
            # A path may be asked for twice (HEAD or GET, info/refs): the header tells which it was.
            client = calls.by_id(request.traceparent()[1])
            self.assertIsNotNone(client, request.head)
            self.assertEqual(client["url.full"], peer.url(request.path))
            self.assertEqual(client["server.port"], peer.port)
            self.assert_tls(client)
            parent = traced.spans.by_id(client.parent_id)
            self.assertEqual(parent.kind, "internal")
            self.assertIn("git", parent.service)
        return requests

    def test_clone(self):
        for name in ("file", "smart"):
            with self.subTest(server=name):
                self.check(getattr(self, f"{name}_answer"), "clone", "-q", "{url}",
                           self.directory / f"{name}-{{place}}")
                for place in ("bare", "traced"):
                    clone = self.directory / f"{name}-{place}"
                    self.assertEqual((clone / "big").read_bytes(),
                                     (self.directory / "work/big").read_bytes())
                    self.assertEqual((clone / "file").read_text(), "version 2\n" * 1000)
                    self.git("fsck", "--strict", cwd=clone)

    def test_push(self):
        work = self.directory / "work"
        self.file("work/more", os.urandom(300_000))
        self.git("add", ".", cwd=work)
        self.git("commit", "-q", "-m", "more", cwd=work)
        # Two branches: each push sends the same objects as the other would have.
        peer = self.tls_server(self.smart_answer)
        traced = self.run_traced("git", "-C", work, "push", "-q", peer.url("/repo.git"),
                                 "HEAD:refs/heads/pushed", environment=self.environment)
        calls = traced.spans.where(kind="client")
        self.assertEqual(len(calls), len(peer.requests))
        for request in peer.requests:
            client = calls.by_id(request.traceparent()[1])
            self.assertEqual(client["http.request.body.size"] or 0, len(request.body))
            self.assert_tls(client)
        self.assertGreater(max(len(r.body) for r in peer.requests), 300_000)
        self.git("fsck", "--strict", cwd=self.directory / "served/repo.git")
        self.git("rev-parse", "refs/heads/pushed", cwd=self.directory / "served/repo.git")


class AptTest(TlsTestCase):
    def test_download(self):
        if not os.path.exists(APT_HELPER) or os.getuid() != 0:
            self.skipTest("apt-helper is needed, and root")
        content = os.urandom(700_000)
        peer = self.tls_server(lambda r: response(content, headers=["Content-Type: text/plain"]))
        for traced in (False, True):
            target = self.directory / f"downloaded-{traced}"
            run = self.run_traced if traced else self.run_bare
            process = run(APT_HELPER, "-o", "APT::Sandbox::User=root",
                          "-o", f"Acquire::https::CAInfo={self.certificate}", "download-file",
                          peer.url("/file"), target)
            self.assertEqual(target.read_bytes(), content)
            if not traced:
                _, bare_streams = peer.take()
        self.assert_only_added(peer.streams, bare_streams)
        client, = self.assert_calls(process.spans, peer.requests, peer)
        self.assertEqual(client["http.response.body.size"], 700_000)
        self.assertEqual({s.trace_id for s in process.spans}, {client.trace_id})


if __name__ == "__main__":
    remora_test.main()
