# SPDX-License-Identifier: Apache-2.0
"""What the process tests share: a program is run bare and under the shim, and must not differ."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from fake_agent import FakeAgent, TARGETS  # noqa: E402
from remora_test import main, need  # noqa: E402,F401  pylint: disable=unused-import

# What stands in TRACEPARENT where there is nothing to continue.
NO_TRACEPARENT = f"00-{'0' * 32}-{'0' * 16}-00"
OURS = ("LD_PRELOAD", "REMORA_SESSION", "TRACEPARENT", "TRACESTATE")


def target(name):
    return os.path.join(TARGETS, name)


def need_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")


def without_ours(environment_lines):
    """The lines of `env` but for those that the shim is allowed to add."""
    return sorted(line for line in environment_lines.splitlines()
                  if line.partition("=")[0] not in OURS)


class ProcessTestCase(unittest.TestCase):
    lanes = 64

    def setUp(self):
        self.agent = FakeAgent(lanes=self.lanes)
        self.addCleanup(self.agent.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def bare(self, *command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        environment = {k: v for k, v in os.environ.items() if k not in OURS}
        environment.update(options.pop("extra", {}))
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.PIPE, timeout=120, check=False, **options)

    def traced(self, *command, **options):
        environment = self.agent.environment(**options.pop("extra", {}))
        return self.agent.run(command, env=environment, text=True, timeout=120, **options)

    def same(self, *command, **options):
        """Runs the command both ways, compares what a user sees, returns the traced result."""
        bare = self.bare(*command, **options)
        traced = self.traced(*command, **options)
        self.assertEqual((traced.returncode, traced.stdout, traced.stderr),
                         (bare.returncode, bare.stdout, bare.stderr))
        return traced

    def one(self, name):
        """The only process image of this executable."""
        found = self.agent.processes(name)
        self.assertEqual(len(found), 1, f"{name}: {self.agent.processes()}")
        return found[0]

    def ended(self, name, count=1):
        """Waits until that many images of this executable have said how they ended."""
        def all_there(processes):
            return len([p for p in processes if p.name == name and p.exit_code is not None]) >= count
        return [p for p in self.agent.wait_for(all_there) if p.name == name]

    def assert_child(self, child, parent):
        self.assertEqual((child.trace_id, child.parent_id), (parent.trace_id, parent.span_id),
                         f"{child} is no child of {parent}")
