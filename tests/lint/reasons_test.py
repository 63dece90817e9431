# SPDX-License-Identifier: Apache-2.0
"""docs/troubleshooting.md explains exactly the reasons that remora ps and remora inspect give."""
import pathlib
import re
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]


def reasons():
    """(name, state, text, help) of each, from the list in agent/inspect/reasons.h."""
    header = (SOURCE / "agent/inspect/reasons.h").read_text(encoding="utf-8").replace("\\\n", " ")
    rows = re.findall(r'X\((\w+), (\w+),\s*((?:"[^"]*"\s*)+),\s*((?:"[^"]*"\s*)+)\)', header)
    return [(name, state.replace("_", " "), *("".join(re.findall(r'"([^"]*)"', text))
                                              for text in texts))
            for name, state, *texts in rows]


class ReasonsTest(unittest.TestCase):
    maxDiff = None

    def test_table(self):
        text = (SOURCE / "docs/troubleshooting.md").read_text(encoding="utf-8")
        table = re.findall(r"^\| `(\w+)` \| ([^|]*?) \| ([^|]*?) \| ([^|]*?) \|$", text, re.M)
        self.assertGreater(len(table), 20)
        self.assertEqual(table, reasons())


if __name__ == "__main__":
    unittest.main(verbosity=2)
