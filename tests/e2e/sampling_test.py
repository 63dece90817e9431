# SPDX-License-Identifier: Apache-2.0
"""Sampling and the environment: what goes out as sampled is exported and nothing else is, whatever
the sampler; switches that turn things off; names per process; values that make no sense."""
import math
import os
import re
import subprocess

from e2e_case import (APPS, PATIENCE, PYTHON, REMORA, EndToEndTestCase, converse, fetch, free_port,
                      get, main, need, seeded_random)
from recording_collector import Collector

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
INCOMING = {"none": "", "sampled": f"traceparent: 00-{TRACE}-{SPAN}-01\r\n",
            "unsampled": f"traceparent: 00-{TRACE}-{SPAN}-00\r\n"}
# Whether a request is sampled that comes with no parent, a sampled one, an unsampled one.
SAMPLERS = {
    ("always_on", None): (True, True, True),
    ("always_off", None): (False, False, False),
    ("traceidratio", "1"): (True, True, True),
    ("traceidratio", "0"): (False, False, False),
    ("traceidratio", "0.0"): (False, False, False),
    ("traceidratio", None): (True, True, True),
    ("parentbased_always_on", None): (True, True, False),
    ("parentbased_always_off", None): (False, True, False),
    ("parentbased_traceidratio", "1.0"): (True, True, False),
    ("parentbased_traceidratio", "0"): (False, True, False),
    (None, None): (True, True, False),
    (None, "0"): (True, True, False),
}


