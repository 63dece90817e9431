# SPDX-License-Identifier: Apache-2.0
"""Programs that confine themselves or are confined: limits, chroot, other users, filters, closed
descriptors, full file systems. All must go as without us."""
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from process_case import (FakeAgent, ProcessTestCase, main, need, need_root,  # noqa: E402
                          target)

ACTS = target("process_acts")


class LimitsTest(ProcessTestCase):
    def under(self, limit, command, attached=True):
        self.same("/bin/sh", "-c", f"ulimit {limit}; exec {command}")
        name = os.path.basename(command.split()[0])
        self.assertEqual(len(self.agent.processes(name)), int(attached))

    def test_file_size(self):
        self.under("-f 0", "/bin/true")
        self.under("-f 0", f"{ACTS} descriptors")
        # The signal still comes to who writes too much.
        self.same("/bin/sh", "-c", f"ulimit -f 0; echo x > {self.folder}/file")

    def test_address_space(self):
        # 8 MiB of lanes are too much of 64 MiB, and nothing of 4 GiB.
        self.under("-v 65536", "/bin/true", attached=False)
        self.under("-v 4194304", "/bin/echo")

    def test_descriptors(self):
        self.under("-n 4", "/bin/true", attached=True)
        self.same("/bin/sh", "-c", f"ulimit -n 256; exec {ACTS} descriptors")

    def test_processes_and_stack(self):
        self.under("-s 128", "/bin/true")
        self.under("-c 0", "/bin/echo")
        self.under("-l 0", "/bin/cat")

    def test_small_stack_in_threads(self):
        script = ("import threading, subprocess\nthreading.stack_size(65536)\n"
                  "t = threading.Thread(target=lambda: subprocess.run(['/bin/true']))\n"
                  "t.start(); t.join(); print('done')\n")
        self.same("/usr/bin/python3", "-c", script)

    def test_all_memory_locked(self):
        # Also where the limit is near: our lanes must not count.
        need_root()
        os.chmod(self.folder, 0o755)
        library = os.path.join(self.folder, "libremora.so")
        shutil.copy(self.agent.library, library)
        successes = 0  # another user may be unable to reach the build folder
        with FakeAgent(lanes=512, library=library, hand_over_socket=True) as agent:
            for user, limit in (("0", "8192"), ("65534", "8192"), ("65534", "64")):
                with self.subTest(user=user, limit=limit):
                    command = ("/bin/sh", "-c", f"ulimit -l {limit}; exec {ACTS} setuid {user} "
                                                f"{ACTS} lock_memory")
                    bare = self.bare(*command)
                    traced = agent.run(command, text=True)
                    self.assertEqual((traced.returncode, traced.stdout, traced.stderr),
                                     (bare.returncode, bare.stdout, bare.stderr))
                    successes += bare.returncode == 0
            self.assertGreater(successes, 0)
            locked = [p for p in agent.processes("process_acts") if p.exit_code == 0]
            self.assertEqual(len(locked), successes)


class DescriptorsTest(ProcessTestCase):
    def test_no_descriptor_is_kept(self):
        self.same(ACTS, "descriptors")
        self.same("/bin/sh", "-c", f"exec <&- >&2; {ACTS} descriptors")
        self.same("/bin/sh", "-c", f"exec 3</dev/null 9</dev/null; {ACTS} descriptors")

    def test_closed_standard_streams(self):
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            self.same("/bin/sh", "-c", f"/bin/echo x {closed}")

    def test_closing_all(self):
        for how in ("close", "close_range", "closefrom"):
            with self.subTest(how=how):
                result = self.same(ACTS, "close_all", how, "/bin/echo", "went on")
                self.assertEqual(result.stdout, "3\nwent on\n")
                self.assertEqual(self.ended("echo")[-1].exit_code, 0)


