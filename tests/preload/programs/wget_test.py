# SPDX-License-Identifier: Apache-2.0
"""wget: reads with plain read(), looks at the head with MSG_PEEK."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from remora_test import need, response  # noqa: E402

PAGE = b'<a href="/one">1</a><a href="/two">2</a><a href="/gone">3</a>'


def answer(request):
    html = ["Content-Type: text/html"]
    return {"/": response(PAGE, headers=html), "/gone": response(b"", "404 Not Found"),
            "/robots.txt": response(b"", "404 Not Found"),
            "/big": response(bytes(3_000_000))}.get(request.path, response(headers=html))


class WgetTest(remora_test.TestCase):
    def setUp(self):
        need("wget")
        super().setUp()
        self.peer = self.server(answer)

    def test_one_file(self):
        bare = self.run_bare("wget", "-q", "-O-", self.peer.url("/big"))
        _, bare_streams = self.peer.take()
        traced = self.run_traced("wget", "-q", "-O-", self.peer.url("/big"))
        (request,), streams = self.peer.take()
        self.assertEqual(traced.stdout, bare.stdout)
        self.assert_only_added(streams, bare_streams)
        client = traced.spans.one(kind="client")
        self.assert_attributes(client, http_response_status_code=200, remora_join="process",
                               http_response_body_size=3_000_000, url_full=self.peer.url("/big"))
        self.assert_carries(request, client)

    def test_recursive_on_one_connection(self):
        self.run_bare("wget", "-q", "-r", "-P", "bare", self.peer.url(), expect=8)
        _, bare_streams = self.peer.take()
        traced = self.run_traced("wget", "-q", "-r", "-P", "traced", self.peer.url(), expect=8)
        requests, streams = self.peer.take()
        self.assert_only_added(streams, bare_streams)
        self.assertEqual(sorted(r.path for r in requests),
                         ["/", "/gone", "/one", "/robots.txt", "/two"])
        for request in requests:
            client = traced.spans.one(kind="client", url_full=self.peer.url(request.path))
            self.assert_carries(request, client)
            self.assertEqual(client["error.type"],
                             "404" if request.path in ("/gone", "/robots.txt") else None)


if __name__ == "__main__":
    remora_test.main()