def sampler_environment(name, argument):
    return {k: v for k, v in (("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument))
            if v is not None}


class SamplingTestCase(EndToEndTestCase):
    def service(self, command=(), **options):
        """A service that calls on, as remora starts it or by a command in between."""
        self.downstream = self.server()
        port = free_port()
        process = self.start(*command, PYTHON, "-B", APPS / "server.py", port, "threads",
                             f"down={self.downstream.port}", **options)
        return port, process.wait_for_port(port)

    def call(self, port, path="/call/x", headers=""):
        """The traceparent that the downstream gets for this request."""
        count = len(self.downstream.requests)
        self.assertEqual(fetch(port, path, headers), b"ok\n")
        request, = self.downstream.requests[count:]
        return request.traceparent()

    def check_wire(self, spans):
        """Sampled on the wire, and only that, is exported, under the id that went out."""
        sampled = {r.traceparent()[1] for r in self.downstream.requests
                   if r.traceparent() and int(r.traceparent()[2], 16) & 1}
        self.assertEqual({s.span_id for s in spans.where(kind="client")}, sampled)


class Samplers(SamplingTestCase):
    def check_matrix(self, expected, **options):
        port, process = self.service(**options)
        for (name, headers), sampled in zip(INCOMING.items(), expected):
            with self.subTest(incoming=name):
                trace, span, flags = self.call(port, f"/call/{name}", headers)
                self.assertEqual(int(flags, 16) & 1, int(sampled))
                self.assertNotEqual(span, SPAN)
                if headers:
                    self.assertEqual(trace, TRACE)  # propagation goes on in any case
        process.stop()
        self.check_spans(process.spans)
        self.check_wire(process.spans)
        for name, sampled in zip(INCOMING, expected):
            servers = process.spans.where(kind="server", url_path=f"/call/{name}")
            self.assertEqual(len(servers), int(sampled), name)
        return process

    def test_all_of_them(self):
        for (name, argument), expected in SAMPLERS.items():
            with self.subTest(sampler=name, argument=argument):
                self.check_matrix(expected, environment=sampler_environment(name, argument))

    def test_of_one_program_only(self):
        self.check_matrix((False, True, False), command=(
            "env", "OTEL_TRACES_SAMPLER=parentbased_always_off"))
        # A flag wins over what the program's environment says, the agent's environment does not.
        self.check_matrix((True, True, True), flags=("--sampler", "always_on"), command=(
            "env", "OTEL_TRACES_SAMPLER=always_off"))
        self.check_matrix((False, False, False), environment={"OTEL_TRACES_SAMPLER": "always_on"},
                          command=("env", "OTEL_TRACES_SAMPLER=always_off"))
        self.check_matrix((False, True, False), flags=("--sample", "0"))
        self.check_matrix((False, False, False), flags=("--sampler", "traceidratio=0"))

    def test_a_ratio_is_kept(self):
        ratio, count = 0.25, 2000
        port, process = self.service(environment=sampler_environment("traceidratio", str(ratio)))
        requests = b"".join(get(f"/{n}", close=n == count - 1) for n in range(count))
        self.assertEqual(converse(port, requests).count(b"200 OK"), count)
        for n in range(100):
            self.call(port)
        process.stop()
        sampled = len(process.spans.where(kind="server")) - len(process.spans.where(kind="client"))
        # Within five standard deviations: a false alarm in two million runs.
        self.assertLess(abs(sampled - ratio * count), 5 * math.sqrt(count * ratio * (1 - ratio)))
        self.check_wire(process.spans)
        for request in self.downstream.requests:
            # The decision is a function of the id alone (Trace Context Level 2, random flag).
            trace, _, flags = request.traceparent()
            threshold = (1 - ratio) * 2**56
            self.assertEqual(int(flags, 16), 3 if int(trace[-14:], 16) >= threshold else 2)

    def test_services_agree_on_a_trace(self):
        rng = seeded_random()
        traces = [f"{rng.getrandbits(128) | 1 << 127:032x}" for _ in range(60)]
        decisions = []
        for _ in range(2):
            port, process = self.service(environment=sampler_environment("traceidratio", "0.5"))
            decisions.append([self.call(port, headers=f"traceparent: 00-{t}-{SPAN}-00\r\n")[2]
                              for t in traces])
            process.stop()
            self.check_wire(process.spans)
        self.assertEqual(decisions[0], decisions[1])
        self.assertEqual(set(decisions[0]), {"00", "01"})

    def test_of_a_client(self):
        need("curl")
        for (name, argument), expected in SAMPLERS.items():
            peer = self.server()
            for (_, headers), sampled in zip(INCOMING.items(), expected):
                environment = sampler_environment(name, argument)
                if headers:
                    environment["TRACEPARENT"] = headers.split()[1]
                process = self.run_traced("curl", "-s", peer.url(), environment=environment)
                trace, span, flags = peer.requests[-1].traceparent()
                self.assertEqual(int(flags, 16) & 1, int(sampled), (name, argument, headers))
                self.assertEqual([s.span_id for s in process.spans.where(kind="client")],
                                 [span] if sampled else [])
                self.assertEqual(len(process.spans), 2 if sampled else 0)
                if headers:
                    self.assertEqual(trace, TRACE)


class Switches(SamplingTestCase):
    def bare_stream(self, headers):
        port, process = self.service(traced=False)
        converse(port, get("/call/x", headers))
        process.stop()
        return re.sub(rb"127\.0\.0\.1:\d+", b"peer", bytes(self.downstream.streams[0]))

    def test_disabled(self):
        headers = INCOMING["sampled"] + "tracestate: a=1\r\n"
        bare = self.bare_stream(headers)
        for value in ("1", "true"):
            for options in ({"environment": {"REMORA_DISABLE": value}},
                            {"command": ("env", f"REMORA_DISABLE={value}")}):
                with self.subTest(options=options):
                    port, process = self.service(**options)
                    self.assertIsNone(self.call(port, headers=headers))
                    process.stop()
                    stream = re.sub(rb"127\.0\.0\.1:\d+", b"peer", bytes(self.downstream.streams[0]))
                    self.assertEqual(stream, bare)
                    self.assertEqual([s for s in process.spans if s.kind != "internal"], [])
                    self.assertEqual(process.stderr, "")

    def test_sdk_disabled(self):
        for options in ({"environment": {"OTEL_SDK_DISABLED": "true"}},
                        {"command": ("env", "OTEL_SDK_DISABLED=TRUE")}):
            with self.subTest(options=options):
                port, process = self.service(**options)
                # What comes in is handed on as it is; nothing is made up.
                for name in ("sampled", "unsampled"):
                    value = self.call(port, headers=INCOMING[name] + "tracestate: a=1,b=2\r\n")
                    self.assertEqual(value, (TRACE, SPAN, {"sampled": "01", "unsampled": "00"}[name]))
                    self.assertEqual(self.downstream.requests[-1].values("tracestate"), [b"a=1,b=2"])
                self.assertIsNone(self.call(port))
                process.stop()
                self.assertEqual([s for s in process.spans if s.kind != "internal"], [])

    def test_no_propagators(self):
        """Nothing of a peer's is read and nothing added; inside the process spans stay joined."""
        port, process = self.service(environment={"OTEL_PROPAGATORS": "none"})
        self.assertIsNone(self.call(port, headers=INCOMING["sampled"]))
        process.stop()
        server = process.spans.one(kind="server")
        self.assertNotEqual(server.trace_id, TRACE)
        self.assertEqual(server.parent_id, "")
        self.assertEqual(process.spans.one(kind="client").parent_id, server.span_id)

    def test_limits(self):
        port, process = self.service(environment={"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "3",
                                                  "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "4"})
        self.call(port, "/call/a-long-path")
        process.stop()
        for span in process.spans:
            self.assertEqual(len(span.attributes), 3)
        self.assertEqual(process.spans.one(kind="server")["url.path"], "/cal")

    def test_sdk_disabled_by_nothing_else(self):
        for value in ("1", "yes", "on", "false", ""):
            port, process = self.service(environment={"OTEL_SDK_DISABLED": value})
            self.assertIsNotNone(self.call(port), value)
            process.stop()
            process.spans.one(kind="client")

    def test_exporters(self):
        need("curl")
        peer = self.server()
        collector = Collector(self.directory, "200")
        self.addCleanup(collector.close)
        # exporters, of an endpoint: (sent, on the console)
        cases = {("none", True): (False, False), ("console", True): (False, True),
                 ("otlp", True): (True, False), ("otlp,console", True): (True, True),
                 ("", True): (True, False), ("none", False): (False, False),
                 ("console", False): (False, True), ("nonsense", True): (True, False)}
        for (exporters, endpoint), (sent, shown) in cases.items():
            with self.subTest(exporters=exporters, endpoint=endpoint):
                environment = {**os.environ, "OTEL_TRACES_EXPORTER": exporters}
                if endpoint:
                    environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{collector.port}"
                before = len(collector.entries())
                result = subprocess.run([REMORA, "run", "--", "curl", "-s", peer.url()],
                                        env=environment, stdout=subprocess.PIPE, timeout=PATIENCE,
                                        stderr=subprocess.PIPE, check=True)
                self.assertEqual(result.stdout, b"ok\n")
                self.assertEqual(len(collector.entries()) - before, int(sent))
                self.assertEqual(b"GET" in result.stderr, shown, result.stderr)
                # Recorded or not, the context went out.
                self.assertIsNotNone(peer.requests[-1].traceparent())


class Names(SamplingTestCase):
    def test_per_process(self):
        need("curl")
        peer = self.server()
        process = self.run_traced("/bin/sh", "-c", f"""
OTEL_SERVICE_NAME=first OTEL_RESOURCE_ATTRIBUTES=service.version=1,x=a%2Cb curl -s {peer.url("/1")}
OTEL_RESOURCE_ATTRIBUTES=service.name=second,service.namespace=shop curl -s {peer.url("/2")}
OTEL_SERVICE_NAME=third OTEL_RESOURCE_ATTRIBUTES=service.name=never curl -s {peer.url("/3")}
OTEL_SERVICE_NAME= OTEL_RESOURCE_ATTRIBUTES=broken curl -s {peer.url("/4")}
curl -s {peer.url("/5")}
env -u OTEL_SERVICE_NAME -u OTEL_RESOURCE_ATTRIBUTES curl -s {peer.url("/6")}
""", environment={"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"})
        found = [process.spans.one(kind="client", url_full=peer.url(f"/{n}")) for n in range(1, 7)]
        self.assertEqual([s.service for s in found],
                         ["first", "second", "third", "curl", "curl", "curl"])
        self.assertEqual((found[0].resource["service.version"], found[0].resource["x"]), ("1", "a,b"))
        self.assertEqual(found[1].resource["service.namespace"], "shop")
        self.assertNotIn("deployment.environment.name", found[1].resource)
        for span in found[4:]:
            self.assertEqual(span.resource["deployment.environment.name"], "test")
        self.assertEqual(process.stderr.count("OTEL_RESOURCE_ATTRIBUTES ignored"), 1)

    def test_by_flag_and_environment(self):
        for options, name in (({"environment": {"OTEL_SERVICE_NAME": "shop"}}, "shop"),
                              ({"flags": ("--service", "flag")}, "flag"),
                              ({"flags": ("--service", "flag"),
                                "environment": {"OTEL_SERVICE_NAME": "shop"}}, "flag")):
            process = self.run_traced("/bin/sh", "-c", "/bin/true; exit 0", **options)
            self.assertEqual({s.service for s in process.spans}, {name})


class Nonsense(SamplingTestCase):
    def test_bad_values_are_named_once_and_the_program_runs(self):
        values = {"OTEL_TRACES_SAMPLER": "sometimes", "OTEL_TRACES_SAMPLER_ARG": "many",
                  "OTEL_TRACES_EXPORTER": "carrier-pigeon", "OTEL_SDK_DISABLED": "perhaps",
                  "OTEL_BSP_SCHEDULE_DELAY": "soon", "OTEL_BSP_MAX_QUEUE_SIZE": "-1",
                  "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "0", "OTEL_BSP_EXPORT_TIMEOUT": "1e99",
                  "OTEL_EXPORTER_OTLP_ENDPOINT": "not a url", "OTEL_EXPORTER_OTLP_TIMEOUT": "x",
                  "OTEL_EXPORTER_OTLP_HEADERS": "=", "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke",
                  "OTEL_EXPORTER_OTLP_COMPRESSION": "zip", "OTEL_LOG_LEVEL": "loud",
                  "OTEL_RESOURCE_ATTRIBUTES": "team", "OTEL_PROPAGATORS": "pigeon",
                  "OTEL_CONFIG_FILE": "/x.yaml", "OTEL_ENTITIES": "service{}",
                  "OTEL_ATTRIBUTE_COUNT_LIMIT": "few", "OTEL_SPAN_LINK_COUNT_LIMIT": "-1",
                  "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nowhere",
                  "OTEL_SEMCONV_STABILITY_OPT_IN": "http/dup",
                  "REMORA_DISABLE": "nope", "REMORA_VIEW": "3d", "REMORA_LANES": "0",
                  "REMORA_IDLE_LIMIT": "", "REMORA_DRAIN_TIMEOUT": "99999999999"}
        for name, value in [*values.items(), (None, None)]:
            with self.subTest(name=name):
                environment = {name: value} if name else values
                process = self.run_traced("/bin/sh", "-c", "/bin/echo hi; exit 5", expect=5,
                                          environment=environment)
                self.assertEqual(process.stdout, b"hi\n")
                lines = process.stderr.splitlines()
                bad = [n for n, v in environment.items() if v]  # empty counts as not set
                self.assertEqual(len(lines), len(bad), process.stderr)
                for n in bad:
                    self.assertEqual(len([l for l in lines if l.startswith(f"remora: {n}: ")]), 1)
                self.assertEqual(len(process.spans), 2)


if __name__ == "__main__":
    main()
