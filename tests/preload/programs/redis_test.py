# SPDX-License-Identifier: Apache-2.0
"""Redis clients: redis-cli, and Python's redis with pipelines, errors, subscriptions, scripts."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import remora_test  # noqa: E402
from remora_test import PYTHON, free_port, need, need_python  # noqa: E402


class RedisTest(remora_test.TestCase):
    def setUp(self):
        need("redis-server", "redis-cli")
        super().setUp()
        self.port, self.redis = self.redis_server(traced=False)
        self.proxy_ = self.proxy(self.port)

    def redis_server(self, traced):
        port = free_port()
        process = self.start("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                             "--dir", self.directory, traced=traced)
        return port, process.wait_for_port(port)

    def cli(self, *arguments, expect=0):
        """Runs redis-cli bare and traced: same output, same bytes on the wire."""
        command = ["redis-cli", "-p", self.proxy_.port, *arguments]
        bare = self.run_bare(*command, expect=expect)
        traced = self.run_traced(*command, expect=expect)
        self.assertEqual(traced.stdout, bare.stdout)
        self.assertEqual(len(self.proxy_.sent), 2)
        self.assertEqual(self.proxy_.sent[0], self.proxy_.sent[1])
        self.proxy_.sent.clear()
        return traced

    def python(self, code):
        need_python("redis")
        script = self.file("client.py", f"import redis\nr = redis.Redis(port={self.port})\n{code}")
        return self.run_traced(PYTHON, "-B", script).spans.where(kind="client")

    def test_a_command(self):
        traced = self.cli("SET", "a-key", "a-value")
        client = traced.spans.one(kind="client")
        self.assertEqual((client.name, client.status),
                         (f"SET 127.0.0.1:{self.proxy_.port}", "unset"))
        self.assert_attributes(client, db_system_name="redis", db_operation_name="SET",
                               server_address="127.0.0.1", server_port=self.proxy_.port,
                               network_peer_port=self.proxy_.port, db_response_status_code=None,
                               db_operation_batch_size=None, remora_join="process")
        self.assert_child(client, traced.spans.one(kind="internal"))
        for secret in ("a-key", "a-value"):
            self.assertNotIn(secret, traced.output.read_text())

    def test_errors(self):
        self.run_bare("redis-cli", "-p", self.port, "SET", "text", "x")
        for arguments, operation, code in (
                (["LPUSH", "text", "y"], "LPUSH", "WRONGTYPE"), (["NOSUCH", "x"], "NOSUCH", "ERR"),
                (["EVAL", "return redis.error_reply('secret text')", "0"], "EVAL", None)):
            with self.subTest(arguments=arguments):
                traced = self.cli(*arguments)
                client = traced.spans.one(kind="client")
                self.assertEqual(client.status, "error")
                self.assertEqual(client["db.operation.name"], operation)
                self.assertEqual(client["db.response.status_code"], code or "_OTHER")
                self.assertEqual(client["error.type"], code or "_OTHER")
                self.assertNotIn("secret", traced.output.read_text())

    def test_passwords_stay(self):
        traced = self.run_traced("redis-cli", "-p", self.port, "--no-auth-warning", "--user", "bob",
                                 "--pass", "s3cret", "-3", "CONFIG", "GET", "maxmemory")
        text = traced.output.read_text()
        self.assertNotIn("s3cret", text)
        names = [s["db.operation.name"] for s in traced.spans.where(kind="client")]
        self.assertIn("AUTH", names)
        self.assertIn("CONFIG GET", names)

    def test_pipelines(self):
        spans = self.python("""
with r.pipeline(transaction=False) as p:
    for n in range(5): p.get(f"key{n}")
    p.execute()
with r.pipeline(transaction=False) as p:
    p.set("a", 1); p.get("a"); p.lpush("a", 1)
    p.execute(raise_on_error=False)
with r.pipeline(transaction=True) as p:
    p.incr("n"); p.incr("n")
    p.execute()
""")
        found = [(s["db.operation.name"], s["db.operation.batch.size"], s["error.type"])
                 for s in sorted(spans, key=lambda s: s.start_ns)]
        self.assertEqual(found, [("BATCH GET", 5, None), ("PIPELINE", 3, "WRONGTYPE"),
                                 ("PIPELINE", 4, None)])

    def test_big_values(self):
        spans = self.python("""
value = bytes(range(256)) * 40000
assert r.set("big", value)
assert r.get("big") == value
assert r.mget(["big"] * 3) == [value] * 3
""")
        self.assertEqual([s["db.operation.name"] for s in sorted(spans, key=lambda s: s.start_ns)],
                         ["SET", "GET", "MGET"])

    def test_subscriptions_are_let_go(self):
        spans = self.python("""
s = r.pubsub()
s.subscribe("news")
while s.get_message(timeout=60)["type"] != "subscribe": pass
for n in range(20):
    r.publish("news", n)
for n in range(20):
    while not (m := s.get_message(timeout=60)): pass
    assert m["data"] == str(n).encode(), m
""")
        names = [s["db.operation.name"] for s in spans]
        self.assertEqual(sorted(names), ["PUBLISH"] * 20 + ["SUBSCRIBE"])
        self.assertEqual({s.status for s in spans}, {"unset"})

    def test_a_traced_server_has_no_spans(self):
        port, server = self.redis_server(traced=True)
        for _ in range(3):
            self.run_bare("redis-cli", "-p", port, "PING")
        server.stop(expect=0)
        self.assertEqual(server.spans.where(kind="server"), [])
        self.assertEqual(server.spans.where(kind="client"), [])

    def test_a_server_that_goes_away(self):
        need_python("redis")
        script = self.file("client.py", f"""
import redis
r = redis.Redis(port={self.port}, retry=None)
r.ping()
try:
    r.execute_command("BLPOP", "nothing", 0)
except redis.ConnectionError:
    pass
""")
        client = self.start(PYTHON, "-B", script)
        remora_test.wait_until(
            lambda: b"blocked_clients:1" in self.run_bare("redis-cli", "-p", self.port, "INFO",
                                                          "clients").stdout, "BLPOP to block")
        self.redis.stop()
        client.wait(0)
        span = client.spans.one(kind="client", db_operation_name="BLPOP")
        self.assertEqual((span.status, span["remora.end"]), ("error", "peer"))


if __name__ == "__main__":
    remora_test.main()
