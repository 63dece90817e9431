#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the remora command says to its user: flags, hints, programs that can't be traced, recordings."""
import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
# pylint: disable=wrong-import-position
import remora_test  # noqa: E402
from remora_test import BUILD, PATIENCE, PYTHON, need, response  # noqa: E402


def remora(*arguments, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(BUILD / "remora"), *map(str, arguments)], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE,
                          **options)


class Flags(remora_test.TestCase):
    def refused(self, *arguments):
        """What is said to a command line that is wrong: one line, exit status 2."""
        result = remora(*arguments)
        self.assertEqual((result.returncode, result.stdout), (2, ""), arguments)
        self.assertRegex(result.stderr, r"\Aremora: [^\n]+\n\Z")
        return result.stderr

    def test_wrong_flags_are_refused_with_a_hint(self):
        self.assertIn("did you mean --otlp?", self.refused("run", "--oltp", "x", "--", "true"))
        self.assertIn("--help", self.refused("run", "--nothing-like-it", "true"))
        self.assertIn("did you mean --verbose?", self.refused("run", "--verb", "true"))
        self.assertIn("did you mean remora run?", self.refused("runn", "true"))
        self.assertIn("--output needs a value", self.refused("run", "--output"))
        self.assertIn("--output needs a value", self.refused("run", "--output=", "true"))
        for wrong in ("=1", "traceidratio="):
            self.assertIn("NAME=ARGUMENT", self.refused("run", "--sampler", wrong, "true"))
        for command in ("config", "version"):
            self.assertIn("takes no arguments", self.refused(command, "x"))
        self.assertIn("which program", self.refused("run"))
        self.assertIn("which program", self.refused("run", "--quiet", "--"))
        self.assertIn("remora run -- nginx", self.refused("nginx", "-v"))
        self.assertIn("FILE", self.refused("replay"))
        self.assertIn("too many", self.refused("replay", "a", "b"))
        self.assertIn("1", self.refused("run", "--sample", "1.5", "true"))
        self.assertIn("sampler", self.refused("run", "--sampler", "sometimes", "true"))
        self.assertIn("otlp", self.refused("run", "--otlp", "collector", "true"))

    def test_an_output_that_can_not_be_opened_is_known_before_the_program_runs(self):
        trace = self.directory / "ran"
        for flag in ("--output", "--record"):
            message = self.refused("run", flag, "/no/such/folder/file", "--", "touch", trace)
            self.assertIn("/no/such/folder/file", message)
        message = self.refused("run", "--live=/no/such/folder/file", "--", "touch", trace)
        self.assertIn("/no/such/folder/file", message)
        self.assertFalse(trace.exists())

    def test_the_program_begins_where_flags_end(self):
        for command in (("echo", "--live", "-v"), ("--", "echo", "--live", "-v"),
                        ("--service", "x", "echo", "--live", "-v")):
            self.assertEqual(remora("run", "--quiet", *command).stdout, "--live -v\n")
        self.assertEqual(remora("run", "--quiet", "echo", "--", "x").stdout, "-- x\n")
        self.assertEqual(remora("run", "-q", "--", "echo", "--", "x").stdout, "-- x\n")
        self.assertEqual(remora("run", "-qv", "echo", "x").stdout, "x\n")

    def test_help_and_version(self):
        for arguments in ((), ("--help",), ("help",), ("run", "--help"), ("replay", "--help")):
            result = remora(*arguments)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("remora", result.stdout)
        self.assertIn("PROGRAM [ARGUMENTS]", remora("run", "--help").stdout)
        self.assertEqual(remora("config", "--help").stdout, remora("--help").stdout)
        self.assertRegex(remora("version").stdout, r"\Aremora \d+\.\d+\.\d+\n\Z")

    def test_config_says_where_values_come_from(self):
        result = remora("config", env={**os.environ, "OTEL_SERVICE_NAME": "shop",
                                       "OTEL_BSP_SCHEDULE_DELAY": "soon"})
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"(?m)^service.name +shop +OTEL_SERVICE_NAME$")
        self.assertRegex(result.stdout, r"(?m)^batch.schedule_delay +5000 +default$")
        self.assertIn("OTEL_BSP_SCHEDULE_DELAY", result.stderr)

    def test_quiet_is_quiet(self):
        result = remora("run", "--quiet", "--", "true")
        self.assertEqual((result.stdout, result.stderr), ("", ""))

    def test_without_a_destination_there_is_a_waterfall_at_the_end(self):
        result = remora("run", "--", "sh", "-c", "echo out; exit 3")
        self.assertEqual((result.returncode, result.stdout), (3, "out\n"))
        self.assertRegex(result.stderr, r"(?m)^trace [0-9a-f]{32} ")

    def test_the_library_must_be_there(self):
        shutil.copy(BUILD / "remora", self.directory)
        result = subprocess.run([self.directory / "remora", "run", "true"], check=False, text=True,
                                stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 125)
        self.assertIn("libremora.so is missing", result.stderr)
        self.assertIn(str(self.directory), result.stderr)


