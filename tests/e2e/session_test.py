#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How programs and the agent find each other, and what becomes of programs that die, multiply, change
user or live in a namespace of their own."""
import os
import shutil
import signal
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
# pylint: disable=wrong-import-position
import remora_test  # noqa: E402
from remora_test import BUILD, PATIENCE, PYTHON, response, wait_until  # noqa: E402


class Session(remora_test.TestCase):
    def setUp(self):
        super().setUp()
        # Where every user can read it.
        for name in ("remora", "libremora.so"):
            shutil.copy(BUILD / name, self.directory)
        self.peer = self.server(lambda request: response(body=b"hello"))
        self.url = f"http://127.0.0.1:{self.peer.port}/"
        self.fetch = ["curl", "-s", "-o", "/dev/null", self.url]
        remora_test.need("curl")

    def trace(self, *command, status=0, **options):
        """Runs it to its end and returns its spans."""
        output = self.directory / "spans.jsonl"
        output.unlink(missing_ok=True)
        result = subprocess.run([self.directory / "remora", "run", "--output", output, "--",
                                 *map(str, command)], check=False, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE,
                                **options)
        self.assertEqual(result.returncode, status, result.stderr)
        self.stderr = result.stderr.decode()
        spans = remora_test.Spans.read(output)
        self.check_spans(spans)
        return spans

    def client_spans(self, spans):
        return [s for s in spans if s.kind == "client"]

    def test_a_program(self):
        spans = self.trace(*self.fetch)
        self.assertEqual(len(self.client_spans(spans)), 1)
        self.assertEqual(self.stderr, "")

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_a_program_of_another_user(self):
        spans = self.trace("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--",
                           *self.fetch)
        self.assertEqual(len(self.client_spans(spans)), 1)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_a_program_in_its_own_pid_namespace(self):
        namespace = ("unshare", "--pid", "--fork", "--mount-proc")
        if subprocess.run([*namespace, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
            self.skipTest(f"{' '.join(namespace)} is not allowed here")
        spans = self.trace(*namespace, *self.fetch)
        self.assertEqual(len(self.client_spans(spans)), 1)
        curl = [s for s in spans if s.service == "curl" and s.kind == "internal"]
        self.assertEqual(len(curl), 1)
        self.assertEqual(curl[0].attributes["process.exit.code"], 0)

    def test_many_processes_one_after_the_other(self):
        spans = self.trace("sh", "-c", "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done")
        self.assertEqual(len(spans), 301)
        self.assertEqual(self.stderr, "")

    def test_many_processes_at_once(self):
        # More than there are lanes ready at any time.
        spans = self.trace("sh", "-c", "i=0; while [ $i -lt 60 ]; do sleep 0.2 & i=$((i+1)); done; "
                                       "wait")
        self.assertEqual(len([s for s in spans if s.service == "sleep"]), 60, self.stderr)

    def test_a_chain_of_images(self):
        spans = self.trace("sh", "-c", f"exec sh -c 'exec curl -s -o /dev/null {self.url}'")
        client = self.client_spans(spans)
        self.assertEqual(len(client), 1)
        self.assert_child(client[0], next(s for s in spans if s.service == "curl" and
                                          s.kind == "internal"))

    def test_a_killed_program_leaves_its_open_request(self):
        reached = []
        released = threading.Event()
        self.addCleanup(released.set)

        def hang(request):
            reached.append(request)
            released.wait()
        peer = self.server(hang)
        output = self.directory / "spans.jsonl"
        process = subprocess.Popen([self.directory / "remora", "run", "--output", output, "--",
                                    "curl", "-s", f"http://127.0.0.1:{peer.port}/"],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: reached, "the request")
        curl = wait_until(lambda: [p for p in remora_test._descendants(process.pid) if
                                   open(f"/proc/{p}/comm").read() == "curl\n"], "curl")[0]
        os.kill(curl, signal.SIGKILL)
        self.assertEqual(process.wait(PATIENCE), -signal.SIGKILL)
        spans = remora_test.Spans.read(output)
        client = self.client_spans(spans)
        self.assertEqual(len(client), 1)
        self.assertEqual(client[0].attributes["remora.end"], "process")
        self.assert_carries(reached[0], client[0])
        whole = next(s for s in spans if s.kind == "internal")
        self.assertEqual(whole.attributes["process.exit.code"], 137)

    def test_a_small_file_size_limit(self):
        import resource

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))
        spans = self.trace(*self.fetch, preexec_fn=limit)
        self.assertEqual(len(self.client_spans(spans)), 1)

    def test_few_descriptors(self):
        import resource

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        # A pidfd for each of them can't be had.
        self.trace("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 "
                   "24 25 26 27 28 29 30; do sleep 0.3 & done; wait", preexec_fn=limit)

    def test_when_nobody_reads_any_more_the_program_goes_on(self):
        script = self.file("loop.py", f"""
import signal, sys, urllib.request
for line in sys.stdin:
    print(urllib.request.urlopen({self.url!r}).read(), flush=True)
""")
        process = subprocess.Popen([self.directory / "remora", "run", "--quiet", PYTHON, script],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for round_ in range(3):
            process.stdin.write(b"go\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), b"b'hello'\n")
            if round_ == 0:
                process.kill()
                process.wait()
        process.stdin.close()


if __name__ == "__main__":
    remora_test.main()
