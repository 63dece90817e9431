# SPDX-License-Identifier: Apache-2.0
"""Whose child is a call? Real servers and clients, at 1, 2, 3 and 50 requests at a time, each with a
trace of its own and 1 to 3 calls after random waits, background calls going on. Wrong is 0
everywhere; right is all of them where a carrier or the thread can tell. Prints a row for each."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import free_port, need, need_python, seeded_random  # noqa: E402

# Other versions than the system's, with packages of their own.
remora_test.PYTHON = PYTHON = os.environ.get("REMORA_TEST_PYTHON", remora_test.PYTHON)
NODE = os.environ.get("REMORA_TEST_NODE", "node")
APPS = pathlib.Path(__file__).parent / "apps/association"
COUNT = int(os.environ.get("REMORA_TEST_ASSOCIATION_REQUESTS", "60"))
CALLS = sum(1 + n % 3 for n in range(COUNT))


class AssociationTest(remora_test.TestCase):
    def run_load(self, connections, command, environment, body):
        rng = seeded_random()
        downstream = Downstream(rng)
        self.addCleanup(downstream.close)
        port = free_port()
        process = self.start(*(str(word).replace("{port}", str(port)) for word in command),
                             environment={"PORT": str(port), "OTEL_SERVICE_NAME": "app",
                                          "DOWNSTREAM_PORT": str(downstream.port),
                                          "PYTHONPATH": str(APPS), **environment})
        process.wait_for_port(port)
        sent, _ = load(port, COUNT, connections, rng, body=body)
        process.wait_for_spans(COUNT, kind="server")
        process.stop()
        self.check_spans(process.spans)
        verdicts, wrong = judge([r for r in downstream.requests if "/down/" in r.path],
                                sent, process.spans)
        _, stray = judge([r for r in downstream.requests if r.path == "/background"],
                         sent, process.spans)
        return verdicts, wrong + stray

    def associate(self, *command, right=True, environment=None, body=None):
        for connections in (1, 2, 3, 50):
            with self.subTest(connections=connections):
                verdicts, wrong = self.run_load(connections, command, environment or {}, body)
                print(f"| {self._testMethodName.removeprefix('test_')} | {connections} "
                      f"| {verdicts['right']} | {verdicts['none']} | {len(wrong)} |", flush=True)
                self.assertEqual(wrong, [], f"{len(wrong)} wrong")
                if right:
                    self.assertEqual(verdicts["right"], CALLS, verdicts)

    def python(self, app, *arguments, needs, **options):
        need_python(*needs)
        self.associate(PYTHON, "-B", APPS / app, *arguments, **options)

    def gunicorn(self, *flags, needs=("flask", "requests"), **options):
        need_python("gunicorn", *needs)
        self.associate(PYTHON, "-B", "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--chdir",
                       APPS, *flags, "flask_app:app", **options)

    # --- Python ---

    def test_aiohttp(self):
        self.python("aiohttp_app.py", needs=["aiohttp"])

    def test_fastapi_async_httpx(self):
        self.python("fastapi_app.py", "async", "asyncio", needs=["fastapi", "uvicorn", "httpx"])

    def test_fastapi_async_httpx_uvloop(self):
        self.python("fastapi_app.py", "async", "uvloop",
                    needs=["fastapi", "uvicorn", "httpx", "uvloop"])

    def test_fastapi_sync_httpx(self):
        self.python("fastapi_app.py", "sync", "asyncio", needs=["fastapi", "uvicorn", "httpx"])

    def test_flask_threaded_requests(self):
        self.python("flask_app.py", needs=["flask", "requests"])

    def test_flask_threaded_requests_in_pool(self):
        self.python("flask_app.py", needs=["flask", "requests"], environment={"POOL": "1"})

    def test_django_requests(self):
        self.python("django_app.py", "wsgi", needs=["django", "requests"])

    def test_django_asgi_requests_in_executor(self):
        self.python("django_app.py", "asgi", needs=["django", "uvicorn", "requests"])

    def test_gunicorn_sync_flask_requests(self):
        self.gunicorn("--workers", "2")

    def test_gunicorn_gthread_flask_requests(self):
        self.gunicorn("--worker-class", "gthread", "--threads", "60")

    def test_gunicorn_gevent_flask_requests(self):
        self.gunicorn("--worker-class", "gevent", needs=("flask", "requests", "gevent"))

    def test_http_server_threads_urllib(self):
        self.python("threads_app.py", "own", needs=[])

    def test_http_server_threads_urllib_in_pool(self):
        self.python("threads_app.py", needs=[])

    def test_http_server_threads_urllib_in_multiprocessing_pool(self):
        self.python("threads_app.py", "multi", needs=[])

    def test_gevent_flask_requests(self):
        self.python("gevent_app.py", needs=["flask", "requests", "gevent"])

    def test_gevent_flask_requests_in_pool(self):
        self.python("gevent_app.py", needs=["flask", "requests", "gevent"],
                    environment={"POOL": "1"})

    # --- node ---

    def node(self, *arguments, **options):
        need(NODE)
        self.associate(NODE, APPS / "node_app.js", *arguments, **options)

    def test_node_http(self):
        self.node("http")

    def test_node_http_body(self):
        self.node("http", "body", body=bytes(200_000))

    def test_node_fetch(self):
        self.node("fetch")

    def test_node_http_cluster(self):
        self.node("http", "cluster")

    def test_node_fetch_worker(self):
        self.node("fetch", "worker")

    # --- without carriers: silent, never wrong ---

    def test_aiohttp_without_carrier(self):
        self.python("aiohttp_app.py", needs=["aiohttp"], right=False,
                    environment={"REMORA_CARRIERS": "none"})

    def test_node_http_without_carrier(self):
        self.node("http", right=False, environment={"REMORA_CARRIERS": "python"})


if __name__ == "__main__":
    remora_test.main()
