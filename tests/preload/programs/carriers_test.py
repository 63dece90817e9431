# SPDX-License-Identifier: Apache-2.0
"""Carriers as guests of Python and node: what the user set stays, what is broken stays broken in the
same way, a carrier that is missing or fails is not noticed, and what can't be known is left alone."""
import http.client
import pathlib
import shutil
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from remora_test import BUILD, PYTHON, free_port, need, need_python  # noqa: E402

APPS = pathlib.Path(__file__).parent / "apps"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# What a Python program can see of its start; `+` where the carrier is at work.
LOOK = textwrap.dedent("""
    import json, os, subprocess, sys
    state = [os.environ.get("PYTHONPATH"), sys.path, sys.argv, "sitecustomize" in sys.modules,
             sorted(set(sys.modules) - {"_remora"})]
    print(json.dumps(state))
    if "child" in sys.argv:
        sys.stdout.flush()
        subprocess.run([sys.executable, __file__])
    sys.stderr.write("+" * ("_remora" in sys.modules))
""")
LOOK_NODE = """
    const { spawnSync } = require('child_process');
    const state = () => [process.env.NODE_OPTIONS, process.execArgv, process.argv,
      Object.keys(require.cache).length, global.agent];
    console.log(JSON.stringify(state()));
    if (process.argv.includes('child')) {
      console.log(String(spawnSync(process.execPath, [__filename]).stdout));
    }
"""


