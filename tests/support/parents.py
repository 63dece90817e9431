# SPDX-License-Identifier: Apache-2.0
"""Whose child is a call? Loads a service whose handler of /call/<n> calls /down/<n> on a downstream
peer, gives every request a trace of its own, and judges what the downstream got."""
import collections
import http.client
import re
import threading

from peers import RecordingServer, response


class Downstream(RecordingServer):
    """Answers calls after a random time below `delay` seconds, so that answers overtake."""

    def __init__(self, rng, delay=0.01, tls=None):
        self._sleep = threading.Event()

        def answer(request):
            self._sleep.wait(rng.random() * delay)
            return response(b"down")
        super().__init__(answer, tls=tls)


def load(port, count, connections, rng, path="/call/{}", tls=None, body=None):
    """Sends `count` requests over so many keep-alive connections. Returns {n: (trace id, span id)}
    of what was sent, and the bodies that came back. tls: a client's ssl.SSLContext; body: bytes to send
    along (POST)."""
    sent = {n: (f"{rng.getrandbits(128) | 1:032x}", f"{rng.getrandbits(64) | 1:016x}")
            for n in range(count)}
    todo = collections.deque(sent)
    bodies, failures = {}, []

    def work():
        if tls:
            client = http.client.HTTPSConnection("127.0.0.1", port, timeout=120, context=tls)
        else:
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            while True:
                try:
                    n = todo.popleft()
                except IndexError:
                    return
                trace, span = sent[n]
                client.request("POST" if body else "GET", path.format(n), body,
                               headers={"traceparent": f"00-{trace}-{span}-01"})
                answer = client.getresponse()
                bodies[n] = answer.read()
                if answer.status != 200:
                    failures.append((n, answer.status, bodies[n]))
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    return sent, bodies


def judge(requests, sent, spans):
    """Counter of right, none and wrong over the calls that a downstream got, and what was wrong."""
    traces = {trace: n for n, (trace, _) in sent.items()}
    servers = {s.span_id: s for s in spans if s.kind == "server"}
    clients = {s.span_id: s for s in spans if s.kind == "client"}
    verdicts, wrong = collections.Counter(), []
    for request in requests:
        match = re.search(r"/down/(\d+)", request.path)
        n = int(match[1]) if match else None  # None: a background call, nobody's child
        context = request.traceparent()
        trace = context[0] if context else None
        if trace not in traces:
            verdicts["none"] += 1
            continue
        client = clients.get(context[1])
        server = servers.get(client.parent_id) if client else None
        right = (traces[trace] == n and server is not None and server.parent_id == sent[n][1]
                 and server["url.path"] == f"/call/{n}")
        verdicts["right" if right else "wrong"] += 1
        if not right:
            wrong.append((request.path, context, client, server))
    return verdicts, wrong
