# SPDX-License-Identifier: Apache-2.0
"""Flask under gunicorn: prefork with synchronous workers, and with threads."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from parents import Downstream, judge, load  # noqa: E402
from remora_test import PYTHON, free_port, need, need_python, seeded_random  # noqa: E402

APPS = pathlib.Path(__file__).parent / "apps"


class GunicornTest(remora_test.TestCase):
    def setUp(self):
        need("gunicorn")
        need_python("flask", "requests")
        super().setUp()

    def run_load(self, flags, connections, count=200):
        rng = seeded_random()
        downstream = Downstream(rng)
        self.addCleanup(downstream.close)
        port = free_port()
        process = self.start(PYTHON, "-B", "/usr/bin/gunicorn", "--bind", f"127.0.0.1:{port}",
                             "--chdir", APPS, *flags, "flask_service:app",
                             environment={"DOWNSTREAM_PORT": str(downstream.port),
                                          "OTEL_SERVICE_NAME": "flask"}).wait_for_port(port)
        sent, _ = load(port, count, connections, rng)
        process.wait_for_spans(count, kind="server")
        process.stop(expect=0)
        self.check_spans(process.spans)
        verdicts, wrong = judge(downstream.requests, sent, process.spans)
        self.assertEqual(wrong, [], f"{len(wrong)} wrong")
        self.assertEqual(verdicts["right"], count, verdicts)
        self.assertEqual(len(process.spans.where(kind="server", service="flask")), count)

    def test_synchronous_workers(self):
        self.run_load(["--workers", "2"], connections=4)

    def test_threads(self):
        for connections in (1, 3, 50):
            with self.subTest(connections=connections):
                self.run_load(["--worker-class", "gthread", "--threads", "60"], connections)


if __name__ == "__main__":
    remora_test.main()
