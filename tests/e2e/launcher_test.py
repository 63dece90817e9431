#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`remora run` as a parent that nobody notices: exit status, descriptors, signals, survivors."""
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
# pylint: disable=wrong-import-position
import remora_test  # noqa: E402
from remora_test import BUILD, PATIENCE, PYTHON, wait_until  # noqa: E402

REMORA = str(BUILD / "remora")
MARK = signal.SIGRTMIN + 1  # dequeued after all standard signals: what came before it is done with

# Notes every signal that it gets in the file that is its argument; MARK is noted, too.
NOTE_SIGNALS = """
import os, signal, sys
log = open(sys.argv[1], "a", buffering=1)
def note(number, frame): log.write(f"{number}\\n")
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT,
               signal.SIGWINCH, signal.SIGRTMIN + 1):
    signal.signal(number, note)
log.write(f"pid {os.getpid()}\\n")
# Not pause(): a signal just before it would be noted only after the next one.
reader, writer = os.pipe()
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer)
while True: os.read(reader, 64)
"""


def run(*command, **options):
    options.setdefault("timeout", PATIENCE)
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([REMORA, "run", "--quiet", "--", *map(str, command)], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def bare(*command, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(c) for c in command], check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **options)


def alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Launched(remora_test.TestCase):
    """Helpers for commands that go on running."""

    def launch(self, *command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("start_new_session", True)
        flags = options.pop("flags", ("--quiet",))
        # In a file: whoever holds a pipe open would hold up the reader.
        self.log = self.directory / "stderr"
        with open(self.log, "wb") as log:
            return subprocess.Popen([REMORA, "run", *flags, "--", *map(str, command)], stderr=log,
                                    **options)

    def note_signals(self):
        """A traced program that notes signals. Returns remora, its pid, and what it noted."""
        log = self.directory / "signals"
        script = self.file("note_signals.py", NOTE_SIGNALS)
        remora = self.launch(PYTHON, script, log)
        lines = wait_until(lambda: log.exists() and log.read_text().split("\n")[:-1], "a pid")
        return remora, int(lines[0].split()[1]), lambda: log.read_text().split("\n")[1:-1]

    def wait_for_mark(self, remora, noted):
        """Until everything that was sent to remora before has gone where it should."""
        before = noted().count(str(int(MARK)))
        os.kill(remora.pid, MARK)
        wait_until(lambda: noted().count(str(int(MARK))) > before, "the mark")


class ExitStatus(Launched):
    def test_exit_codes_are_the_programs(self):
        for code in (0, 1, 3, 126, 127, 255):
            self.assertEqual(run("sh", "-c", f"exit {code}").returncode, code)

    def test_death_by_signal_is_the_programs(self):
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT,
                       signal.SIGPIPE, signal.SIGRTMIN):
            self.assertEqual(run("sh", "-c", f"kill -{int(number)} $$").returncode, -number)

    def test_no_second_core_dump(self):
        process = subprocess.Popen([REMORA, "run", "--quiet", "sh", "-c",
                                    "ulimit -c unlimited; kill -ABRT $$"], cwd=self.directory)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = 0
        self.assertTrue(os.WIFSIGNALED(status))
        self.assertFalse(os.WCOREDUMP(status))

    def test_what_can_not_run(self):
        plain = self.file("plain", "text\n")
        orphan = self.file("orphan", "#!/no/such/interpreter\n", 0o755)
        for command, status, says in (
                ("no-such-program-of-any-kind", 127, "not found"),
                ("/no/such/path", 127, "no such file"),
                (self.directory, 126, "is a directory"),
                (plain, 126, "not executable"),
                (orphan, 127, "/no/such/interpreter is missing")):
            result = run(command)
            self.assertEqual(result.returncode, status, command)
            self.assertEqual(result.stderr.decode().count("\n"), 1)
            self.assertIn(says, result.stderr.decode())

    def test_a_script_without_an_interpreter_is_for_sh(self):
        script = self.file("script", "echo $0 $1; exit 5\n", 0o755)
        result = run(script, "x")
        self.assertEqual((result.returncode, result.stdout.decode()), (5, f"{script} x\n"))

    def test_runs_from_anywhere_with_its_library_beside_it(self):
        for name in ("remora", "libremora.so"):
            shutil.copy(BUILD / name, self.directory)
        result = subprocess.run([self.directory / "remora", "run", "--quiet", "--", "sh", "-c",
                                 "echo $LD_PRELOAD"], cwd="/", stdout=subprocess.PIPE, check=True)
        self.assertEqual(result.stdout.decode().strip(), str(self.directory / "libremora.so"))


