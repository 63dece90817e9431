# SPDX-License-Identifier: Apache-2.0
"""OpenSSL loaded in odd ways: by modules with RTLD_LOCAL, two of them in one process, by name."""
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from remora_test import BUILD, response  # noqa: E402
from tls_case import TlsTestCase  # noqa: E402

HOST = BUILD / "targets/module_host"
MODULE = BUILD / "targets/tls_client_module.so"


class TlsLoadingTest(TlsTestCase):
    def setUp(self):
        if not MODULE.exists():
            raise unittest.SkipTest(f"{MODULE} is not built (libssl-dev was missing)")
        super().setUp()
        self.peer = self.tls_server(lambda r: response(b"answer to %s\n" % r.path.encode()))

    def compare(self, count, *modules, libraries=1, environment=None):
        """The same run bare and traced. Returns the spans, what the peer got."""
        results = []
        for run in (self.run_bare, self.run_traced):
            process = run(HOST, self.peer.port, count, *modules, environment=environment)
            results.append((process, *self.peer.take()))
        (bare, _, bare_streams), (traced, requests, streams) = results
        self.assertEqual(traced.stdout, bare.stdout)
        self.assertIn(b"\n%d libssl\n" % libraries, bare.stdout)
        self.assert_only_added(streams, bare_streams)
        self.assertEqual(len(requests), count * len(modules))
        return traced.spans, requests

    def check_calls(self, spans, requests):
        calls = spans.where(kind="client")
        self.assertEqual(len(calls), len(requests))
        for request in requests:
            client = calls.one(url_full=f"https://box{request.path}")
            self.assert_carries(request, client)
            self.assert_tls(client)
            self.assertEqual(client["network.peer.port"], self.peer.port)

    def second_openssl(self):
        """A module that was linked with another OpenSSL, and that one: copies, under other names."""
        names = {}
        linked = subprocess.run(["ldd", MODULE], capture_output=True, check=True).stdout.decode()
        for name in ("libssl", "libcrypto"):
            match = re.search(rf"({name}\.so\.\d+) => (\S+)", linked)
            names[match[1].encode()] = pathlib.Path(match[2])

        def renamed(text):
            for name in names:
                text = text.replace(name, name[:-1] + b"9")
            return text
        for name, path in names.items():
            self.file("other/" + renamed(name).decode(), renamed(path.read_bytes()))
        return self.file("other/module.so", renamed(MODULE.read_bytes()))

    def test_a_module(self):
        self.check_calls(*self.compare(5, MODULE))

    def test_two_versions_in_one_process(self):
        other = self.second_openssl()
        spans, requests = self.compare(5, MODULE, other, MODULE, libraries=2,
                                       environment={"LD_LIBRARY_PATH": str(other.parent)})
        self.check_calls(spans, requests)
        self.check_calls(*self.compare(5, other, environment={"LD_LIBRARY_PATH":
                                                              str(other.parent)}))

    def test_functions_by_name(self):
        self.check_calls(*self.compare(5, "default"))
        # From the library's own handle the library's own functions come: such calls are seen where
        # the shim can give others, and left alone where it can't.
        spans, requests = self.compare(5, "handle")
        if spans.where(kind="client"):
            self.check_calls(spans, requests)
        else:
            self.assertEqual([r.traceparent() for r in requests], [None] * 5)



class NoOpenSslTest(TlsTestCase):
    """Other libraries with functions of these names: their handles are no SSLs."""

    LIBRARY = """
int SSL_write(void* handle, const void* data, int size) { return (long)handle + size; }
int SSL_read(void* handle, void* data, int size) { return *(int*)handle + size; }
"""
    PROGRAM = """
#include <stdio.h>
#include <sys/mman.h>
int SSL_write(void*, const void*, int), SSL_read(void*, void*, int);
int main(void) {
    char* page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    for (int i = 0; i < 3; ++i) {
        int* last = (int*)(page + 4096 - 8);
        *last = 7;
        printf("%d %d\\n", SSL_write((void*)5, "abc", 3), SSL_read(last, page, 1));
    }
}
"""

    def build(self, source, name, *options):
        remora_test.need("gcc")
        path = self.directory / name
        subprocess.run(["gcc", "-w", "-o", path, "-x", "c", "-", "-x", "none", *options],
                       input=source.encode(), check=True)
        return path

    def check(self, program):
        self.assertEqual(self.run_bare(program).stdout, b"8 8\n" * 3)
        self.assertEqual(self.run_traced(program).stdout, b"8 8\n" * 3)

    def test_alone(self):
        library = self.build(self.LIBRARY, "libother.so", "-shared", "-fPIC")
        run_path = f"-Wl,-rpath,{self.directory}"
        self.check(self.build(self.PROGRAM, "program", library, run_path))

    def test_beside_openssl(self):
        library = self.build(self.LIBRARY, "libother.so", "-shared", "-fPIC")
        options = [library, f"-Wl,-rpath,{self.directory}", "-Wl,--no-as-needed", "-l:libssl.so.3"]
        try:
            program = self.build(self.PROGRAM, "program", *options)
        except subprocess.CalledProcessError:
            self.skipTest("there is no libssl.so.3 to link with")
        self.check(program)


if __name__ == "__main__":
    remora_test.main()
