# SPDX-License-Identifier: Apache-2.0
"""What every file and every protocol folder must have."""
import pathlib
import re
import shutil
import subprocess
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
LONGEST_FILE = 400
CODE = (".h", ".cc", ".c", ".py", ".sh", ".cmake", ".def", ".proto")


def tracked():
    names = [""]
    if shutil.which("git") is not None:
        names = subprocess.run(["git", "-C", SOURCE, "ls-files", "-z"], stdout=subprocess.PIPE,
                               check=False).stdout.decode().split("\0")
    if names == [""]:  # an exported tree, or no git here
        names = [p.relative_to(SOURCE).as_posix() for p in SOURCE.rglob("*")
                 if p.is_file() and "build" not in p.relative_to(SOURCE).parts[:1]]
    return [SOURCE / name for name in names if name and (SOURCE / name).is_file()]


class FoldersTest(unittest.TestCase):
    def test_licence_line(self):
        missing = []
        for path in tracked():
            if path.suffix not in CODE and path.name != "CMakeLists.txt":
                continue
            first = path.read_text(encoding="utf-8").split("\n", 2)[:2]
            line = first[1] if first[0].startswith("#!") and len(first) > 1 else first[0]
            wanted = "Apache-2.0 OR GPL-2.0" if "/bpf/" in f"/{path.relative_to(SOURCE)}" else \
                "Apache-2.0"
            if f"SPDX-License-Identifier: {wanted}" not in line and path.stat().st_size:
                missing.append(str(path.relative_to(SOURCE)))
        self.assertEqual(missing, [])

    def test_protocol_folders(self):
        folders = sorted(p for p in (SOURCE / "agent/protocol").iterdir() if p.is_dir())
        self.assertTrue(folders)
        for folder in folders:
            with self.subTest(protocol=folder.name):
                readme = folder / "README.md"
                self.assertTrue(readme.is_file(), "no README.md")
                self.assertLessEqual(len(readme.read_text(encoding="utf-8").splitlines()), 40)
                self.assertTrue(any((folder / "corpus").rglob("*")), "no corpus")
                self.assertTrue(list(folder.glob("*_test.cc")), "no tests")
                self.assertTrue(list(folder.glob("attributes*.cc")), "no attributes.cc")

    def test_length_of_files(self):
        long = []
        for path in tracked():
            if path.suffix in (".h", ".cc", ".c"):
                lines = path.read_text(encoding="utf-8").count("\n")
                if lines >= LONGEST_FILE:
                    long.append(f"{path.relative_to(SOURCE)}: {lines} lines")
        for line in long:
            print("long file:", line)

    def test_the_repository_speaks_of_the_project_alone(self):
        foreign = re.compile(r"/work/(main|shared)|\bTODO\b|\bFIXME\b|\bXXX\b")
        found = []
        for path in tracked():
            if path == pathlib.Path(__file__).resolve() or path.suffix not in CODE + (".md", ".txt"):
                continue
            if "corpus" in path.parts:
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if foreign.search(line):
                    found.append(f"{path.relative_to(SOURCE)}:{number}: {line.strip()}")
        self.assertEqual(found, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