class Surroundings(Launched):
    """What the program finds is what it would find without us."""

    def test_arguments_and_empty_ones(self):
        command = ("/usr/bin/printf", "[%s]", "", "--", "a b", "-v", "--live")
        self.assertEqual(run(*command).stdout, bare(*command).stdout)

    def test_name_of_the_program_is_as_typed(self):
        self.assertEqual(run("sh", "-c", "echo $0").stdout, b"sh\n")

    def test_environment_but_for_ours(self):
        ours = ("LD_PRELOAD", "REMORA_SESSION", "TRACEPARENT", "TRACESTATE")

        def environment(result):
            lines = result.stdout.decode().split("\0")
            return sorted(l for l in lines if l and l.partition("=")[0] not in ours)
        self.assertEqual(environment(run("env", "-0")), environment(bare("env", "-0")))

    def test_descriptors(self):
        for closed in ((), (0,), (1,), (2,), (0, 1, 2)):
            def close():
                for fd in closed:
                    os.close(fd)
            target = self.directory / "fds"
            # By exec, so that a shell of ours opens nothing of its own.
            command = (PYTHON, "-S", "-c", "import os, sys\n"
                       "open_fds = []\n"
                       "for fd in range(64):\n"
                       "    try: os.fstat(fd); open_fds.append(fd)\n"
                       "    except OSError: pass\n"
                       f"open({str(target)!r}, 'w').write(repr(open_fds))")
            found = []
            for prefix in ((REMORA, "run", "--quiet", "--"), ()):
                subprocess.run([*prefix, *command], preexec_fn=close, check=True,
                               stdin=subprocess.DEVNULL, timeout=PATIENCE)
                found.append(target.read_text())
            self.assertEqual(found[0], found[1], f"with {closed} closed")

    def test_signal_mask_and_dispositions(self):
        def unusual():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
        command = ("grep", "-E", "Sig|Shd", "/proc/self/status")
        for prepare in (unusual, None):
            traced = run(*command, preexec_fn=prepare, start_new_session=True)
            self.assertEqual(traced.stdout, bare(*command, preexec_fn=prepare).stdout)
            self.assertEqual(traced.returncode, 0)

    def test_limits_group_session_and_folder(self):
        script = ("import os, resource\n"
                  "print(os.getcwd(), os.getpgrp() == os.getpgid(os.getppid()),"
                  " os.getsid(0) == os.getsid(os.getppid()), os.nice(0),"
                  " [resource.getrlimit(i) for i in range(16)])")

        def limit():
            import resource
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 30))
            os.nice(1)
        options = {"cwd": self.directory, "preexec_fn": limit}
        traced = run(PYTHON, "-c", script, **options)
        self.assertEqual(traced.stdout, bare(PYTHON, "-c", script, **options).stdout)
        self.assertIn(b"True True 1", traced.stdout)

    def test_orphans_go_where_they_went(self):
        script = ("import os, time\n"
                  "if os.fork() == 0:\n"
                  "    me = os.getppid()\n"
                  "    if os.fork() == 0:\n"
                  "        while os.getppid() not in (1, int(os.environ['SUBREAPER'])):\n"
                  "            time.sleep(0.001)\n"
                  "        print('adopted', os.getppid()); os._exit(0)\n"
                  "    os._exit(0)\n"
                  "os.wait()")
        environment = {**os.environ, "SUBREAPER": str(os.getpid())}
        adopted = run(PYTHON, "-c", script, env=environment).stdout
        self.assertEqual(adopted, bare(PYTHON, "-c", script, env=environment).stdout)

    def test_preloads_of_the_user_stay(self):
        other = self.directory / "libother.so"
        shutil.copy(BUILD / "libremora.so", other)
        result = run("sh", "-c", "echo $LD_PRELOAD",
                     env={**os.environ, "LD_PRELOAD": str(other)})
        self.assertEqual(result.stdout.decode(), f"{other}:{BUILD / 'libremora.so'}\n")

    def test_the_service_name_is_in_its_environment(self):
        process = self.launch("sh", "-c", "echo $OTEL_SERVICE_NAME",
                              flags=("--quiet", "--service", "shop"), stdout=subprocess.PIPE)
        self.assertEqual(process.communicate(timeout=PATIENCE)[0], b"shop\n")


