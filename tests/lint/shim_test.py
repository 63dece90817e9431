# SPDX-License-Identifier: Apache-2.0
"""libremora.so as a guest: what it needs of the program, what it offers, how big it is."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("REMORA_BUILD_DIR", SOURCE / "build/release"))
LIBRARY = BUILD / "libremora.so"

# design.md, budgets; TLS: a late dlopen finds room for about 1.6 KiB.
STRIPPED_LIMIT = 200 * 1024
TLS_LIMIT = 256
# Debian 12 and Ubuntu 22.04 have more. Raising this excludes systems: do it knowingly.
NEWEST_GLIBC = (2, 34)

# Functions of libc that code in a target must not call: they allocate, lock, print, abort, throw,
# start threads or load libraries. (pthread's cleanup records only hang into the thread's own list.)
FORBIDDEN = re.compile(
    r"malloc|calloc|realloc|^free$|memalign|aligned_alloc|strn?dup$|asprintf|"
    r"pthread_(?!cleanup)|thrd_|mtx_|sem_|call_once|"
    r"^v?[fds]n?printf|^f?put[sc]|^perror|^syslog|^fopen|^fwrite|"
    r"^abort$|^exit$|^atexit|__assert|__stack_chk|_chk$|"
    r"__cxa_|_Unwind_|__gxx|_Zn|_Zd|_ZSt|_ZNSt|"
    r"dlmopen|__tls_get_addr|"
    r"^setenv|^putenv|^unsetenv|^clearenv|^getenv|setlocale|^strerror|^qsort")


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def symbols(*options):
    """(name, version or None) of dynamic symbols."""
    for line in output("nm", "-D", "--with-symbol-versions", *options, LIBRARY).splitlines():
        name, _, version = line.split()[-1].partition("@")
        yield name, version.lstrip("@") or None


def listed_hooks():
    lists = sorted((SOURCE / "preload").rglob("*.def"))
    text = "".join(path.read_text(encoding="utf-8") for path in lists)
    hooks = re.findall(r"^REMORA_HOOK(?:_[A-Z]+)?\((?:[^,()]+,\s*)?(\w+)[,)]", text, re.MULTILINE)
    assert len(hooks) == len(set(hooks)), "a hook is listed twice"
    return set(hooks)


class ShimTest(unittest.TestCase):
    def test_exports_are_the_hooks(self):
        exported = {name for name, _ in symbols("--defined-only")}
        self.assertEqual(exported, listed_hooks())
        self.assertGreater(len(exported), 60)

    def test_exports_have_no_version(self):
        self.assertEqual({v for _, v in symbols("--defined-only")}, {None})

    def test_needs_libc_alone(self):
        needed = re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-dW", LIBRARY))
        self.assertEqual(needed, ["libc.so.6"])

    def test_calls_nothing_forbidden(self):
        undefined = sorted(name for name, _ in symbols("--undefined-only"))
        self.assertEqual([n for n in undefined if FORBIDDEN.search(n)], [])
        # Its own hooks it reaches by real::, or it would trace itself.
        self.assertEqual([n for n in undefined if n in listed_hooks()], [])

    def test_loads_no_library(self):
        """dlopen is there to find libraries that are loaded already."""
        for path in sorted((SOURCE / "preload").rglob("*.cc")):
            if path.name.endswith("_test.cc"):
                continue
            for arguments in re.findall(r"dlopen\(([^;]*);", path.read_text(encoding="utf-8")):
                self.assertIn("RTLD_NOLOAD", arguments, path)

    def test_every_undefined_symbol_is_libc_s(self):
        for name, version in symbols("--undefined-only"):
            self.assertRegex(version or "", r"^GLIBC_", name)

    def test_runs_on_older_libcs(self):
        versions = {v for _, v in symbols("--undefined-only")}
        numbers = {v: tuple(map(int, v.removeprefix("GLIBC_").split("."))) for v in versions}
        newest = max(numbers, key=numbers.get)
        print("newest version of libc that is needed:", newest)
        self.assertLessEqual(numbers[newest], NEWEST_GLIBC)

    def test_thread_local_storage(self):
        sizes = [int(line.split()[5], 16) for line in output("readelf", "-lW", LIBRARY).splitlines()
                 if line.split()[:1] == ["TLS"]]
        print("thread-local bytes:", sizes)
        self.assertLess(sum(sizes), TLS_LIMIT)
        self.assertNotIn("__tls_get_addr", output("nm", LIBRARY))

    def test_size(self):
        with tempfile.TemporaryDirectory() as folder:
            stripped = os.path.join(folder, "stripped.so")
            subprocess.run(["strip", "-o", stripped, LIBRARY], check=True)
            size = os.path.getsize(stripped)
        print("stripped size:", size)
        self.assertLessEqual(size, STRIPPED_LIMIT)

    def test_how_it_is_linked(self):
        dynamic = output("readelf", "-dW", LIBRARY)
        flags = " ".join(re.findall(r"\(FLAGS(?:_1)?\)\s+(.*)", dynamic))
        for flag in ("NOW", "NODELETE"):
            self.assertIn(flag, flags)
        self.assertNotIn("TEXTREL", dynamic)
        self.assertNotIn("(FINI", dynamic, "hooks must work after destructors have run")
        # One constructor: another would be a global object that is built at run time.
        self.assertRegex(dynamic, r"\(INIT_ARRAYSZ\)\s+8 ")
        headers = output("readelf", "-lW", LIBRARY)
        self.assertRegex(headers, r"GNU_RELRO")
        self.assertNotRegex(headers, r"LOAD.* RWE ")
        self.assertRegex(headers, r"GNU_STACK.* RW ")

    def test_unwind_tables_are_there(self):
        # Cancellation, profilers and crash handlers unwind through our frames.
        self.assertIn(".eh_frame", output("readelf", "-SW", LIBRARY))

    def test_loads_without_a_word(self):
        environment = dict(os.environ, LD_PRELOAD=str(LIBRARY), LD_BIND_NOW="1")
        for extra in ({}, {"REMORA_SESSION": "1:1:3:4:" + "ab" * 16}, {"REMORA_DISABLE": "1"}):
            done = subprocess.run(["/bin/true"], env={**environment, **extra}, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
