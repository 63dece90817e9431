# SPDX-License-Identifier: Apache-2.0
"""A traced program attacks the memory that it shares with the agent and with other traced programs:
those must not notice, the agent must survive and say what it lost."""
import os
import resource
import signal

from e2e_case import (EndToEndTestCase, Load, free_port, main, seeded_random, strip_traceparent,
                      target, wait_until)

ATTACKER = target("lane_attacker")


class HostileLanes(EndToEndTestCase):
    """Every test has a session with a well-behaved service (nginx, which forwards to a peer of
    ours) and an attacker, started by one shell."""

    def session(self, *attack, environment=None, service="nginx"):
        self.upstream = self.server(lambda r: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (
            len(r.path) + 1, r.path.encode() + b"\n"))
        self.gate = self.directory / "gate"
        self.port = free_port()
        config = self.nginx_config(self.port, self.upstream.port)
        script = f"""
nginx -e {self.directory}/error.log -c {config} & service=$!
while ! [ -e {self.gate} ]; do sleep 0.02; done
"$@"
echo "status $?"
wait $service
echo "service $?"
exit 9
"""
        process = self.start("/bin/sh", "-c", script, "sh", *attack, environment=environment)
        return process.wait_for_port(self.port)

    def end(self, process):
        os.kill(int((self.directory / "nginx.pid").read_text()), signal.SIGQUIT)
        process.wait(9)
        self.assertIn(b"service 0", process.stdout)
        # One line for each thing that went wrong, not one for each time.
        self.assertLess(len(process.stderr.splitlines()), 30, process.stderr)

    def load(self):
        return Load(self.port, 4, path="/app/{}", body=lambda n: f"/app/{n}\n".encode())

    def check_upstream(self):
        """What the peer got is what nginx sends to it, and our header."""
        for request in self.upstream.requests:
            request.traceparent()  # one line at most, well-formed
            self.assertEqual(strip_traceparent(request.head),
                             f"GET {request.path} HTTP/1.0\r\nHost: 127.0.0.1:{self.upstream.port}"
                             "\r\nConnection: close\r\nAccept-Encoding: identity\r\n\r\n".encode())

    def under_attack(self, *attack, environment=None, status=0):
        process = self.session(*attack, environment=environment)
        load = self.load().wait(100)
        self.gate.touch()
        wait_until(lambda: b"status" in process.stdout, "the end of the attack")
        load.wait(300)
        self.assertEqual(load.stop().wrong, [])
        self.assertIn(f"status {status}\n".encode(), process.stdout)
        self.check_upstream()
        self.end(process)
        return process, load

    def test_noise_all_over_the_lanes(self):
        seed = seeded_random().getrandbits(32)
        for act in ("scribble", "flip"):
            with self.subTest(act=act):
                process, _ = self.under_attack(ATTACKER, act, "3", seed)
                self.assertIn("refused by the agent: malformed", process.stderr)

    def test_lanes_unmapped_and_protected(self):
        # What becomes of the attacker is its own doing; nobody else notices.
        for act in ("unmap", "protect"):
            with self.subTest(act=act):
                process, load = self.under_attack("/bin/sh", "-c", '"$@" 2>/dev/null; exit 0', "sh",
                                                  ATTACKER, act)
                self.check_spans(process.spans)
                self.assertEqual(len(process.spans.where(kind="server")), len(load.complete))

    def test_claims_in_the_name_of_others(self):
        # Of a process that lives on for long, but is none of ours: the agent must not wait for it.
        process, _ = self.under_attack(ATTACKER, "forge", os.getpid(), "4")
        self.assertNotIn("following", process.stderr)
        process, _ = self.under_attack(ATTACKER, "forge", "1", "4")
        self.assertNotIn("following", process.stderr)

    def test_claims_in_the_name_of_a_neighbour(self):
        # The service's own number: its lanes may be lost, its answers not.
        self.under_attack("/bin/sh", "-c", f'exec {ATTACKER} forge $(cat {self.directory}/nginx.pid) 2')
        self.under_attack("/bin/sh", "-c", f'exec {ATTACKER} forge $PPID 2')

    def exhausted(self, act, count, said, answer, environment=None):
        """An attacker that takes what there is, while the service goes on."""
        release = self.directory / "release"
        release.unlink(missing_ok=True)
        process = self.session(ATTACKER, act, count, release, environment=environment)
        self.gate.touch()
        wait_until(lambda: b"ready" in process.stdout, "the attacker")
        self.assertIn(said, process.stdout)
        load = self.load().wait(400)
        release.touch()
        wait_until(lambda: b"status 0" in process.stdout, "the end of the attack")
        load.wait(400)
        self.assertEqual(load.stop().wrong, [])
        self.check_upstream()
        self.end(process)
        self.check_spans(process.spans)
        self.assertRegex(process.stderr, answer)
        # What went out as sampled is there, all the rest was marked.
        exported = {s.span_id for s in process.spans}
        for request in self.upstream.requests:
            _, span_id, flags = request.traceparent()
            if flags == "03":
                self.assertIn(span_id, exported)
        return process, load

    def test_all_lanes_taken_by_a_crowd(self):
        process, load = self.exhausted("crowd", 2000, b"2000 children", r"\d+ x no free lane",
                                       environment={"REMORA_LANES": "64"})
        flags = [r.traceparent()[2] for r in self.upstream.requests]
        self.assertIn("02", flags)   # while there was no lane
        self.assertEqual(flags[-1], "03")  # and after
        unfinished = process.spans.where(remora_end="process", url_path="/open")
        self.assertEqual(len(unfinished), len(process.spans.where(url_path="/open")))

    def test_all_slots_taken_by_one_process(self):
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 10064:
            self.skipTest("the limit of open files is below 10064")
        process, load = self.exhausted("hoard", 5000, b"5000 requests", r"\d+ x no free slot")
        self.assertEqual({r.traceparent()[2] for r in self.upstream.requests}, {"03"})
        # 64 lanes of 63 slots is what one process can have.
        hoarded = process.spans.where(kind="client", remora_end="process")
        self.assertLessEqual(len(hoarded), 64 * 63)
        self.assertGreater(len(hoarded), 1000)
        self.assertEqual({s["url.full"] for s in hoarded}, {"http://x/open"})
        self.assertEqual(len(process.spans.where(kind="server")), len(load.complete))


if __name__ == "__main__":
    main()
