# SPDX-License-Identifier: Apache-2.0
"""Hooks that run before the shim's constructor, after its time, or in a process it came to late."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from process_case import ProcessTestCase, main, need  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


class OrderTest(ProcessTestCase):
    def compile(self, name, text, *options):
        need("cc")
        source = os.path.join(self.folder, name + ".c")
        pathlib.Path(source).write_text(text, encoding="ascii")
        program = os.path.join(self.folder, name)
        subprocess.run(["cc", "-o", program, source, *options], check=True)
        return program

    def test_constructors_and_destructors_of_libraries(self):
        need("cc")
        library = os.path.join(self.folder, "libearly.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, HERE / "early_late.c"], check=True)
        program = self.compile("program", "int main(void) { return 4; }\n", "-Wl,--no-as-needed",
                               library, "-Wl,-rpath," + self.folder)
        result = self.same(program)
        self.assertEqual(result.returncode, 4)
        for when in ("early", "late"):
            self.assertEqual(result.stdout.count(when + " "), 14)
            self.assertIn(when + " fork and exec 6\n", result.stdout)
        self.assertEqual(self.ended("program")[0].exit_code, 4)

    def test_a_program_without_libc(self):
        # As Go makes them: dynamic, with a runtime of its own.
        text = r"""
            #include <sys/syscall.h>
            static long call(long n, long a, long b, long c) {
                long r;
                __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c)
                                 : "rcx", "r11", "memory");
                return r;
            }
            void _start(void) { call(SYS_write, 1, (long)"hello\n", 6); call(SYS_exit_group, 3, 0, 0); }
        """
        program = self.compile("alone", text, "-nostdlib", "-fPIE", "-pie", "-Wl,-z,now",
                               "-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2",
                               "-fno-stack-protector")
        result = self.same(program)
        self.assertEqual((result.returncode, result.stdout), (3, "hello\n"))
        self.assertEqual(self.agent.processes("alone"), [])

    def test_loaded_late(self):
        script = ("import ctypes, os, sys, threading\n"
                  "threads = [threading.Thread(target=lambda: None) for _ in range(8)]\n"
                  "if sys.argv[1]: ctypes.CDLL(sys.argv[1])\n"
                  "for t in threads: t.start()\n"
                  "for t in threads: t.join()\n"
                  "print(os.path.exists('/'))\n")
        environment = self.agent.environment()
        del environment["LD_PRELOAD"]
        for library in ("", self.agent.library):
            result = self.agent.run(["/usr/bin/python3", "-c", script, library], env=environment,
                                    text=True)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "True\n", ""))

    def test_loaded_through_the_loader_itself(self):
        self.same("/lib64/ld-linux-x86-64.so.2", "/bin/echo", "x")
        bare = self.bare("/lib64/ld-linux-x86-64.so.2", "/bin/echo", "x")
        result = subprocess.run(["/lib64/ld-linux-x86-64.so.2", "--preload", self.agent.library,
                                 "/bin/echo", "x"], stdout=subprocess.PIPE, text=True, check=False,
                                env={"REMORA_SESSION": self.agent.session_text})
        self.assertEqual((result.returncode, result.stdout), (bare.returncode, bare.stdout))


if __name__ == "__main__":
    main()
