# SPDX-License-Identifier: Apache-2.0
"""What the tests of real programs share: running a command under `remora run`, its spans, its peers.

Only the standard library of /usr/bin/python3 is needed. A test file is run by ctest as

    REMORA_BUILD_DIR=<build> /usr/bin/python3 tests/preload/programs/curl_test.py

and ends with `remora_test.main()`. Exit status 77 means that everything was skipped; each reason is
printed as "SKIP: <why>". All processes that a test starts, whatever they do, end with it.
"""
import ctypes
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position,unused-import
from otlp_spans import Span, Spans  # noqa: E402,F401
from peers import (RecordingProxy, RecordingServer, converse, free_port,  # noqa: E402,F401
                   mask_traceparent, response, strip_traceparent)

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("REMORA_BUILD_DIR", SOURCE / "build/release")).resolve()
PYTHON = "/usr/bin/python3"
# Seconds until a wait for an event is a failure; generous: the machine may be busy.
PATIENCE = float(os.environ.get("REMORA_TEST_PATIENCE", "120"))

os.environ["PATH"] += ":/usr/sbin:/sbin"
# Neither a collector nor a trace of whoever runs the tests may get in.
for _name in list(os.environ):
    if _name.startswith(("OTEL_", "REMORA_", "TRACE")) and _name != "REMORA_BUILD_DIR":
        if not _name.startswith("REMORA_TEST_"):
            del os.environ[_name]


def need(*programs):
    """Skips the test where a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            raise unittest.SkipTest(f"{program} is not installed (deploy/setup.sh test)")


def need_python(*modules):
    """Skips the test where the system's Python lacks a module."""
    for module in modules:
        if subprocess.run([PYTHON, "-c", f"import {module}"], stderr=subprocess.DEVNULL,
                          check=False).returncode != 0:
            raise unittest.SkipTest(f"Python module {module} is not installed "
                                    "(deploy/setup.sh test)")


def seeded_random():
    """A generator whose seed is printed, and taken from REMORA_TEST_SEED where that is set."""
    seed = int(os.environ.get("REMORA_TEST_SEED", random.SystemRandom().randrange(2**32)))
    print(f"seed: {seed} (REMORA_TEST_SEED)", flush=True)
    return random.Random(seed)


def wait_until(condition, what):
    """Waits until condition() is true and returns what it returned."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE} s in vain for: {what}"
        time.sleep(0.01)
    return result


class Process:
    """A command that a test runs, in a session of its own: traced, or bare for comparison."""

    def __init__(self, command, directory, environment=None, traced=True, flags=(), cwd=None):
        self.command = [str(c) for c in command]
        self.output = None
        if traced:
            number = len(list(directory.glob("spans-*")))
            self.output = directory / f"spans-{number}.jsonl"
            self.output.touch()
            self.command = [str(BUILD / "remora"), "run", "--output", str(self.output), *flags,
                            "--", *self.command]
        # Spans are to be seen soon, not after five seconds.
        variables = {**os.environ, "OTEL_BSP_SCHEDULE_DELAY": "100", **(environment or {})}
        self._log = open(directory / f"log-{len(list(directory.glob('log-*')))}", "w+b")
        self._stdout = open(directory / f"out-{len(list(directory.glob('out-*')))}", "w+b")
        self.popen = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self._stdout,
                                      stderr=self._log, env=variables, cwd=cwd or directory,
                                      start_new_session=True)

    @property
    def stdout(self):
        self._stdout.seek(0)
        return self._stdout.read()

    @property
    def stderr(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def wait(self, expect=0):
        """Waits for the end. expect: the exit status it must have, None: any."""
        try:
            status = self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} still runs after {PATIENCE} s:\n{self.stderr}")
        assert expect is None or status == expect, \
            f"exit status {status}, not {expect}, of {self.command}:\n{self.stderr}"
        return status

    def stop(self, number=signal.SIGTERM, expect=None):
        """Sends a signal to the command itself (which under Remora gets it from there)."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return self.wait(expect)

    def wait_for_port(self, port):
        """Waits until something accepts connections there."""
        def accepts():
            status = self.popen.poll()
            assert status is None, f"{self.command} ended with {status}:\n{self.stderr}"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                return True
            except OSError:
                return False
        wait_until(accepts, f"{self.command} to listen on port {port}")
        return self

    @property
    def spans(self):
        return Spans.read(self.output)

    def wait_for_spans(self, count, **conditions):
        """Waits until so many spans (of those conditions) have been written."""
        def enough():
            found = self.spans
            return found if len(found.where(**conditions)) >= count else None
        try:
            return wait_until(enough, "spans")
        except AssertionError:
            raise AssertionError(f"waited in vain for {count} spans with {conditions}; there are:\n"
                                 f"{self.spans}\n{self.stderr}")


