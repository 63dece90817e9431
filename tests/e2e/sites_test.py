# SPDX-License-Identifier: Apache-2.0
"""Programs and Remora itself in odd places: other roots, users and namespaces, folders that are gone,
names with blanks, closed descriptors, small limits, installed somewhere."""
import os
import resource
import shutil
import subprocess
import unittest

from e2e_case import (APPS, BUILD, PATIENCE, PYTHON, REMORA, EndToEndTestCase, fetch, free_port,
                      main, need, need_root)
from otlp_spans import Spans

SERVER = """
import http.server, os, sys
{before}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = self.path.encode() + b"\\n"
        self.send_response(200); self.send_header("Content-Length", str(len(body)))
        self.end_headers(); self.wfile.write(body)
        if self.path == "/quit": self.wfile.flush(); os._exit(7)
    def log_message(self, *a): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
{after}
server.serve_forever()
"""
DROP = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"


def need_unshare(*flags):
    need("unshare")
    if subprocess.run(["unshare", *flags, "true"], stderr=subprocess.DEVNULL,
                      check=False).returncode != 0:
        raise unittest.SkipTest(f"unshare {' '.join(flags)} is not allowed here")


class Servers(EndToEndTestCase):
    def serve(self, before="", after="", wrapper=(), **options):
        script = self.file("server.py", SERVER.format(before=before, after=after))
        port = free_port()
        process = self.start(*wrapper, PYTHON, "-B", script, port, **options).wait_for_port(port)
        for n in range(20):
            self.assertEqual(fetch(port, f"/{n}"), f"/{n}\n".encode())
        # Not by a signal: process 1 of a pid namespace, and who waits for it, ignore most of them.
        self.assertEqual(fetch(port, "/quit"), b"/quit\n")
        process.wait(7)
        self.check_spans(process.spans)
        self.assertEqual(len(process.spans.where(kind="server")), 21)
        return process

    def test_chroot(self):
        need_root()
        root = self.directory / "root"
        root.mkdir()
        # Nothing of ours is in there, not even /proc.
        self.serve(before="import encodings.idna",
                   after=f"os.chroot({str(root)!r}); os.chdir('/')")
        self.serve(before="import encodings.idna", after=f"os.chroot({str(root)!r}); {DROP}")

    def test_privileges_dropped_by_the_program(self):
        need_root()
        self.serve(after=DROP)
        self.serve(before=DROP)

    def test_other_users(self):
        need_root()
        need("setpriv", "su")
        shutil.copy(BUILD / "libremora.so", self.directory)
        environment = {"REMORA_LIBRARY": str(self.directory / "libremora.so")}
        wrappers = [("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
                    ("setpriv", "--no-new-privs"),
                    ("setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all")]
        for wrapper in wrappers:
            with self.subTest(wrapper=wrapper):
                self.serve(wrapper=wrapper, environment=environment)

    def test_su(self):
        need_root()
        need("su")
        # It may clean the environment, and be setuid: whatever it does, the program runs as bare.
        for arguments in (("nobody", "-s", "/bin/sh", "-c", "id -un; exit 3"),
                          ("-", "nobody", "-s", "/bin/sh", "-c", "id -un; exit 3"),
                          ("-m", "nobody", "-s", "/bin/sh", "-c", "id -un; exit 3")):
            with self.subTest(arguments=arguments):
                bare = self.start("su", *arguments, traced=False)
                status = bare.wait(None)
                traced = self.start("su", *arguments)
                traced.wait(status)
                self.assertEqual(traced.stdout, bare.stdout)

    def test_namespaces(self):
        for flags in (("--pid", "--fork"), ("--pid", "--fork", "--mount-proc"), ("--mount",),
                      ("--uts", "--ipc"), ("--user", "--map-root-user"), ("--cgroup",)):
            with self.subTest(flags=flags):
                try:
                    need_unshare(*flags)
                except unittest.SkipTest as skip:
                    print(f"SKIP: {skip}", flush=True)
                    continue
                extra = ("--kill-child",) if "--fork" in flags else ()
                self.serve(wrapper=("unshare", *flags, *extra))

    def test_network_namespace(self):
        need_root()
        need_unshare("--net")
        need("ip", "curl")
        script = self.file("server.py", SERVER.format(before="", after=""))
        # Its own loopback: client and server both inside.
        process = self.start("unshare", "--net", "/bin/sh", "-c", f"""
ip link set lo up
{PYTHON} -B {script} 8080 & server=$!
curl -s --retry 50 --retry-connrefused --retry-delay 1 http://127.0.0.1:8080/x
kill $server
wait $server 2>/dev/null
exit 6
""")
        process.wait(6)
        self.assertEqual(process.stdout, b"/x\n")
        self.assert_child(process.spans.one(kind="server"),
                          max(process.spans.where(kind="client"), key=lambda s: s.start_ns))

    def test_remora_in_a_namespace(self):
        for flags in (("--pid", "--fork", "--mount-proc", "--kill-child"), ("--mount",),
                      ("--user", "--map-root-user")):
            with self.subTest(flags=flags):
                need_unshare(*flags)
                output = self.directory / "inside.jsonl"
                result = subprocess.run(
                    ["unshare", *flags, REMORA, "run", "--output", output, "--", "/bin/sh", "-c",
                     "/bin/true; exit 3"], check=False, timeout=PATIENCE, stdin=subprocess.DEVNULL)
                self.assertEqual(result.returncode, 3)
                self.assertEqual(len(Spans.read(output)), 2)

    def test_full_shared_memory(self):
        need_root()
        need_unshare("--mount")
        output = self.directory / "full.jsonl"
        result = subprocess.run(
            ["unshare", "--mount", "/bin/sh", "-c",
             "mount -t tmpfs -o size=4k none /dev/shm; cat /dev/zero > /dev/shm/full 2>/dev/null; "
             f"exec {REMORA} run --output {output} -- /bin/sh -c '/bin/true; exit 3'"],
            check=False, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        self.assertEqual(result.returncode, 3)
        self.assertEqual(len(Spans.read(output)), 2)


class Places(EndToEndTestCase):
    def remora(self, *arguments, expect=0, remora=REMORA, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        result = subprocess.run([str(remora), *map(str, arguments)], check=False,
                                timeout=PATIENCE, **options)
        self.assertEqual(result.returncode, expect, result.stderr)
        return result

    def test_names_with_blanks(self):
        for name in ("a b c", "tab\there", "line\nbreak", "ümlaut ☃", "quote'\"s", "-dash", "$(x)"):
            with self.subTest(name=name):
                script = self.file(f"folder {name}/{name}", "#!/bin/sh\n/bin/echo \"$1\"; exit 5\n", 0o755)
                output = self.directory / "names.jsonl"
                result = self.remora("run", "--output", output, "--", script, name, expect=5)
                self.assertEqual(result.stdout.decode(), name + "\n")
                self.assertEqual(len(Spans.read(output)), 2)

    def test_without_an_environment(self):
        output = self.directory / "empty.jsonl"
        for environment in ({}, {"HOME": "/nowhere"}, {"PATH": ""}, {"TMPDIR": "/nowhere"}):
            self.remora("run", "--output", output, "--", "/bin/sh", "-c", "/bin/true; exit 4",
                        env=environment, expect=4)
            self.assertEqual(len(Spans.read(output)), 2, environment)

    def test_closed_standard_descriptors(self):
        output = self.directory / "closed.jsonl"
        for closed in ("0<&-", "1>&-", "2>&-", "0<&- 1>&-", "0<&- 1>&- 2>&-"):
            with self.subTest(closed=closed):
                inner = f"ls /proc/self/fd > {self.directory}/fds; exit 3"
                expected = subprocess.run(["/bin/sh", "-c", f"/bin/sh -c '{inner}' {closed}"],
                                          check=False, stdin=subprocess.DEVNULL).returncode
                bare = (self.directory / "fds").read_text()
                self.remora("-c", f"{REMORA} run --output {output} -- /bin/sh -c '{inner}' {closed}",
                            remora="/bin/sh", expect=expected)
                self.assertEqual((self.directory / "fds").read_text(), bare)
                self.assertGreater(len(Spans.read(output)), 0)

    def test_folders(self):
        output = self.directory / "folders.jsonl"
        run = f"{REMORA} run --output {output} -- /bin/sh -c '/bin/true; exit 3'"
        gone = self.directory / "gone"
        cases = {"gone": f"mkdir {gone}; cd {gone}; rmdir {gone}; {run}",
                 "root": f"cd /; {run}", "proc": f"cd /proc/self; {run}",
                 "relative": f"cd {REMORA.parent}; ./remora run --output {output} -- /bin/sh -c "
                             "'cd /; /bin/true; exit 3'",
                 "by PATH": f"cd /; PATH={REMORA.parent}:$PATH; remora run --output {output} -- "
                            "sh -c '/bin/true; exit 3'",
                 "by a link": f"ln -sf {REMORA} {self.directory}/link; {self.directory}/link run "
                              f"--output {output} -- /bin/sh -c '/bin/true; exit 3'"}
        for name, command in cases.items():
            with self.subTest(folder=name):
                self.remora("-c", command, remora="/bin/sh", expect=3)
                self.assertEqual(len(Spans.read(output)), 2)

    def test_read_only_folder(self):
        folder = self.directory / "read only"
        folder.mkdir(mode=0o555)
        # Nothing is written but what was asked for.
        self.remora("run", "--quiet", "--", "/bin/true", cwd=folder)
        self.assertEqual(list(folder.iterdir()), [])

    def test_small_limits(self):
        for name, limit, value in (("files", resource.RLIMIT_NOFILE, 32),
                                   ("file size", resource.RLIMIT_FSIZE, 1 << 18),
                                   ("stack", resource.RLIMIT_STACK, 256 << 10),
                                   ("core", resource.RLIMIT_CORE, 0)):
            with self.subTest(limit=name):
                output = self.directory / "limits.jsonl"
                # Only the soft limit: the program must find it as it was.
                script = f"import resource; print(resource.getrlimit({limit})[0])"
                _, hard = resource.getrlimit(limit)
                result = self.remora(
                    "run", "--output", output, "--", PYTHON, "-c", script,
                    preexec_fn=lambda l=limit, v=value, h=hard: resource.setrlimit(l, (v, h)))
                self.assertEqual(result.stdout, b"%d\n" % value)
                self.assertEqual(len(Spans.read(output)), 1)

    def test_limits_that_a_program_sets(self):
        script = self.file("limit.py", """
import resource, subprocess, sys
limit = getattr(resource, sys.argv[1])
resource.setrlimit(limit, (int(sys.argv[2]), resource.getrlimit(limit)[1]))
sys.exit(subprocess.run(["/bin/sh", "-c", "/bin/echo child; exit 3"]).returncode)
""")
        for limit, value in (("RLIMIT_AS", 200 << 20), ("RLIMIT_FSIZE", 0), ("RLIMIT_NOFILE", 20),
                             ("RLIMIT_DATA", 64 << 20), ("RLIMIT_MEMLOCK", 0)):
            with self.subTest(limit=limit):
                bare = self.run_bare(PYTHON, "-B", script, limit, value, expect=None)
                traced = self.start(PYTHON, "-B", script, limit, value)
                traced.wait(bare.wait(None))
                self.assertEqual((traced.stdout, traced.stderr), (bare.stdout, bare.stderr))

    def test_installed(self):
        need("cmake")
        prefix = self.directory / "prefix"
        installed = subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], check=False,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if installed.returncode != 0:
            raise unittest.SkipTest("cmake --install fails here: " +
                                    installed.stdout.decode().splitlines()[-1])
        remora, = prefix.rglob("bin/remora")
        output = self.directory / "installed.jsonl"
        for cwd in ("/", self.directory):
            self.remora("run", "--output", output, "--", "/bin/sh", "-c", "/bin/true; exit 3",
                        remora=remora, expect=3, cwd=cwd)
            self.assertEqual(len(Spans.read(output)), 2)


if __name__ == "__main__":
    main()
