# SPDX-License-Identifier: Apache-2.0
"""Ten thousand programs one after the other: each gets a lane, each says how it ended."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from process_case import ProcessTestCase, main, target  # noqa: E402

COUNT = 10_000


class ManyTest(ProcessTestCase):
    lanes = 512

    def test_ten_thousand_programs(self):
        result = subprocess.run(
            [target("spawn_many"), str(COUNT), "LD_PRELOAD=" + self.agent.library,
             "REMORA_SESSION=" + self.agent.session_text, "--", "/bin/true"],
            stdout=subprocess.PIPE, text=True, timeout=240, check=False)
        self.assertEqual(result.returncode, 0)
        print("microseconds per program, mean and fastest:", result.stdout.strip())
        found = self.ended("true", COUNT)
        self.assertEqual(len(found), COUNT)
        self.assertEqual({p.exit_code for p in found}, {0})
        self.assertEqual(len({p.image for p in found}), COUNT)

    def test_a_long_chain_in_one_process(self):
        script = 'n=$1; [ "$n" = 0 ] && exit 0; exec /bin/sh -c "$2" sh $((n - 1)) "$2"'
        result = self.traced("/bin/sh", "-c", script, "sh", "1000", script)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.ended("dash")
        chain = self.agent.processes("dash")
        self.assertEqual(len(chain), 1001)
        for earlier, later in zip(chain, chain[1:]):
            self.assert_child(later, earlier)


if __name__ == "__main__":
    main()