class SurroundingsTest(ProcessTestCase):
    def test_chroot(self):
        need_root()
        root = os.path.join(self.folder, "root")
        for file in (shutil.which("env"), "/lib64/ld-linux-x86-64.so.2",
                     "/lib/x86_64-linux-gnu/libc.so.6"):
            copy = root + os.path.realpath(os.path.dirname(file)) + "/" + os.path.basename(file)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copy(file, copy)
        for link in ("lib", "lib64", "bin"):
            if os.path.islink("/" + link):
                os.symlink(os.readlink("/" + link), os.path.join(root, link))
        bare = self.bare(ACTS, "chroot", root, "/usr/bin/env", "-i", "/usr/bin/env", "A=1")
        traced = self.traced(ACTS, "chroot", root, "/usr/bin/env", "-i", "/usr/bin/env", "A=1")
        self.assertEqual(traced.returncode, bare.returncode)
        self.assertEqual(traced.stderr, bare.stderr, "ld.so must not miss us")
        self.assertIn("A=1", traced.stdout)
        self.assertNotIn("LD_PRELOAD", traced.stdout)

    def test_another_user(self):
        need_root()
        os.chmod(self.folder, 0o755)
        library = os.path.join(self.folder, "libremora.so")
        shutil.copy(self.agent.library, library)
        for handed_over in (False, True):
            with self.subTest(handed_over=handed_over), \
                    FakeAgent(lanes=8, library=library, hand_over_socket=handed_over) as agent:
                result = agent.run([ACTS, "setuid", "65534", "/usr/bin/id", "-u"], text=True)
                self.assertEqual((result.returncode, result.stdout, result.stderr),
                                 (0, "65534\n", ""))
                # Without the socket nobody but root may look into our /proc/<pid>/fd.
                self.assertEqual(len(agent.processes("id")), int(handed_over))

    def test_setuid_program(self):
        need_root()
        copy = os.path.join(self.folder, "id")
        shutil.copy("/usr/bin/id", copy)
        os.chmod(self.folder, 0o755)
        os.chmod(copy, 0o4755)
        self.same(ACTS, "setuid", "65534", copy, "-u")
        self.assertEqual(self.agent.processes("id"), [])

    def test_full_shared_memory(self):
        need_root()
        need("unshare", "mount")
        command = ("mount -t tmpfs -o size=4k none /dev/shm && cat /dev/zero > /dev/shm/full 2>&-; "
                   "/bin/true && /bin/echo fine")
        if self.bare("unshare", "-m", "true").returncode != 0:
            self.skipTest("no mount namespaces")
        result = self.same("unshare", "-m", "/bin/sh", "-c", command)
        self.assertEqual(result.stdout, "fine\n")
        self.assertEqual(len(self.agent.processes("true")), 1)

    def test_pid_namespace(self):
        need_root()
        if self.bare("unshare", "-pf", "true").returncode != 0:
            self.skipTest("no pid namespaces")
        for arguments in (("-pf",), ("-pf", "--mount-proc")):
            self.same("unshare", *arguments, "/bin/sh", "-c", "/bin/echo $$; exit 4")

    def test_no_proc(self):
        need_root()
        if self.bare("unshare", "-m", "true").returncode != 0:
            self.skipTest("no mount namespaces")
        self.same("unshare", "-m", "/bin/sh", "-c",
                  "mount -t tmpfs none /proc && /bin/echo no proc; exit 0")

    def test_working_directory_gone(self):
        gone = os.path.join(self.folder, "gone")
        self.same("/bin/sh", "-c", f"mkdir {gone}; cd {gone}; rmdir {gone}; exec /bin/echo x")

    def test_agent_gone(self):
        agent = FakeAgent(lanes=8)
        environment = agent.environment()
        agent.close()
        result = subprocess.run(["/bin/sh", "-c", "/bin/echo x; exit 3"], env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (3, "x\n", ""))

    def test_agent_without_a_pulse(self):
        with FakeAgent(lanes=8, heartbeat=False) as agent:
            result = agent.run(["/bin/sh", "-c", "env; exit 0"], text=True)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("-02\n", result.stdout, "unread spans must not go out as sampled")

    def test_no_lane_is_free(self):
        with FakeAgent(lanes=1) as agent:
            result = agent.run(["/bin/sh", "-c", "/bin/sh -c 'env; exit 0'; exit 0"], text=True)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            traceparent = [l for l in result.stdout.splitlines() if l.startswith("TRACEPARENT=")]
            self.assertEqual(traceparent[0][-3:], "-02")

    def test_hostile_session_texts(self):
        texts = ["", "1", "1:", "1:1:2:3:", "1:1:2:3:zz", "2:1:2:3:" + "ab" * 16,
                 "1:0:0:0:" + "00" * 16, "1:99999999999999999999:1:1:" + "ab" * 16,
                 "1:1:-1:-1:" + "ab" * 16, "1:1:2:3:" + "ab" * 16 + ":x", "x" * 100_000,
                 f"1:{os.getpid()}:0:1:" + "ab" * 16]
        for text in texts:
            with self.subTest(text=text[:60]):
                environment = self.agent.environment()
                environment["REMORA_SESSION"] = text
                result = self.agent.run(["/bin/sh", "-c", "/bin/echo x; exit 3"], env=environment,
                                        text=True)
                self.assertEqual((result.returncode, result.stdout, result.stderr), (3, "x\n", ""))
        self.assertEqual(self.agent.processes(), [])


class FilterTest(ProcessTestCase):
    def test_strict_filter(self):
        for how in ("prctl", "syscall"):
            with self.subTest(how=how):
                result = self.same(ACTS, "seccomp", how)
                if result.returncode == 77:
                    self.skipTest("no seccomp filters here")
                self.assertEqual(result.stdout, "alive\n")

    def test_exec_under_a_filter_that_kills_our_calls(self):
        for how in ("prctl", "syscall"):
            with self.subTest(how=how):
                result = self.same(ACTS, "seccomp_exec", how, "/bin/echo", "went on")
                if result.returncode == 77:
                    self.skipTest("no seccomp filters here")
                self.assertEqual(result.returncode, 0)


class CancelTest(ProcessTestCase):
    def test_cancelled_in_a_hook(self):
        for call in ("read", "recv", "recvmsg", "poll", "epoll_wait", "accept"):
            with self.subTest(call=call):
                result = self.same(target("cancelled"), call)
                self.assertEqual(result.returncode, 0)


if __name__ == "__main__":
    main()