class TestCase(unittest.TestCase):
    """A test with a directory of its own. maxDiff is off: a wrong byte has to be seen."""
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if not (BUILD / "remora").exists() or not (BUILD / "libremora.so").exists():
            raise unittest.SkipTest(f"no remora and libremora.so in {BUILD}")

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="remora-test-"))
        self.directory.chmod(0o755)  # servers that give up root still have to read here
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.addCleanup(kill_all)

    def file(self, name, content, mode=0o644):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    def start(self, *command, **options):
        return Process(command, self.directory, **options)

    def run_traced(self, *command, expect=0, **options):
        process = self.start(*command, **options)
        process.wait(expect)
        self.check_spans(process.spans)
        return process

    def run_bare(self, *command, expect=0, **options):
        process = self.start(*command, traced=False, **options)
        process.wait(expect)
        return process

    def server(self, answer=lambda request: response()):
        server = RecordingServer(answer)
        self.addCleanup(server.close)
        return server

    def proxy(self, port):
        proxy = RecordingProxy(port)
        self.addCleanup(proxy.close)
        return proxy

    def check_spans(self, spans):
        """What holds for every set of spans of one run."""
        self.assertEqual(len({s.span_id for s in spans}), len(spans), f"span ids repeat:\n{spans}")
        for span in spans:
            self.assertRegex(span.trace_id, "^(?!0{32})[0-9a-f]{32}$")
            self.assertRegex(span.span_id, "^(?!0{16})[0-9a-f]{16}$")
            self.assertLessEqual(span.start_ns, span.end_ns, span)
            self.assertTrue(span.service, span)
            parent = spans.by_id(span.parent_id)
            if parent is not None:
                self.assertEqual(parent.trace_id, span.trace_id, f"parent of another trace:\n{span}")

    def assert_child(self, child, parent):
        self.assertEqual((child.trace_id, child.parent_id), (parent.trace_id, parent.span_id),
                         f"\n{child}\nis not a child of\n{parent}")

    def assert_carries(self, request, span, flags="03"):
        """The request that a peer got names this span as its sender."""
        self.assertEqual(request.traceparent(), (span.trace_id, span.span_id, flags), request.head)

    def assert_attributes(self, span, **expected):
        for keyword, value in expected.items():
            name = next((k for k in span.attributes if k.replace(".", "_") == keyword), None)
            self.assertEqual(span.attributes.get(name), value, f"{keyword} of {span}")

    def assert_same_bytes(self, actual, expected):
        """Byte strings, or lists of them; shows where they part."""
        if not isinstance(expected, (list, tuple)):
            actual, expected = [actual], [expected]
        self.assertEqual(len(actual), len(expected), "number of streams")
        for number, (a, b) in enumerate(zip(actual, expected)):
            a, b = bytes(a), bytes(b)
            if a != b:
                at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                self.fail(f"stream {number} ({len(a)} bytes, {len(b)} expected) differs at {at}:\n"
                          f"{a[max(0, at - 200):at + 200]!r}\nexpected:\n"
                          f"{b[max(0, at - 200):at + 200]!r}")

    def assert_only_added(self, traced, bare):
        """What the peers got is the bare program's bytes and one header a request, nothing else."""
        self.assert_same_bytes([strip_traceparent(bytes(s)) for s in traced], bare)

    def assert_only_retraced(self, traced, bare):
        """As above for programs that forward heads: a trace header that was there before may carry
        another id."""
        def masked(streams):
            return [mask_traceparent(strip_traceparent(bytes(s))) for s in streams]
        self.assert_same_bytes(masked(traced), masked(bare))


def _become_subreaper():
    # Daemons that leave their session are handed to us, so that they can be found and ended.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _descendants(root):
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        for child in children.get(todo.pop(), ()):
            found.append(child)
            todo.append(child)
    return found


def kill_all():
    """Ends every descendant of this process, stopped ones and daemons too."""
    while living := _descendants(os.getpid()):
        for pid in living:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            pass
        time.sleep(0.002)


class _Result(unittest.TextTestResult):
    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"SKIP: {reason}", flush=True)


def _give_up_after(seconds):
    """ctest ends a test that takes too long by SIGKILL, which would leave its processes behind: a
    little before that we end it ourselves, and say where it was."""
    def give_up():
        print(f"gave up after {seconds} s, here:")
        traceback.print_stack(sys._current_frames()[threading.main_thread().ident],
                              file=sys.stdout)
        sys.stdout.flush()
        kill_all()
        os._exit(1)
    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()


def main():
    """Runs the tests of the calling module. Names of tests may stand on the command line."""
    _become_subreaper()
    if "REMORA_TEST_LIMIT" in os.environ:
        _give_up_after(float(os.environ["REMORA_TEST_LIMIT"]))
    try:
        program = unittest.main(module="__main__", exit=False, verbosity=2,
                                testRunner=unittest.TextTestRunner(resultclass=_Result,
                                                                   verbosity=2))
        result = program.result
    finally:
        kill_all()
    if not result.wasSuccessful():
        sys.exit(1)
    # With a skipped class testsRun is 0.
    sys.exit(77 if result.skipped and result.testsRun <= len(result.skipped) else 0)
