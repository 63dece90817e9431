# SPDX-License-Identifier: Apache-2.0
"""Data goes down the list of stages and never back up; so do includes (agent/CMakeLists.txt)."""
import pathlib
import re
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]

# What a part may include besides itself. A part is a folder; agent/<stage> is called <stage>.
BELOW = {"bpf/abi": set(), "base": set()}
BELOW["context"] = {"base", "bpf/abi"}
BELOW["protocol"] = BELOW["context"] | {"context"}
_TARGET = BELOW["protocol"] | {"protocol"}
BELOW["preload"] = set(_TARGET)
BELOW["config"] = set(_TARGET)
BELOW["control"] = _TARGET | {"config"}
BELOW["ingest"] = set(_TARGET)
BELOW["inspect"] = BELOW["ingest"] | {"ingest"}
BELOW["connection"] = BELOW["ingest"] | {"ingest"}
BELOW["span"] = BELOW["connection"] | {"connection"}
BELOW["sample"] = BELOW["span"] | {"span"}
BELOW["export"] = BELOW["sample"] | {"sample", "config"}
BELOW["view"] = BELOW["export"] | {"export"}
BELOW["pipeline"] = BELOW["view"] | {"view", "control"}
BELOW["main"] = BELOW["pipeline"] | {"pipeline", "inspect"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def part_of(path):
    """agent/span/x.h -> span; bpf/abi/x.h -> bpf/abi; preload/x.cc -> preload"""
    pieces = pathlib.PurePosixPath(path).parts
    if pieces[0] == "agent":
        return pieces[1]
    return "bpf/abi" if pieces[:2] == ("bpf", "abi") else pieces[0]


def sources():
    for root in ("agent", "bpf/abi", "preload"):
        for path in sorted((SOURCE / root).rglob("*")):
            if path.suffix in (".h", ".cc", ".c", ".def"):
                yield path.relative_to(SOURCE).as_posix()


def is_test(path):
    name = path.rsplit("/", 1)[-1]
    return name.endswith("_test.cc") or name.startswith("test_")


def library_headers(path):
    """(which of our files, which header) for all that a source includes, directly or not."""
    seen, open_files = {path}, [path]
    while open_files:
        file = open_files.pop()
        for bracket, name in INCLUDE.findall((SOURCE / file).read_text(encoding="utf-8")):
            if bracket == "<":
                yield file, name
            elif name not in seen and (SOURCE / name).exists():
                seen.add(name)
                open_files.append(name)


class IncludesTest(unittest.TestCase):
    maxDiff = None

    def test_direction(self):
        wrong = []
        for path in sources():
            part = part_of(path)
            self.assertIn(part, BELOW, f"{path}: a folder that this test does not know")
            for bracket, name in INCLUDE.findall((SOURCE / path).read_text(encoding="utf-8")):
                if bracket == "<":
                    continue
                if not (SOURCE / name).exists():
                    wrong.append(f"{path}: {name} is not a path from the root")
                    continue
                other = part_of(name)
                if other == "tests" and is_test(path):
                    continue
                if other != part and other not in BELOW[part]:
                    wrong.append(f"{path}: {part} must not include {name}")
        self.assertEqual(wrong, [])

    def test_protocols_do_not_know_each_other(self):
        wrong = []
        for path in sources():
            pieces = path.split("/")
            if pieces[:2] != ["agent", "protocol"] or len(pieces) < 4:
                continue
            for _, name in INCLUDE.findall((SOURCE / path).read_text(encoding="utf-8")):
                other = name.split("/")
                if other[:2] == ["agent", "protocol"] and len(other) > 3 and other[2] != pieces[2]:
                    wrong.append(f"{path}: {name}")
        self.assertEqual(wrong, [])

    def test_code_in_targets_includes_no_library(self):
        """Headers of the C++ library that bring code with them have no place in a target."""
        harmless = {"atomic", "concepts", "limits", "type_traits", "utility"}
        wrong = {}
        for path in sources():
            in_target = part_of(path) in ("preload", "context") or (
                path.startswith("agent/protocol/") and path.count("/") == 3)
            if not in_target or not path.endswith(".cc") or "/attributes" in path or is_test(path):
                continue
            for header, name in library_headers(path):
                if "." not in name and name not in harmless and not name.startswith("c"):
                    wrong.setdefault(f"{header}: <{name}>", f"reached from {path}")
        self.assertEqual(wrong, {})

    def test_pipeline_alone_names_every_stage(self):
        stages = {"ingest", "connection", "span", "export"}
        for path in sources():
            if part_of(path) in ("main", "pipeline") or is_test(path):
                continue
            text = (SOURCE / path).read_text(encoding="utf-8")
            named = {part_of(name) for bracket, name in INCLUDE.findall(text) if bracket == '"'}
            self.assertLess(len(named & stages), 4, path)


if __name__ == "__main__":
    unittest.main(verbosity=2)
