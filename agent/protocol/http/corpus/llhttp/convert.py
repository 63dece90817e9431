#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns llhttp's test cases (test/**/*.md of https://github.com/nodejs/llhttp) into cases.txt.

    convert.py LLHTTP-TEST-FOLDER > cases.txt

Kept: what its strict parser says of requests and responses. Left out: its lenient modes, skipBody on
requests, and the cases of its URL parser alone. One case is three lines:

    case FILE TITLE              where it comes from
    wire KIND "BYTES"            request, response, or head-response (the answer to HEAD)
    want BODY... END             bytes of body of each complete message, ~N of one that is still
                                 open, then how it ended: end, switch, or reject: REASON
"""
import json
import pathlib
import re
import sys

BLOCK = r"```%s\n((?:(?!```).)*?)```"
CASE = re.compile(r"<!-- *meta=(\{.*?\}) *-->\s*" + BLOCK % "http" + r"(?:(?!```).)*?" + BLOCK % "log", re.S)


def wire(text):
    """As llhttp's own test runner reads a case (test/md-test.ts)."""
    text = text.removesuffix("\n")
    text = re.sub(r"\\\n", "", text)
    text = text.replace("\n", "\r\n")
    for escape, byte in (("\\r", "\r"), ("\\n", "\n"), ("\\t", "\t"), ("\\f", "\f")):
        text = text.replace(escape, byte)
    text = re.sub(r"\\x([0-9a-fA-F]+)", lambda m: chr(int(m[1], 16)), text)
    # Characters of one byte are bytes there; everything else is UTF-8.
    return text.encode("latin-1") if all(ord(c) < 256 for c in text) else text.encode()


def outcome(log):
    bodies, body, end = [], 0, "end"  # body: of the message that is open
    for line in log.splitlines():
        if " message begin" in line:
            body = 0
        elif found := re.search(r"len=(\d+) span\[body\]", line):
            body += int(found[1])
        elif " message complete" in line:
            bodies.append(str(body))
            body = 0
        elif found := re.search(r'error code=(\d+) reason="(.*)"', line):
            end = "switch" if found[1] == "22" else "reject: " + found[2]
    if body and end == "end":
        bodies.append(f"~{body}")
    return " ".join(bodies + [end])


def main():
    root = pathlib.Path(sys.argv[1])
    seen = {}
    for path in sorted(root.rglob("*.md")):
        text = path.read_text()
        for found in CASE.finditer(text):
            meta = json.loads(found[1])
            kind = meta["type"].removesuffix("-finish")
            if kind not in ("request", "response"):
                continue
            if meta.get("skipBody"):
                if kind == "request":
                    continue
                kind = "head-response"
            title = re.findall(r"^#+ +(.*)$", text[: found.start()], re.M)[-1]
            escaped = "".join(
                chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\x{b:02x}" for b in wire(found[2]))
            name = f"{path.relative_to(root)} {title}"
            seen[name] = seen.get(name, 0) + 1
            print(f"case {name}" + (f" ({seen[name]})" if seen[name] > 1 else ""))
            print(f'wire {kind} "{escaped}"')
            print(f"want {outcome(found[3])}")


main()
