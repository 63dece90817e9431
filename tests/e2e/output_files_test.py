#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where spans and traces are written to: FIFOs, pipes that nobody empties, held terminals, the
program's own log. None of them may hold up the program, or keep remora from ending."""
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
# pylint: disable=wrong-import-position
import remora_test  # noqa: E402
from remora_test import BUILD, PATIENCE, wait_until  # noqa: E402

F_SETPIPE_SZ = 1031


class Outputs(remora_test.TestCase):
    def popen(self, *arguments, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("start_new_session", True)
        process = subprocess.Popen([str(BUILD / "remora"), "run", *map(str, arguments)], **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_a_fifo_without_a_reader_is_refused_at_once(self):
        fifo = self.directory / "fifo"
        os.mkfifo(fifo)
        for flag in (f"--output={fifo}", f"--live={fifo}", f"--record={fifo}"):
            process = self.popen(flag, "--", "touch", self.directory / "ran",
                                 stderr=subprocess.PIPE, text=True)
            _, message = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 2, flag)
            self.assertIn("start its reader first", message)
        self.assertFalse((self.directory / "ran").exists())

    def test_a_reader_that_stops_reading_is_not_waited_for(self):
        fifo = self.directory / "fifo"
        os.mkfifo(fifo)
        for flag in (f"--output={fifo}", f"--live={fifo}", f"--record={fifo}"):
            reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
            fcntl.fcntl(reader, F_SETPIPE_SZ, 4096)
            process = self.popen(flag, "--", "sh", "-c", "for i in $(seq 40); do env true; done",
                                 stderr=subprocess.PIPE, text=True,
                                 env={**os.environ, "REMORA_DRAIN_TIMEOUT": "1"})
            _, message = process.communicate(timeout=PATIENCE)
            os.close(reader)
            self.assertEqual(process.returncode, 0, flag)
            self.assertIn("its reader does not read", message, flag)

    def test_the_programs_log_may_be_the_output(self):
        log = self.directory / "log"
        log.write_text("before\n")
        with open(log, "ab") as stdout:
            process = self.popen("--output", "/dev/stdout", "--", "sh", "-c", "echo out; exit 3",
                                 stdout=stdout)
            self.assertEqual(process.wait(PATIENCE), 3)
        lines = log.read_text().splitlines()
        self.assertEqual(lines[:2], ["before", "out"])
        self.assertIn("resourceSpans", json.loads(lines[2]))

    def test_a_view_on_a_full_disk_is_told(self):
        process = self.popen("--live=/dev/full", "--", "true", stderr=subprocess.PIPE, text=True)
        _, message = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0)
        self.assertIn("/dev/full is cut: No space left on device", message)

    def test_whoever_does_not_want_to_wait_for_a_stuck_reader_sends_a_signal(self):
        reader, writer = os.pipe()
        fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
        os.set_blocking(writer, False)
        os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
        ready = self.directory / "ready"
        process = self.popen("--", "sh", "-c", f"touch {ready}; exit 7", stderr=writer)
        wait_until(ready.exists, "the program to run")
        # Twice, as a finger on Ctrl-C is: it waits for its reader, but not for ever.
        def ended():
            process.send_signal(signal.SIGINT)
            return process.poll() is not None
        wait_until(ended, "the end of remora")
        self.assertEqual(process.returncode, 7)
        os.close(reader)
        os.close(writer)

    def test_counts_are_of_spans(self):
        files = ["--output", self.directory / "a", "-v"]
        process = self.popen(*files, "--", "true", stderr=subprocess.PIPE, text=True,
                             env={**os.environ, "OTEL_TRACES_EXPORTER": "console"})
        _, message = process.communicate(timeout=PATIENCE)
        self.assertIn("remora: 1 span exported\n", message)
        process = self.popen("-v", "--", "true", stderr=subprocess.PIPE, text=True)
        _, message = process.communicate(timeout=PATIENCE)
        self.assertNotIn("exported", message)  # nothing was to be

    def test_narrow_terminals(self):
        for columns in (1, 20, 500):
            child, terminal = pty.openpty()
            fcntl.ioctl(terminal, 0x5414, bytes([24, 0, columns % 256, columns // 256]) + b"\0" * 4)
            process = self.popen("--", "true", stderr=terminal)
            self.assertEqual(process.wait(PATIENCE), 0)
            os.close(terminal)
            self.assertIn(b"trace", os.read(child, 65536))
            os.close(child)


if __name__ == "__main__":
    remora_test.main()