class Untraceable(remora_test.TestCase):
    """Programs that the shim can't reach run all the same, untouched, and the user is told why."""

    def run_untraced(self, *command, says, prefix=(), flags=(), status=0):
        result = subprocess.run([*prefix, str(BUILD / "remora"), "run", *flags, "--",
                                 *map(str, command)], check=False, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                stdin=subprocess.DEVNULL, timeout=PATIENCE)
        self.assertEqual(result.returncode, status, result.stderr)
        lines = result.stderr.split("\n")
        self.assertEqual(len(lines), 2, result.stderr)
        self.assertTrue(lines[0].startswith("remora: not traced: "), lines[0])
        self.assertIn(says, lines[0])
        return result.stdout

    def compiled(self, name, *flags, source="#include <stdio.h>\n#include <stdlib.h>\n"
                 "#include <unistd.h>\nint main(void) { const char *p = getenv(\"LD_PRELOAD\");"
                 " printf(\"%s %d\\n\", p ? p : \"none\", (int)getpid()); return 6; }\n"):
        need("gcc")
        path = self.directory / name
        built = subprocess.run(["gcc", *flags, "-x", "c", "-", "-o", path], input=source, text=True,
                               check=False, stderr=subprocess.PIPE)
        if built.returncode != 0:
            self.skipTest(f"gcc {' '.join(flags)} does not work here")
        return path

    def test_static_programs(self):
        program = self.compiled("static", "-static")
        output = self.run_untraced(program, says="statically linked", status=6)
        self.assertTrue(output.startswith("none "))
        program = self.compiled("static-pie", "-static-pie")
        self.run_untraced(program, says="statically linked", status=6)

    def test_we_become_the_program(self):
        program = self.compiled("static", "-static")
        process = subprocess.Popen([BUILD / "remora", "run", "--quiet", program],
                                   stdout=subprocess.PIPE, text=True)
        output, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual(output, f"none {process.pid}\n")

    def test_scripts_are_judged_by_their_interpreter(self):
        interpreter = self.compiled("static", "-static")
        script = self.file("script", f"#! {interpreter} -x\n", 0o755)
        self.run_untraced(script, says=f"{interpreter} is statically linked", status=6)
        nested = self.file("nested", f"#!{script}\n", 0o755)
        self.run_untraced(nested, says=f"{interpreter} is statically linked", status=6)

    def test_programs_without_libc(self):
        source = "void _start(void) { __asm__(\"mov $60, %eax; mov $5, %edi; syscall\"); }\n"
        program = self.compiled("libc-free", "-nostdlib", "-pie", "-fPIE",
                                "-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2", source=source)
        self.run_untraced(program, says="does not use the C library", status=5)

    def test_programs_of_another_libc(self):
        program = self.compiled("other-libc", "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1")
        result = remora("run", program)
        self.assertIn("/lib/ld-musl-x86_64.so.1", result.stderr.split("\n")[0])

    def test_programs_for_another_machine(self):
        program = self.compiled("other-machine", "-static")
        content = bytearray(program.read_bytes())
        content[18:20] = (183).to_bytes(2, "little")  # e_machine: AArch64
        program.write_bytes(content)
        result = remora("run", program)
        self.assertIn("64-bit ARM", result.stderr.split("\n")[0])
        self.assertEqual(result.returncode, 126)

    def test_go_programs(self):
        go = shutil.which("go")
        if go is None:
            self.skipTest("no Go program here")
        self.run_untraced(go, "version", says="is a Go program")

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_privileged_programs(self):
        need("setpriv")
        for name in ("remora", "libremora.so"):
            shutil.copy(BUILD / name, self.directory)
        somebody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        program = self.directory / "true"
        shutil.copy("/bin/true", program)
        for mode, says in ((0o4755, "is setuid"), (0o2755, "is setgid")):
            program.chmod(mode)
            result = subprocess.run([*somebody, self.directory / "remora", "run", program],
                                    check=False, text=True, stderr=subprocess.PIPE, cwd="/")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(says, result.stderr)
            # For root nothing is raised: traced.
            self.assertNotIn(says, remora("run", program).stderr)
        # Group execution taken away, the bit means something else.
        program.chmod(0o2745)
        result = subprocess.run([*somebody, self.directory / "remora", "run", program],
                                check=False, text=True, stderr=subprocess.PIPE, cwd="/")
        self.assertNotIn("setgid", result.stderr)
        program.chmod(0o755)
        if shutil.which("setcap") and subprocess.run(["setcap", "cap_net_raw+ep", program],
                                                     check=False).returncode == 0:
            result = subprocess.run([*somebody, self.directory / "remora", "run", program],
                                    check=False, text=True, stderr=subprocess.PIPE, cwd="/")
            self.assertIn("file capabilities", result.stderr)


class Recordings(remora_test.TestCase):
    def test_a_replay_gives_the_spans_of_the_run(self):
        server = self.server(lambda request: response(body=b"hello"))
        recording = self.directory / "recording"
        live, replayed = self.directory / "live.jsonl", self.directory / "replayed.jsonl"
        script = (f"import urllib.request\n"
                  f"for i in range(5):\n"
                  f"    urllib.request.urlopen('http://127.0.0.1:{server.port}/x').read()\n")
        result = remora("run", "--output", live, "--record", recording, "--", PYTHON, "-c", script)
        self.assertEqual(result.returncode, 0, result.stderr)
        result = remora("replay", recording, "--output", replayed)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        expected = remora_test.Spans.read(live)
        found = remora_test.Spans.read(replayed)
        self.assertEqual(len(expected), 6)  # five requests and the process

        def essence(spans):
            return sorted((s.span_id, s.trace_id, s.parent_id, s.name, s.start_ns, s.end_ns)
                          for s in spans)
        self.assertEqual(essence(found), essence(expected))

    def test_a_damaged_recording_gives_what_is_left_of_it(self):
        recording = self.directory / "recording"
        self.assertEqual(remora("run", "--quiet", "--record", recording, "true").returncode, 0)
        whole = recording.read_bytes()
        recording.write_bytes(whole + b"\x18\0\0\0\x02")
        result = remora("replay", recording)
        self.assertEqual(result.returncode, 1)
        self.assertIn("is cut", result.stderr)
        self.assertIn("trace ", result.stderr)
        recording.write_bytes(b"\0" * 100)
        result = remora("replay", recording)
        self.assertEqual(result.returncode, 1)
        self.assertIn("is not a recording", result.stderr)


if __name__ == "__main__":
    remora_test.main()
