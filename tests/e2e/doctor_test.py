#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""remora doctor: what this machine allows, and what it says where something is taken away."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
# pylint: disable=wrong-import-position
from e2e_case import (PATIENCE, REMORA, EndToEndTestCase, free_port, main, need,  # noqa: E402
                      need_root, response)


class Doctor(EndToEndTestCase):
    def doctor(self, *flags, prefix=(), command=REMORA, **environment):
        return subprocess.run([*map(str, prefix), str(command), "doctor", *flags], check=False,
                              text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE, cwd="/",
                              env={**os.environ, **environment})

    def checks(self, group="run", expect=0, **options):
        """What is found, by name; and the report."""
        result = self.doctor("--json", **options)
        self.assertEqual((result.returncode, result.stderr), (expect, ""), result.stdout)
        document = json.loads(result.stdout)
        self.assertEqual(document["good"], expect == 0)
        return {check["check"]: check for check in document[group]}

    def test_a_machine_that_allows_tracing(self):
        checks = self.checks()
        for name in ("kernel", "architecture", "/proc", "shared memory", "library", "preloading"):
            self.assertNotEqual(checks[name]["verdict"], "no", checks[name])
        result = self.doctor()
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"(?m)^  preloading +ok    a program was started")
        self.assertRegex(result.stdout, r"(?m)^Kernel probes: not part of this version yet")
        self.assertTrue(result.stdout.endswith("Programs can be traced here.\n"))

    def test_the_users_settings_do_not_decide(self):
        checks = self.checks(REMORA_DISABLE="1", OTEL_SDK_DISABLED="true",
                             OTEL_TRACES_SAMPLER="always_off")
        self.assertEqual(checks["preloading"]["verdict"], "ok")

    def test_it_works_while_it_is_traced_itself(self):
        process = self.run_traced(REMORA, "doctor", "--json")
        self.assertTrue(json.loads(process.stdout)["good"])

    def test_a_library_that_is_none(self):
        library = self.file("libremora.so", "no library at all")
        check = self.checks(expect=1, REMORA_LIBRARY=str(library))["preloading"]
        self.assertEqual(check["verdict"], "no")
        self.assertIn("did not find its agent", check["text"])
        result = self.doctor(REMORA_LIBRARY=str(library))
        self.assertEqual(result.returncode, 1)
        self.assertIn('the lines that say "no"', result.stdout)

    def test_a_library_that_is_missing(self):
        shutil.copy(REMORA, self.directory)
        checks = self.checks(expect=1, command=self.directory / "remora")
        self.assertEqual(checks["library"]["verdict"], "no")
        self.assertIn("libremora.so is missing", checks["library"]["text"])
        self.assertNotIn("preloading", checks)

    def test_limits(self):
        need("prlimit")
        need_root()  # a limit that can't be raised again binds others
        checks = self.checks(expect=1, prefix=(
            "setpriv", "--bounding-set=-all", "--inh-caps=-all", "prlimit", "--fsize=65536"))
        self.assertEqual(checks["ulimit -f"]["verdict"], "note")
        self.assertIn("ulimit -f", checks["shared memory"]["text"])
        checks = self.checks(prefix=("prlimit", "--nofile=30"))
        self.assertEqual(checks["ulimit -n"]["verdict"], "note")

    def test_without_privileges(self):
        need_root()
        need("setpriv")
        for name in ("remora", "libremora.so"):
            shutil.copy(REMORA.parent / name, self.directory)
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        options = {"prefix": nobody, "command": self.directory / "remora"}
        self.assertEqual(self.checks(**options)["preloading"]["verdict"], "ok")
        check = self.checks(group="probes", **options)["privileges"]
        self.assertEqual(check["verdict"], "no")
        self.assertIn("CAP_BPF", check["text"])

    def test_a_collector_that_answers(self):
        server = self.server(lambda request: response(body=b""))
        endpoint = f"http://user:secret@127.0.0.1:{server.port}"
        check = self.checks(group="collector", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)["collector"]
        self.assertEqual(check["verdict"], "ok", check)
        self.assertNotIn("secret", check["text"])
        [request] = server.requests
        self.assertTrue(request.head.startswith(b"POST /v1/traces HTTP/1.1\r\n"), request.head)

    def test_collectors_that_do_not(self):
        refusing = self.server(lambda request: response(status="404 Not Found"))
        for endpoint, says in ((f"http://127.0.0.1:{free_port()}", "is the collector running"),
                               (f"http://127.0.0.1:{refusing.port}", "404"),
                               (f"http://127.0.0.1:{self.silent_server().port}", "")):
            check = self.checks(group="collector", expect=1,
                                OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)["collector"]
            self.assertEqual(check["verdict"], "no")
            self.assertIn(says, check["text"])

    def test_without_a_collector_nothing_is_asked(self):
        self.assertEqual(self.checks(group="collector"), {})

    def test_wrong_arguments(self):
        result = self.doctor("now")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertTrue(re.fullmatch(r"remora: too many[^\n]*\n", result.stderr), result.stderr)
        self.assertIn("--json", self.doctor("--help").stdout)


if __name__ == "__main__":
    main()