class Descriptors(Launched):
    def test_bytes_pass_unchanged(self):
        data = bytes(range(256)) * 5000
        result = run("cat", stdin=None, input=data)
        self.assertEqual(result.stdout, data)
        result = run("sh", "-c", "echo out; echo err >&2")
        self.assertEqual((result.stdout, result.stderr), (b"out\n", b"err\n"))

    def test_readers_see_the_end_of_a_pipe(self):
        reader, writer = os.pipe()
        process = self.launch(PYTHON, "-c", "import os, signal; os.close(1); "
                              f"os.close({writer}); signal.pause()", stdout=subprocess.PIPE,
                              pass_fds=(writer,))
        os.close(writer)
        for pipe in (process.stdout.fileno(), reader):
            self.assertTrue(select.select([pipe], [], [], PATIENCE)[0], "somebody holds the pipe")
            self.assertEqual(os.read(pipe, 1), b"")
        self.assertIsNone(process.poll())  # it still runs, we are not in the way
        os.close(reader)
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), -signal.SIGTERM)

    def test_writers_see_that_nobody_reads(self):
        process = self.launch(PYTHON, "-c", "import os, signal; os.close(0); print('closed', "
                              "flush=True); signal.pause()",
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"closed\n")

        def refused():
            try:
                os.write(process.stdin.fileno(), b"x")
            except BrokenPipeError:
                return True
            return False
        wait_until(refused, "EPIPE")
        process.terminate()
        process.wait(PATIENCE)


