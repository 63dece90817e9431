# SPDX-License-Identifier: Apache-2.0
"""docs/configuration.md names exactly the settings, variables and flags that there are."""
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import remora_test  # noqa: E402
from remora_test import BUILD, SOURCE  # noqa: E402

TEXT = (SOURCE / "docs/configuration.md").read_text()


def remora(*arguments):
    return subprocess.run([str(BUILD / "remora"), *arguments], capture_output=True, text=True,
                          check=True, env={"PATH": os.environ["PATH"]}).stdout


class ConfigurationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not (BUILD / "remora").exists():
            raise unittest.SkipTest(f"no remora in {BUILD}")

    def test_settings(self):
        """The table is the one that the program prints: names, variables, defaults, meanings."""
        real = remora("config", "--reference").splitlines()
        begin = TEXT.index(real[0])
        documented = TEXT[begin:TEXT.index("\n\n", begin)].splitlines()
        self.assertEqual(documented, real)

    def test_defaults(self):
        """What `remora config` shows of an empty environment are the defaults of the table."""
        rows = re.findall(r"^\| `([a-z_.]+)` \|[^|]*\| ?([^|]*?) ?\|", TEXT, re.M)
        shown = {}
        for line in remora("config").splitlines():
            setting, *value, source = re.split(r"  +", line.strip())
            self.assertEqual(source, "default", line)
            shown[setting] = value[0] if value else ""
        self.assertEqual([name for name, _ in rows], list(shown))
        for name, default in rows:
            self.assertEqual(re.sub(r"^\(|\)$", "", shown[name]).replace("`", ""),
                             default.replace("`", ""), name)

    def test_flags(self):
        real = set(re.findall(r"^ +(?:-\w,)?(--[a-z-]+)", remora("run", "--help"), re.M))
        rows = "\n".join(re.findall(r"^\| (`--[^|]*)\|", TEXT, re.M))
        self.assertEqual(set(re.findall(r"`(--[a-z-]+)", rows)), real - {"--help"})


if __name__ == "__main__":
    remora_test.main()
