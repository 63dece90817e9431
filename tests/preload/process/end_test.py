# SPDX-License-Identifier: Apache-2.0
"""However a program ends, its exit code is its own, and the agent hears of it."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from process_case import ProcessTestCase, main, target  # noqa: E402

ACTS = target("process_acts")


class EndTest(ProcessTestCase):
    def test_ways_to_end(self):
        for how in ("main", "exit", "_exit", "_Exit", "quick_exit", "exit_group", "thread"):
            for code in (0, 7, 255):
                with self.subTest(how=how, code=code):
                    self.same(ACTS, "end", how, str(code))
                    process = self.ended("process_acts")[-1]
                    self.assertEqual(process.exit_code, code)
                    self.assertGreater(process.end_ns, process.start_ns)

    def test_a_vfork_child_does_not_end_its_parent(self):
        self.same(ACTS, "end", "vfork", "9")
        self.assertEqual([p.exit_code for p in self.agent.processes("process_acts")], [None])

    def test_a_forked_child_does_not_end_its_parent(self):
        script = ("import os\npid = os.fork()\nif pid == 0: os._exit(3)\n"
                  "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3\n")
        self.same("/usr/bin/python3", "-c", script)
        self.assertEqual([p.exit_code for p in self.agent.processes()], [0])

    def test_killed(self):
        for signal in ("KILL", "SEGV", "TERM"):
            with self.subTest(signal=signal):
                self.same("/bin/sh", "-c", f"kill -{signal} $$")
        self.assertTrue(all(p.exit_code is None for p in self.agent.processes("dash")))


if __name__ == "__main__":
    main()
