# SPDX-License-Identifier: Apache-2.0
"""A traced program attacks the memory that it shares with the agent and with other traced programs:
those must not notice, the agent must survive and say what it lost."""
import os
import signal
import time

from e2e_case import (EndToEndTestCase, Load, children, fetch, free_port, get, converse, main,
                      mask_traceparent, need, need_root, seeded_random, strip_traceparent, target,
                      wait_until)

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


if __name__ == "__main__":
    main()
