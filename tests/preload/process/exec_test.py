# SPDX-License-Identifier: Apache-2.0
"""Every way to start a program keeps the shim and the trace in it, and nothing else changes."""
import os
import pathlib
import shutil
import stat
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from process_case import (NO_TRACEPARENT, OURS, ProcessTestCase, main, need,  # noqa: E402
                          target, without_ours)

INHERITING = ("execl", "execlp", "execv", "execvp", "vfork_execvp", "vfork_execl", "fork_execv")
TAKING = ("execle", "execvpe", "execve", "execveat", "execveat_fd", "fexecve", "posix_spawn",
          "posix_spawnp", "vfork_execve")
FORMS = target("exec_forms")
ENV = "/usr/bin/env"
REPLACING = ("vfork", "fork", "posix_spawn")  # what is not here replaces the caller's image


def values(text):
    return dict(line.split("=", 1) for line in text.splitlines())


class ExecTest(ProcessTestCase):
    def check(self, form, environment):
        bare = self.bare(FORMS, form, environment, ENV)
        traced = self.traced(FORMS, form, environment, ENV)
        self.assertEqual((traced.returncode, traced.stderr), (bare.returncode, bare.stderr))
        self.assertEqual(without_ours(traced.stdout), without_ours(bare.stdout))
        got = values(traced.stdout)
        self.assertEqual(got["LD_PRELOAD"], self.agent.library)
        self.assertEqual(got["REMORA_SESSION"], self.agent.session_text + ":t")
        caller = self.agent.processes("exec_forms")[-1]
        child = self.ended("env")[-1]
        self.assert_child(child, caller)
        self.assertEqual(got["TRACEPARENT"], f"00-{caller.trace_id}-{caller.span_id}-03")
        self.assertEqual(child.exit_code, 0)
        for name in OURS:
            self.assertLessEqual(traced.stdout.count(name + "="), 1)

    def test_forms_that_inherit(self):
        for form in INHERITING:
            with self.subTest(form=form):
                self.check(form, "inherit")

    def test_forms_that_take_an_environment(self):
        for form in TAKING:
            for environment in ("inherit", "own", "empty", "null", "large"):
                with self.subTest(form=form, environment=environment):
                    # A vfork child has no memory for so many pointers; fexecve refuses null.
                    if (environment, form) in (("large", "vfork_execve"), ("null", "fexecve")):
                        self.same(FORMS, form, environment, ENV)
                    else:
                        self.check(form, environment)

    def test_arguments(self):
        for form in INHERITING + TAKING:
            with self.subTest(form=form):
                self.same(FORMS, form, "own", "/bin/echo", "one", "two  three")

    def test_failures(self):
        nothing = os.path.join(self.folder, "nothing")
        plain = os.path.join(self.folder, "plain")
        pathlib.Path(plain).write_text("text\n", encoding="ascii")
        for form in INHERITING + TAKING:
            for file in (nothing, plain, self.folder, "", "no-such-program-anywhere"):
                with self.subTest(form=form, file=file):
                    self.same(FORMS, form, "own", file)

    def test_empty_argv(self):
        self.same(FORMS, "execv_null", "inherit", target("process_acts"))

    def test_environment_at_the_limit(self):
        # Too big with ours in it, and too big by itself: as without us.
        for form in ("execve", "posix_spawn", "execvpe"):
            self.same(FORMS, form, "huge", "/bin/true")
            full = self.same("/bin/sh", "-c", f"ulimit -s 1024; exec {FORMS} {form} brim /bin/true")
            self.assertEqual(full.returncode, 0)

    def test_scripts(self):
        script = os.path.join(self.folder, "script")
        for text in ("#!/bin/sh\nexec env\n", "#! /usr/bin/env sh\nexec env\n", "exec env\n"):
            pathlib.Path(script).write_text(text, encoding="ascii")
            os.chmod(script, 0o755)
            for form in ("execvp", "execlp", "execve", "posix_spawnp"):
                with self.subTest(text=text, form=form):
                    bare = self.bare(FORMS, form, "inherit", script)
                    traced = self.traced(FORMS, form, "inherit", script)
                    self.assertEqual((traced.returncode, traced.stderr),
                                     (bare.returncode, bare.stderr))
                    self.assertEqual(without_ours(traced.stdout), without_ours(bare.stdout))
                    if bare.stdout:
                        self.assertIn("LD_PRELOAD=" + self.agent.library, traced.stdout)

    def test_static_program_passes_it_on(self):
        need("cc")
        static = os.path.join(self.folder, "static")
        source = os.path.join(self.folder, "static.c")
        pathlib.Path(source).write_text(
            '#include <unistd.h>\nint main(void){execl("/usr/bin/env","env",(char*)0);return 1;}\n',
            encoding="ascii")
        if self.bare("cc", "-static", source, "-o", static).returncode != 0:
            self.skipTest("no static libc")
        traced = self.traced(FORMS, "execv", "inherit", static)
        self.assertEqual((traced.returncode, traced.stderr), (0, ""))
        self.assertEqual(values(traced.stdout)["LD_PRELOAD"], self.agent.library)

    def foreign(self, program):
        """A copy of a program as musl would have built it: its loader would refuse to start it with
        us in LD_PRELOAD. Here glibc's loader plays the part."""
        content = pathlib.Path(program).read_bytes()
        ours, theirs = b"/lib64/ld-linux-x86-64.so.2", b"ld-musl-x86_64.so.1"
        self.assertEqual(content.count(ours), 1)
        copy = os.path.join(self.folder, "foreign_" + os.path.basename(program))
        pathlib.Path(copy).write_bytes(content.replace(ours, theirs.ljust(len(ours), b"\0")))
        os.chmod(copy, 0o755)
        loader = os.path.join(self.folder, theirs.decode())
        if not os.path.exists(loader):
            os.symlink("/lib64/ld-linux-x86-64.so.2", loader)
        return copy

    def test_foreign_loader_is_not_given_our_library(self):
        script = os.path.join(self.folder, "script")
        pathlib.Path(script).write_text(f"#!{self.foreign('/bin/dash')}\nexec env\n",
                                        encoding="ascii")
        os.chmod(script, 0o755)
        for file in (self.foreign(ENV), script):
            for form in INHERITING + TAKING:
                if form in ("fexecve", "execveat_fd") and file == script:
                    continue  # a script needs its path
                with self.subTest(form=form, file=file):
                    traced = self.traced(FORMS, form, "inherit", file, cwd=self.folder)
                    self.assertEqual((traced.returncode, traced.stderr), (0, ""))
                    self.assertNotIn("LD_PRELOAD", traced.stdout)
                    self.assertIn("REMORA_SESSION", traced.stdout)

    def test_other_preloads_stay(self):
        other = os.path.join(self.folder, "other.so")
        shutil.copy("/lib/x86_64-linux-gnu/libdl.so.2", other)
        for preload in (other, other + ":", "{0}:{1}", "{1}:{0}", "{1} {0}", "{1}", ""):
            value = preload.format(other, self.agent.library)
            with self.subTest(value=value):
                traced = self.traced("/bin/sh", "-c", 'LD_PRELOAD="$1" exec env', "sh", value)
                self.assertEqual(traced.stderr, "")
                got = values(traced.stdout)["LD_PRELOAD"]
                self.assertEqual(got.count(self.agent.library), 1)
                self.assertEqual(got.count(other), value.count(other))
                if other in value and self.agent.library not in value:
                    self.assertLess(got.index(other), got.index(self.agent.library))

    def test_disabled_by_the_child_environment(self):
        traced = self.traced("/bin/sh", "-c", "unset LD_PRELOAD; REMORA_DISABLE=1 exec env")
        self.assertNotIn("LD_PRELOAD", traced.stdout)
        self.assertEqual(self.agent.processes("env"), [])

    def test_disabled_from_the_start(self):
        traced = self.traced("/bin/sh", "-c", "env", extra={"REMORA_DISABLE": "true"})
        self.assertEqual(traced.returncode, 0)
        self.assertEqual(self.agent.processes(), [])

    def test_another_session_is_left_alone(self):
        other = "1:1:2:3:" + "ab" * 16
        traced = self.traced("/bin/sh", "-c", f"unset LD_PRELOAD; REMORA_SESSION={other} exec env")
        got = values(traced.stdout)
        self.assertEqual(got["REMORA_SESSION"], other)
        self.assertNotIn("LD_PRELOAD", got)

    def test_the_users_traceparent_is_continued(self):
        theirs = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
        traced = self.traced("/bin/sh", "-c", "env; exit 0",
                             extra={"TRACEPARENT": theirs, "TRACESTATE": "a=1,b=2"})
        got = values(traced.stdout)
        shell, = self.ended("dash")
        child, = self.ended("env")
        self.assertEqual((shell.trace_id, shell.parent_id), (theirs[3:35], theirs[36:52]))
        self.assert_child(child, shell)
        self.assertEqual(got["TRACESTATE"], "a=1,b=2")
        self.assertEqual(got["TRACEPARENT"], f"00-{shell.trace_id}-{shell.span_id}-01")

    def test_a_programs_own_traceparent_stands(self):
        own = "00-11111111111111111111111111111111-2222222222222222-00"
        traced = self.traced("/bin/sh", "-c", f"TRACEPARENT={own} TRACESTATE=x=y exec cat "
                             "/proc/self/environ")
        got = values(traced.stdout.replace("\0", "\n"))
        self.assertEqual((got["TRACEPARENT"], got["TRACESTATE"]), (own, "x=y"))
        self.assertEqual(got["REMORA_SESSION"], self.agent.session_text)
        self.assertEqual(self.agent.processes("cat"), [])  # unsampled by those flags

    def test_a_broken_traceparent_starts_afresh(self):
        traced = self.traced("/bin/sh", "-c", "env; exit 0", extra={"TRACEPARENT": "00-zz"})
        shell, = self.ended("dash")
        self.assertEqual(shell.parent_id, "0" * 16)
        self.assertEqual(values(traced.stdout)["TRACEPARENT"],
                         f"00-{shell.trace_id}-{shell.span_id}-03")

    def test_a_server_hands_no_process_span_on(self):
        server = ("import os,socket,subprocess; s=socket.socket(); s.bind(('127.0.0.1',0)); "
                  "s.listen(); subprocess.run(['/usr/bin/env'])")
        traced = self.traced("/bin/sh", "-c", "/usr/bin/python3 -c \"$1\"; exit 0", "sh", server)
        child, = self.ended("env")
        self.assertEqual(child.parent_id, "0" * 16)
        self.assertIn(f"TRACEPARENT={NO_TRACEPARENT}\n", traced.stdout)

    def test_chain_in_one_process(self):
        chain = []
        for form in INHERITING[:4]:
            chain += [FORMS, form, "inherit"]
        traced = self.traced(*chain, FORMS, "execve", "empty", "/bin/echo", "end")
        # execl and execlp pass on at most two arguments, so the chain ends where they cut it.
        self.assertIn(traced.returncode, (0, 2))
        traced = self.traced(*[FORMS, "execv", "inherit"] * 20, "/bin/echo", "end")
        self.assertEqual(traced.stdout, "end\n")
        images = self.agent.wait_for(lambda ps: any(p.name == "echo" for p in ps))
        images = [p for p in images if p.pid == images[-1].pid]
        self.assertEqual(len({p.image for p in images}), len(images))
        for earlier, later in zip(images, images[1:]):
            if earlier.name == later.name or later.name == "echo":
                self.assert_child(later, earlier)

    def test_names_of_processes(self):
        script = os.path.join(self.folder, "job.py")
        pathlib.Path(script).write_text("pass\n", encoding="ascii")
        self.traced("/usr/bin/python3", "-X", "dev", script, "--password=hidden")
        process, = self.ended("python3.11") if os.path.realpath("/usr/bin/python3").endswith(
            "python3.11") else self.agent.processes()
        self.assertEqual(process.command, ["/usr/bin/python3", "job.py"])
        self.traced("/bin/sh", "-ec", "secret=1")
        self.assertEqual(self.ended("dash")[0].command, ["/bin/sh"])

    def test_resource_settings_of_the_environment(self):
        self.traced("/bin/true", extra={"OTEL_SERVICE_NAME": "billing",
                                        "OTEL_RESOURCE_ATTRIBUTES": "team=a,zone=b"})
        process = self.ended("true")[0]
        self.assertEqual((process.service_name, process.attributes), ("billing", "team=a,zone=b"))

    def test_sampler_of_the_environment(self):
        self.traced("/bin/sh", "-c", "env; exit 0", extra={"OTEL_TRACES_SAMPLER": "always_off"})
        self.assertEqual(self.agent.processes(), [])
        self.agent.set_switches(4)  # SAMPLER_FORCED
        self.traced("/bin/true", extra={"OTEL_TRACES_SAMPLER": "always_off"})
        self.assertEqual(self.ended("true")[0].trace_flags & 1, 1)

    def test_unsampled_goes_on(self):
        traced = self.traced("/bin/sh", "-c", "env; exit 0",
                             extra={"OTEL_TRACES_SAMPLER": "always_off"})
        self.assertRegex(values(traced.stdout)["TRACEPARENT"], "^00-[0-9a-f]{32}-[0-9a-f]{16}-02$")


if __name__ == "__main__":
    main()
