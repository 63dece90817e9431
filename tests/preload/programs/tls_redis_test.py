# SPDX-License-Identifier: Apache-2.0
"""redis over TLS: redis-cli and Python's client, a server that is traced."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from remora_test import PYTHON, free_port, need, need_python  # noqa: E402
from tls_case import TlsTestCase  # noqa: E402


class TlsRedisTest(TlsTestCase):
    def setUp(self):
        need("redis-server", "redis-cli")
        super().setUp()
        if b"--tls" not in self.run_bare("redis-cli", "--help").stdout:
            self.skipTest("this redis was built without TLS")

    def redis_server(self, traced=False):
        port, tls_port = free_port(), free_port()
        process = self.start(
            "redis-server", "--port", port, "--tls-port", tls_port, "--bind", "127.0.0.1",
            "--tls-cert-file", self.certificate, "--tls-key-file", self.key,
            "--tls-ca-cert-file", self.certificate, "--tls-auth-clients", "no",
            "--save", "", "--dir", self.directory, traced=traced)
        process.wait_for_port(tls_port)
        return port, tls_port, process

    def cli(self, port, *arguments, traced):
        run = self.run_traced if traced else self.run_bare
        return run("redis-cli", "-h", "127.0.0.1", "-p", port, "--tls", "--cacert", self.certificate,
                   *arguments)

    def test_commands(self):
        port, _, _ = self.redis_server()
        proxy = self.tls_proxy(port)
        for arguments, operation, code in ((["SET", "a-key", "a-value"], "SET", None),
                                           (["GET", "a-key"], "GET", None),
                                           (["LPUSH", "a-key", "y"], "LPUSH", "WRONGTYPE")):
            with self.subTest(arguments=arguments):
                bare = self.cli(proxy.port, *arguments, traced=False)
                traced = self.cli(proxy.port, *arguments, traced=True)
                self.assertEqual(traced.stdout, bare.stdout)
                self.assertEqual(len(proxy.sent), 2)
                self.assertEqual(proxy.sent[0], proxy.sent[1])  # nothing is added to redis' protocol
                proxy.sent.clear()
                client = traced.spans.one(kind="client")
                self.assertEqual(client.status, "error" if code else "unset")
                self.assert_tls(client)
                self.assert_attributes(
                    client, db_system_name="redis", db_operation_name=operation, error_type=code,
                    server_address="127.0.0.1", server_port=proxy.port,
                    network_peer_address="127.0.0.1", network_peer_port=proxy.port)
                self.assert_child(client, traced.spans.one(kind="internal"))
                for secret in ("a-key", "a-value"):
                    self.assertNotIn(secret, traced.output.read_text())

    def test_python_client(self):
        need_python("redis")
        _, port, _ = self.redis_server()
        script = self.file("client.py", f"""
import redis
r = redis.Redis(port={port}, ssl=True, ssl_ca_certs="cert.pem")
value = bytes(range(256)) * 4000
assert r.set("big", value)
assert r.get("big") == value
with r.pipeline(transaction=False) as p:
    for n in range(5): p.get(f"key{{n}}")
    p.execute()
""")
        calls = self.run_traced(PYTHON, "-B", script).spans.where(kind="client")
        self.assertEqual([(c["db.operation.name"], c["db.operation.batch.size"])
                          for c in sorted(calls, key=lambda s: s.start_ns)],
                         [("SET", None), ("GET", None), ("BATCH GET", 5)])
        for call in calls:
            self.assert_tls(call)

    def test_a_traced_server(self):
        answers = []
        for traced in (False, True):
            _, port, server = self.redis_server(traced)
            answers.append([self.cli(port, *words, traced=False).stdout
                            for words in (["SET", "a", "b" * 100_000], ["GET", "a"], ["NOSUCH"])])
            server.stop(expect=0)
        self.assertEqual(answers[1], answers[0])
        self.assertEqual(server.spans.where(kind="server"), [])
        self.assertEqual(server.spans.where(kind="client"), [])


if __name__ == "__main__":
    remora_test.main()
