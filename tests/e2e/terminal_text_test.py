# SPDX-License-Identifier: Apache-2.0
"""Text from peers, programs and collectors that would steer a terminal or break a file. What Remora
writes for people holds no control characters but line ends (and its own colours), what it writes for
machines stays well-formed."""
import os
import pty
import re
import signal
import subprocess
import threading
import unicodedata

from e2e_case import (APPS, PATIENCE, PYTHON, REMORA, EndToEndTestCase, converse, free_port, main,
                      wait_until)

EVIL = (b"\x1b[2J\x1b]0;owned\x07", b"\xc2\x9b2J", b"\xff\xfe\x80", b"\xe2\x80\xae drow", b"\x7f\x08\x08",
        b"\xf0\x9f\x92\xa9", b"\xed\xa0\x80", b"\xc0\xaf", b"a\tb\x0b\x0c", b"\xe2\x80\xa8line",
        b"<script>", b'"}],', b"%s%n%1b", b"\\u001b[2J")
COLOURS = re.compile(rb"\x1b\[[0-9;]*m")


class TerminalText(EndToEndTestCase):
    def assert_harmless(self, output, what, allowed="\n"):
        text = COLOURS.sub(b"", output).replace(b"\r\n", b"\n").decode()  # well-formed UTF-8
        bad = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")} - set(allowed)
        self.assertEqual(bad, set(), f"{what}: {text!r}")

    def requests(self, port):
        """Everything a client can put into a request that is shown or exported."""
        for evil in EVIL:
            for text in (b"GET /" + evil + b" HTTP/1.1\r\nHost: x\r\n",
                         b"GET /?q=" + evil + b" HTTP/1.1\r\nHost: x\r\n",
                         b"GET / HTTP/1.1\r\nHost: " + evil + b"\r\n",
                         b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: " + evil + b"\r\n",
                         b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: " + evil + b"\r\n",
                         b"GET / HTTP/1.1\r\nHost: x\r\nForwarded: for=\"" + evil + b"\"\r\n",
                         evil.replace(b" ", b"") + b" / HTTP/1.1\r\nHost: x\r\n",
                         b"GET http://" + evil + b"/ HTTP/1.1\r\nHost: x\r\n"):
                converse(port, text + b"Connection: close\r\n\r\n", close_write=True)

    def serve(self, *flags, environment=None, terminal=None):
        """Runs a server whose names are as bad as its requests. Returns what went to stderr."""
        folder = self.directory / "evil\x1b[2J\n"
        folder.mkdir(exist_ok=True)
        script = folder / "s\x1b[31m\u202e.py"
        script.write_bytes((APPS / "mirror.py").read_bytes())
        port = free_port()
        variables = {**os.environ, **(environment or {})}
        log = self.directory / "evil.log"
        with open(log, "wb") as file:
            process = subprocess.Popen(
                [REMORA, "run", *flags, "--", PYTHON, "-B", script, str(port)], env=variables,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
                stderr=file if terminal is None else terminal)
        def accepts():
            try:
                converse(port, b"GET /first HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return True
            except ConnectionRefusedError:
                return False
        wait_until(accepts, "the server")
        self.requests(port)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM)
        return log.read_bytes()

    def test_exported_files(self):
        output = self.directory / "spans.jsonl"
        self.assert_harmless(self.serve("--output", output, "-v", environment={
            "OTEL_SERVICE_NAME": "evil\x1b[2J\nname",
            "OTEL_RESOURCE_ATTRIBUTES": "a=%1b[2J,b=\x1b]0;x\x07,c=%ff%fe"}), "stderr")
        # JSON may hold what changes the direction of writing, but no control characters.
        self.assert_harmless(output.read_bytes(), "the file", allowed="\n\u202e\u2028")
        spans = self.read_spans(output)
        self.check_spans(spans)
        self.assertGreater(len(spans), 8 * len(EVIL) // 2)
        self.assertEqual({s.service for s in spans}, {"evil\x1b[2J\nname"})

    @staticmethod
    def read_spans(path):
        from otlp_spans import Spans  # pylint: disable=import-outside-toplevel
        return Spans.read(path)

    def test_waterfall(self):
        output = self.serve(environment={"OTEL_SERVICE_NAME": "evil\x1b[2J\r\nname"})
        self.assertIn(b"/first", output)
        self.assertIn(b"evil\\x1b[2J", output)
        self.assert_harmless(output, "the waterfall")

    def test_live(self):
        file = self.directory / "live"
        self.assert_harmless(self.serve(f"--live={file}"), "stderr")
        self.assertIn(b"/first", file.read_bytes())
        self.assert_harmless(file.read_bytes(), "the live view")
        self.assert_harmless(self.serve("--live"), "the live view on stderr")

    def test_console(self):
        output = self.serve(environment={"OTEL_TRACES_EXPORTER": "console"})
        self.assertIn(b"/first", output)
        self.assert_harmless(output, "the console")

    def test_on_a_terminal(self):
        ours, theirs = pty.openpty()
        heard = bytearray()

        def listen():
            try:
                while data := os.read(ours, 65536):
                    heard.extend(data)
            except OSError:
                pass
        listener = threading.Thread(target=listen)
        listener.start()
        try:
            self.serve(environment={"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}, terminal=theirs)
        finally:
            os.close(theirs)
            listener.join()
            os.close(ours)
        self.assertIn(b"/first", heard)
        self.assertTrue(COLOURS.search(bytes(heard)))
        self.assert_harmless(bytes(heard), "the terminal")

    def test_what_remora_says_itself(self):
        evil = "\x1b[2J\u202e\n"
        missing = self.directory / f"missing{evil}"
        plain = self.file(f"plain{evil}", "text", mode=0o644)
        static = self.file(f"static{evil}", b"\x7fELF" + bytes(60), mode=0o755)
        for command in ((REMORA, f"un{evil}known"), (REMORA, "run", f"--{evil}"),
                        (REMORA, "run", "--", missing), (REMORA, "run", "--", plain),
                        (REMORA, "run", "--", static), (REMORA, "run", f"--sampler={evil}", "true"),
                        (REMORA, "run", f"--otlp=http://{evil}/", "true"),
                        (REMORA, "run", f"--output={self.directory}/no{evil}/file", "true"),
                        (REMORA, "replay", missing), (REMORA, "replay", plain), (REMORA, "config")):
            with self.subTest(command=command):
                result = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                    stderr=subprocess.STDOUT, timeout=PATIENCE,
                    env={**os.environ, "OTEL_TRACES_SAMPLER": evil, "REMORA_LANES": evil,
                         "OTEL_EXPORTER_OTLP_HEADERS": f"a={evil}", "OTEL_SERVICE_NAME": evil,
                         "OTEL_EXPORTER_OTLP_ENDPOINT": evil, "REMORA_VIEW": evil})
                self.assert_harmless(result.stdout, command)


if __name__ == "__main__":
    main()
