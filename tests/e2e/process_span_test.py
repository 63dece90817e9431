# SPDX-License-Identifier: Apache-2.0
"""One trace of everything that a command starts: scripts, pipelines, builds; who is whose child, how
each ended, and where the context comes from."""
import os
import re
import signal

from e2e_case import EndToEndTestCase, main, need

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class ProcessSpans(EndToEndTestCase):
    def script(self, text, *arguments, expect=0, **options):
        """Runs a shell script by its file, so that its name is known. Returns its spans."""
        script = self.file("job.sh", f"#!/bin/sh\n{text}\n", 0o755)
        bare = self.run_bare(script, *arguments, expect=expect)
        self.process = self.run_traced(script, *arguments, expect=expect, **options)
        self.assertEqual((self.process.stdout, self.process.stderr), (bare.stdout, bare.stderr))
        spans = self.process.spans
        self.assertEqual(len({s.trace_id for s in spans}), 1, spans)
        self.root = spans.one(service="job.sh")
        return spans

    def named(self, spans, name):
        found = spans.where(name=name)
        self.assertTrue(found, f"no {name} in\n{spans}")
        return found

    def test_commands_of_a_script(self):
        spans = self.script("/bin/true; /bin/false; /bin/echo hi; ls /nowhere 2>/dev/null; exit 3",
                            expect=3)
        self.assertEqual(len(spans), 5)
        codes = {"true": 0, "false": 1, "echo": 0, "ls": 2}
        for name, code in codes.items():
            span = spans.one(name=name)
            self.assert_child(span, self.root)
            self.assertEqual(span["process.exit.code"], code)
            self.assertEqual((span.status, span["error.type"]),
                             ("error", str(code)) if code else ("unset", None))
            self.assertGreaterEqual(span.start_ns, self.root.start_ns)
            self.assertLessEqual(span.end_ns, self.root.end_ns)
            self.assertEqual((span.kind, span["process.parent_pid"]),
                             ("internal", self.root["process.pid"]))
        self.assertEqual((self.root["process.exit.code"], self.root.parent_id), (3, ""))
        self.assertEqual(self.root["process.command"], str(self.directory / "job.sh")
                         if self.root["process.command"].startswith("/tmp") else "/bin/sh")

    def test_no_argument_is_recorded(self):
        self.script('/bin/echo --password=hunter2 "$1" > /dev/null', "--token=hunter2")
        self.assertNotIn("hunter2", self.process.output.read_text())

    def test_pipelines_and_subshells(self):
        spans = self.script("""
seq 1 1000 | sort -r | head -n 3 | cat
(cd /; (/bin/echo inner | cat))
x=$(/bin/echo substituted; /bin/true)
{ /bin/echo group; } | cat
/bin/sleep 0 & wait
""")
        names = ["seq", "sort", "head", "cat", "echo", "cat", "echo", "true", "echo", "cat", "sleep"]
        self.assertEqual(sorted(s.name for s in spans if s is not self.root and s != self.root),
                         sorted(names))
        for span in spans:
            if span != self.root:
                self.assert_child(span, self.root)  # subshells are forks: no spans of their own

    def test_death_by_signal(self):
        # Each lives for long enough to be seen alive.
        spans = self.script("""
sh -c 'sleep 0.1; kill -KILL $$; exit 1' 2>/dev/null
sh -c 'sleep 0.1; kill -TERM $$; exit 1' 2>/dev/null
exec sh -c 'kill -SEGV $$; exit 1'
""", expect=-signal.SIGSEGV)
        codes = [s["process.exit.code"] for s in spans if s["process.exit.code"]]
        version = tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups()))
        # How a process ended that is not our child can be asked since Linux 6.15.
        wanted = [137, 143, 139] if version >= (6, 15) else [139]
        self.assertEqual(sorted(codes), sorted(wanted))
        for span in spans:
            self.assertEqual(span.status, "error" if span["process.exit.code"] else "unset")

    def test_cleared_environment(self):
        spans = self.script("env -i /bin/echo one; env -i PATH=/bin sh -c 'echo two; /bin/echo three'"
                            "; exec env - /bin/echo four")
        self.assertEqual(len(self.named(spans, "echo")), 3)
        for name, count in (("env", 2), ("echo", 3)):
            self.assertGreaterEqual(len(spans.where(name=name)), count)

    def test_chains_of_images(self):
        # Each image has its own span, the child of the one before it; one process.
        spans = self.script("exec env A=1 nice -n 1 nohup sh -c 'exec /bin/echo end' 2>/dev/null")
        pids = {s["process.pid"] for s in spans}
        self.assertEqual(len(pids), 1, spans)
        chain = sorted(spans, key=lambda s: s.start_ns)
        self.assertEqual([s.name for s in chain][1:],
                         ["env", "nice", "nohup", os.path.basename(os.path.realpath("/bin/sh")), "echo"])
        for parent, child in zip(chain, chain[1:]):
            self.assert_child(child, parent)

    def test_make(self):
        need("make", "curl")
        peer = self.server()
        self.file("Makefile", f"""
all: a b c d e
a b c d e:
\t@/bin/echo $@ > $@.out
\t@curl -s {peer.url()}$@ -o /dev/null
.PHONY: all a b c d e
""")
        process = self.run_traced("make", "-j4", "-s", cwd=self.directory)
        spans = process.spans
        self.assertEqual(len({s.trace_id for s in spans}), 1, spans)
        root = spans.one(name="make")
        self.assertEqual(root.parent_id, "")
        for n in "abcde":
            call = spans.one(kind="client", url_full=peer.url(f"/{n}"))
            curl = spans.by_id(call.parent_id)
            self.assertEqual(curl.name, "curl")
            # By a shell, or directly where make saw no need for one.
            self.assertIn(root.span_id, (curl.parent_id, spans.by_id(curl.parent_id).parent_id))
        for request in peer.requests:
            self.assertEqual(request.traceparent()[0], root.trace_id)

    def test_a_failing_build(self):
        need("make")
        self.file("Makefile", "all:\n\t@/bin/false\n")
        process = self.run_traced("make", "-s", cwd=self.directory, expect=2)
        false, = process.spans.where(name="false") or process.spans.where(service="sh")
        self.assertEqual(false["process.exit.code"], 1)
        self.assertEqual(process.spans.one(name="make")["process.exit.code"], 2)

    def test_context_from_outside(self):
        need("curl")
        peer = self.server()
        for flags, sampled in (("01", True), ("00", False)):
            process = self.run_traced("/bin/sh", "-c", f"curl -s {peer.url()}; exit 0", environment={
                "TRACEPARENT": f"00-{TRACE}-{SPAN}-{flags}", "TRACESTATE": "a=1,b=2"})
            trace, span, out = peer.requests[-1].traceparent()
            self.assertEqual((trace, out), (TRACE, flags))
            self.assertEqual(peer.requests[-1].values("tracestate"), [b"a=1,b=2"])
            if not sampled:
                self.assertEqual(process.spans, [])
                continue
            self.assertEqual({s.trace_id for s in process.spans}, {TRACE})
            shell = next(s for s in process.spans if s.parent_id == SPAN)
            self.assert_child(process.spans.one(name="curl"), shell)
            call = process.spans.one(kind="client")
            self.assertEqual((call.span_id, call.trace_state), (span, "a=1,b=2"))

    def test_broken_context_from_outside(self):
        need("curl")
        peer = self.server()
        for value in ("", "x", f"00-{TRACE}-{SPAN}", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01",
                      f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01\nX: y"):
            process = self.run_traced("curl", "-s", peer.url(), environment={
                "TRACEPARENT": value, "TRACESTATE": "a=1"})
            trace, _, _ = peer.requests[-1].traceparent()
            self.assertNotEqual(trace, TRACE)
            self.assertEqual(peer.requests[-1].values("tracestate"), [])
            self.assertEqual(process.spans.one(name="curl").parent_id, "")

    def test_what_children_are_told(self):
        process = self.run_traced("/bin/sh", "-c", "env | grep -E '^TRACE'; exit 0")
        match = re.fullmatch(rb"TRACEPARENT=00-([0-9a-f]{32})-([0-9a-f]{16})-03\n", process.stdout)
        self.assertTrue(match, process.stdout)
        parent = process.spans.by_id(match[2].decode())
        self.assertIsNotNone(parent, process.spans)
        self.assertEqual(parent.trace_id, match[1].decode())

    def test_no_process_spans(self):
        need("curl")
        peer = self.server()
        for context in ({}, {"TRACEPARENT": f"00-{TRACE}-{SPAN}-01"}):
            process = self.run_traced("/bin/sh", "-c", f"curl -s {peer.url('/1')}; curl -s "
                                      f"{peer.url('/2')}; exit 0", flags=["--no-process-spans"],
                                      environment=context)
            calls = process.spans
            self.assertEqual([s.kind for s in calls], ["client"] * 2)
            if context:
                self.assertEqual({(s.trace_id, s.parent_id) for s in calls}, {(TRACE, SPAN)})
            else:
                self.assertEqual([s.parent_id for s in calls], ["", ""])
                self.assertEqual(len({s.trace_id for s in calls}), 2)

    def test_many_in_the_background(self):
        spans = self.script("i=0; while [ $i -lt 40 ]; do (sleep 0.05; exit $i) & i=$((i+1)); done; "
                            "wait")
        self.assertEqual(len(spans.where(name="sleep")), 40)
        for span in spans.where(name="sleep"):
            self.assert_child(span, self.root)


if __name__ == "__main__":
    main()