class CarriersTest(remora_test.TestCase):
    def compare(self, *command, carrier=None, expect=0, environment=None):
        """The program prints the same and ends in the same way as without us. carrier: is it there?"""
        bare = self.run_bare(*command, expect=expect, environment=environment)
        traced = self.start(*command, environment=environment, flags=["--quiet"])
        traced.wait(expect)
        self.assertEqual(traced.stdout, bare.stdout)
        self.assertEqual(traced.stderr.rstrip("+"), bare.stderr)
        if carrier is not None:
            self.assertEqual(traced.stderr.endswith("+"), carrier, command)
        return traced

    def test_python_path(self):
        look = self.file("look.py", LOOK)
        for environment in ({}, {"PYTHONPATH": ""}, {"PYTHONPATH": f"{APPS}:/nowhere"},
                            {"PYTHONPATH": ":"}):
            with self.subTest(**environment):
                self.compare(PYTHON, "-B", look, "child", carrier=True, environment=environment)

    def test_python_that_ignores_its_environment(self):
        look = self.file("look.py", LOOK)
        for option in ("-I", "-E", "-S", "-sE"):
            with self.subTest(option=option):
                self.compare(PYTHON, "-B", option, look, carrier=False,
                             environment={"PYTHONPATH": str(APPS)})

    def test_switched_off(self):
        look = self.file("look.py", LOOK)
        for value, carrier in (("none", False), ("node", False), ("node,python", True)):
            self.compare(PYTHON, "-B", look, carrier=carrier,
                         environment={"REMORA_CARRIERS": value})

    def test_other_sitecustomize(self):
        look = self.file("look.py", LOOK)
        for name, text in (("good", "print('sitecustomize', __name__, __file__)"),
                           ("raises", "raise KeyError('x')"), ("syntax", "def"),
                           ("imports", "import missing_module")):
            with self.subTest(name=name):
                self.file(f"{name}/sitecustomize.py", text)
                self.compare(PYTHON, "-B", look, carrier=True,
                             environment={"PYTHONPATH": str(self.directory / name)})

    def test_virtual_environment(self):
        look = self.file("look.py", LOOK)
        need_python("venv")
        self.run_bare(PYTHON, "-m", "venv", "--without-pip", self.directory / "venv")
        self.compare(self.directory / "venv/bin/python", "-B", look, carrier=True)

    def copy_of_library(self, change):
        """Runs a program with another copy of the library, whose carriers were changed."""
        folder = self.directory / "copy"
        shutil.copytree(BUILD / "remora-runtimes", folder / "remora-runtimes")
        shutil.copy(BUILD / "libremora.so", folder)
        change(folder / "remora-runtimes")
        return {"REMORA_LIBRARY": str(folder / "libremora.so")}

    def test_missing_carriers(self):
        need("node")
        environment = self.copy_of_library(shutil.rmtree)
        self.compare(PYTHON, "-B", self.file("look.py", LOOK), "child", carrier=False,
                     environment=environment)
        self.compare("node", self.file("look.js", LOOK_NODE), "child", environment=environment)

    def test_broken_carriers(self):
        need("node")

        def spoil(folder):
            (folder / "python/_remora/__init__.py").write_text("raise RuntimeError('spoilt')")
            carrier = folder / "node/carrier.js"
            carrier.write_text(carrier.read_text().replace("function start() {",
                                                           "function start() { throw Error('spoilt');"))
        environment = self.copy_of_library(spoil)
        self.compare(PYTHON, "-B", self.file("look.py", LOOK), environment=environment)
        self.compare("node", self.file("look.js", LOOK_NODE), environment=environment)

    def test_node_options(self):
        need("node")
        look = self.file("look.js", LOOK_NODE)
        other = self.file("other.js", "global.agent = 'another agent';")
        for environment in ({}, {"NODE_OPTIONS": ""},
                            {"NODE_OPTIONS": f"--max-old-space-size=300 --require={other}"}):
            with self.subTest(**environment):
                traced = self.compare("node", look, "child", environment=environment)
                self.assertEqual(b"another agent" in traced.stdout, "=" in str(environment))

    def test_node_under_permissions(self):
        need("node")
        look = self.file("look.js", "console.log(process.env.NODE_OPTIONS);")
        self.compare("node", "--no-warnings", "--experimental-permission",
                     f"--allow-fs-read={self.directory}/*", look)

    def test_node_fails_as_before(self):
        need("node")
        bad = self.file("bad.js", "process.on('exit', () => console.log('bye')); throw Error('x');")
        self.compare("node", bad, expect=1)

    def test_services_end_as_before(self):
        need("node", "gunicorn")
        need_python("aiohttp", "flask", "requests")
        association = APPS / "association"
        for command in (["node", association / "node_app.js", "http"],
                        ["node", association / "node_app.js", "http", "cluster"],
                        [PYTHON, "-B", association / "aiohttp_app.py"],
                        [PYTHON, "-B", association / "threads_app.py"],
                        [PYTHON, "-B", "/usr/bin/gunicorn", "--log-level", "critical", "--bind",
                         "127.0.0.1:{port}", "--chdir", association, "flask_app:app"]):
            ends = []
            for traced in (False, True):
                port = free_port()
                process = self.start(*(str(word).replace("{port}", str(port)) for word in command),
                                     environment={"PORT": str(port), "DOWNSTREAM_PORT": "1"},
                                     traced=traced, **({"flags": ["--quiet"]} if traced else {}))
                process.wait_for_port(port)
                ends.append((process.stop(), process.stdout))
            with self.subTest(command=command[-1]):
                self.assertEqual(ends[1], ends[0])

    # --- what a carrier must leave alone ---

    def ask(self, port, path):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        client.request("GET", path, headers={"traceparent": f"00-{TRACE}-{PARENT}-01",
                                             "tracestate": "a=1,b=2"})
        answer = client.getresponse()
        self.assertEqual((answer.status, answer.read()), (200, b"done"))
        client.close()

    def check_service(self, *command):
        """A service whose /call makes a call, whose /own one with a trace header of its own, /signed
        one with a signature, and whose /later makes /call's when /later has been answered."""
        downstream = self.server()
        port = free_port()
        process = self.start(*command, environment={"PORT": str(port),
                                                    "DOWNSTREAM_PORT": str(downstream.port)})
        process.wait_for_port(port)
        for path in ("/call", "/own", "/signed", "/later"):
            self.ask(port, path)
        process.wait_for_spans(4, kind="server")
        remora_test.wait_until(lambda: len(downstream.requests) == 4, "the late call")
        process.wait_for_spans(3, kind="client")  # /own is not sampled
        process.stop()
        self.check_spans(process.spans)
        calls = {request.path: request for request in downstream.requests}

        call = self.client_span(process, "/call")
        self.assert_child(call, process.spans.one(kind="server", url_path="/call"))
        self.assert_carries(calls["/call"], call, flags="01")
        self.assertEqual(calls["/call"].values("tracestate"), [b"a=1,b=2"])
        self.assertEqual(calls["/own"].traceparent()[::2], ("1" * 32, "00"))
        self.assertIsNone(calls["/signed"].traceparent())
        later = self.client_span(process, "/later")
        self.assertEqual(later["remora.join"], "root")
        self.assertNotEqual(later.trace_id, TRACE)

    @staticmethod
    def client_span(process, path):
        spans = [s for s in process.spans if s.kind == "client" and s["url.full"].endswith(path)]
        assert len(spans) == 1, process.spans
        return spans[0]

    def test_python_leaves_alone(self):
        need_python("aiohttp")
        self.check_service(PYTHON, "-B", APPS / "careful_service.py")

    def test_node_leaves_alone(self):
        need("node")
        for client in ("http", "array", "fetch"):
            with self.subTest(client=client):
                self.check_service("node", APPS / "careful_service.js", client)


if __name__ == "__main__":
    remora_test.main()
