# SPDX-License-Identifier: Apache-2.0
"""Forks by the hundred, vfork under load, daemons."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from process_case import NO_TRACEPARENT, ProcessTestCase, main, need, target  # noqa: E402

ACTS = target("process_acts")

# Threads that run programs while others fork, all through vfork (Python's subprocess uses it when it
# may) and all on one memory.
UNDER_LOAD = """
import subprocess, threading, os, sys
bad = []
def run(n):
    for i in range(25):
        done = subprocess.run(["/bin/sh", "-c", "exit %d" % n], close_fds=True)
        if done.returncode != n: bad.append((n, done.returncode))
        out = subprocess.check_output(["/bin/echo", str(i)])
        if out != b"%d\\n" % i: bad.append(out)
def fork():
    for i in range(25):
        pid = os.fork()
        if pid == 0: os._exit(i)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != i: bad.append(i)
threads = [threading.Thread(target=run, args=(n,)) for n in range(6)] + [threading.Thread(target=fork)]
for t in threads: t.start()
for t in threads: t.join()
print("bad:", bad)
"""


class ForkTest(ProcessTestCase):
    lanes = 512

    def test_storm(self):
        self.same(ACTS, "fork_storm", "40", "10")
        # Forks that do nothing of interest to us cost no lane.
        self.assertEqual(len(self.agent.processes()), 1)

    def test_subprocesses_under_load(self):
        result = self.same("/usr/bin/python3", "-c", UNDER_LOAD)
        self.assertEqual(result.stdout, "bad: []\n")
        shells, echos = self.ended("dash", 150), self.ended("echo", 150)
        self.assertEqual((len(shells), len(echos)), (150, 150))
        self.assertEqual(sorted(p.exit_code for p in shells), sorted(list(range(6)) * 25))
        python, = [p for p in self.agent.processes() if p.name.startswith("python")]
        for child in shells + echos:
            self.assert_child(child, python)
        self.assertEqual(python.exit_code, 0)
        span_ids = [p.span_id for p in self.agent.processes()]
        self.assertEqual(len(set(span_ids)), len(span_ids))

    def test_daemons(self):
        for how in ("daemon", "twice"):
            with self.subTest(how=how):
                said = []
                for run in (self.bare, self.traced):
                    file = os.path.join(self.folder, how + run.__name__)
                    result = run(ACTS, "daemonise", how, file)
                    self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
                    limit = time.monotonic() + 60
                    while not (os.path.exists(file) and os.path.getsize(file)):
                        self.assertLess(time.monotonic(), limit, "the daemon wrote nothing")
                        time.sleep(0.01)
                    said.append(pathlib.Path(file).read_text(encoding="ascii").split()[1])
                self.assertEqual(said[0], said[1], "the daemon's descriptors differ")

    def test_children_of_a_daemon_are_roots(self):
        script = ("import os, subprocess\n"
                  "if os.fork(): os._exit(0)\n"
                  "os.setsid()\n"
                  "subprocess.run(['/bin/true'])\n")
        self.traced("/usr/bin/python3", "-c", script)
        child, = self.ended("true")
        self.assertEqual(child.parent_id, "0" * 16)

    def test_setsid_before_exec_is_no_daemon(self):
        # A vfork child that leaves its session on its parent's memory.
        script = ("import subprocess\n"
                  "subprocess.run(['/bin/true'], start_new_session=True)\n"
                  "subprocess.run(['/bin/echo'])\n")
        self.traced("/usr/bin/python3", "-c", script)
        python, = [p for p in self.agent.processes() if p.name.startswith("python")]
        self.assert_child(self.ended("echo")[0], python)

    def test_system_and_popen(self):
        # libc starts these by itself, out of our sight; the environment tells them whose they are.
        script = "import os; os.system('/bin/true; exit 0'); os.popen('/bin/echo x; exit 0').read()"
        users = f"00-{'1' * 32}-{'2' * 16}-01"
        for extra in ({"TRACEPARENT": NO_TRACEPARENT}, {"TRACEPARENT": users}):
            with self.subTest(extra=extra):
                self.traced("/usr/bin/python3", "-c", script, extra=extra)
                true, echo = self.ended("true")[-1], self.ended("echo")[-1]
                python = [p for p in self.agent.processes() if p.name.startswith("python")][-1]
                shells = {p.span_id: p for p in self.agent.processes("dash")}
                for child in (true, echo):
                    self.assert_child(child, shells[child.parent_id])
                    self.assert_child(shells[child.parent_id], python)
                self.assertTrue(python.states & 2, "REFERENCED")

    def test_popen_of_libc(self):
        need("mawk")
        self.traced("mawk", 'BEGIN { "/bin/true; echo x; exit 0" | getline; system("/bin/echo y >&2") }',
                    extra={"TRACEPARENT": NO_TRACEPARENT})
        awk, = self.ended("mawk")
        for name in ("true", "echo"):
            child, = self.ended(name)
            shell, = [p for p in self.agent.processes("dash") if p.span_id == child.parent_id]
            self.assert_child(shell, awk)

    def test_a_server_starts_roots_by_system_too(self):
        script = ("import os, socket\n"
                  "os.system('/bin/true; exit 0')\n"
                  "server = socket.socket(); server.bind(('127.0.0.1', 0)); server.listen()\n"
                  "os.system('/bin/echo; exit 0')\n")
        users = f"00-{'1' * 32}-{'2' * 16}-01"
        for given, parent in ((NO_TRACEPARENT, "0" * 16), (users, "2" * 16)):
            with self.subTest(given=given):
                self.traced("/usr/bin/python3", "-c", script, extra={"TRACEPARENT": given})
                echo = self.ended("echo")[-1]
                shell, = [p for p in self.agent.processes("dash") if p.span_id == echo.parent_id]
                self.assertEqual(shell.parent_id, parent)


if __name__ == "__main__":
    main()