class Signals(Launched):
    def test_a_signal_for_us_alone_reaches_the_program_once(self):
        remora, _, noted = self.note_signals()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT,
                       signal.SIGUSR1):
            for _ in range(3):
                before = noted().count(str(int(number)))
                os.kill(remora.pid, number)
                self.wait_for_mark(remora, noted)
                self.assertEqual(noted().count(str(int(number))), before + 1, number)

    def test_a_signal_for_the_group_reaches_the_program_once(self):
        remora, _, noted = self.note_signals()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT,
                       signal.SIGUSR1, signal.SIGWINCH):
            for _ in range(5):
                before = noted().count(str(int(number)))
                os.killpg(remora.pid, number)
                wait_until(lambda: noted().count(str(int(number))) > before, "the signal")
                self.wait_for_mark(remora, noted)
                self.assertEqual(noted().count(str(int(number))), before + 1, number)

    def test_a_signal_for_the_program_is_its_own(self):
        remora, pid, noted = self.note_signals()
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: noted().count("15") > 0, "the signal")
        self.wait_for_mark(remora, noted)
        self.assertEqual(noted().count("15"), 1)
        self.assertIsNone(remora.poll())

    def test_a_signal_for_the_programs_parent_goes_to_ours(self):
        received = []
        previous = signal.signal(signal.SIGUSR1, lambda number, frame: received.append(number))
        self.addCleanup(signal.signal, signal.SIGUSR1, previous)
        process = self.launch("sh", "-c", "kill -USR1 $PPID; read line", stdin=subprocess.PIPE)
        wait_until(lambda: received, "the signal")
        process.communicate(b"\n", timeout=PATIENCE)
        self.assertEqual(received, [signal.SIGUSR1])
        # sh is not told of what it sent to its parent: it has ended by itself.
        self.assertEqual(process.returncode, 0)

    def test_an_ignored_signal_stays_ignored(self):
        process = self.launch("sh", "-c", "trap '' TERM; echo ready; read line; exit 9",
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        os.kill(process.pid, signal.SIGTERM)
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(b"\n", timeout=PATIENCE)
        self.assertEqual(process.returncode, 9)

    def test_killed_by_force_we_leave_the_program_alone(self):
        remora, pid, _ = self.note_signals()
        group = remora.pid
        members = [p for p in remora_test._descendants(remora.pid) if p != pid]
        remora.kill()
        remora.wait()
        wait_until(lambda: not any(alive(p) for p in members), "the helper's end")
        self.assertTrue(alive(pid))
        self.assertEqual(os.getpgid(pid), group)

    def test_nothing_of_ours_stays(self):
        process = self.launch("true")
        self.assertEqual(process.wait(PATIENCE), 0)

        def empty():
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return True
            return False
        # The helper is reaped by whoever adopts orphans: this process.
        def reap_and_look():
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pass
            return empty()
        wait_until(reap_and_look, "an empty process group")


class Survivors(Launched):
    def test_what_stays_behind_is_followed_to_its_end(self):
        process = self.launch("sh", "-c", "sleep 1000 >&- 2>&- & echo $!; exit 4", flags=(),
                              stdout=subprocess.PIPE)
        pid = int(process.stdout.readline())
        wait_until(lambda: b"following 1 process that it left behind" in self.log.read_bytes(),
                   "the line")
        self.assertIsNone(process.poll())
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(process.wait(PATIENCE), 4)

    def test_the_user_may_stop_following(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.launch("sh", "-c", "sleep 1000 >&- 2>&- & echo $!", flags=(),
                                  stdout=subprocess.PIPE)
            pid = int(process.stdout.readline())
            wait_until(lambda: b"following" in self.log.read_bytes(), "the line")
            os.kill(process.pid, number)
            self.assertEqual(process.wait(PATIENCE), 0)
            self.assertTrue(alive(pid))

    def test_daemons_that_close_everything(self):
        pid_file = self.directory / "pid"
        daemon = self.file("daemon.py", f"""
import os, signal
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.closerange(0, 1024)
os.chdir("/")
open({str(pid_file)!r}, "w").write(str(os.getpid()) + "\\n")
signal.pause()
""")
        process = self.launch(PYTHON, daemon, flags=())
        pid = int(wait_until(lambda: pid_file.exists() and pid_file.read_text(), "the daemon"))
        wait_until(lambda: b"following" in self.log.read_bytes(), "the line")
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 0)


@unittest.skipUnless(os.geteuid() == 0, "needs root")
class FirstProcess(Launched):
    """As process 1 of a container."""

    def container(self, *command, **options):
        return subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
                                 REMORA, "run", "--quiet", "--", *command], **options)

    def setUp(self):
        super().setUp()
        if bare("unshare", "--pid", "--fork", "--mount-proc", "true").returncode != 0:
            self.skipTest("no new pid namespace may be made here")

    def test_gives_the_exit_status_and_does_not_wait_for_others(self):
        process = self.container("sh", "-c", "sleep 1000 & exit 6")
        self.assertEqual(process.wait(PATIENCE), 6)

    def test_reaps_orphans(self):
        script = ("import os, time\n"
                  "if os.fork() == 0:\n"
                  "    if os.fork() == 0: os._exit(0)\n"
                  "    os._exit(0)\n"
                  "os.wait()\n"
                  "def zombie(p):\n"
                  "    try: return open(f'/proc/{p}/stat').read().rpartition(')')[2].split()[0] == 'Z'\n"
                  "    except OSError: return False  # gone since the list was read\n"
                  "while any(zombie(p) for p in os.listdir('/proc') if p.isdigit()): time.sleep(0.001)\n")
        self.assertEqual(self.container(PYTHON, "-c", script).wait(PATIENCE), 0)

    def test_hands_signals_on(self):
        process = self.container("sh", "-c", "trap 'exit 8' TERM; echo ready; "
                                 "while :; do sleep 0.01; done", stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        first = [p for p in remora_test._descendants(process.pid)
                 if pathlib.Path(f"/proc/{p}/status").read_text().split("NSpid:")[1]
                 .split("\n")[0].split()[-1] == "1"]
        os.kill(first[0], signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE), 8)


if __name__ == "__main__":
    remora_test.main()
