# SPDX-License-Identifier: Apache-2.0
"""Sudden death: of traced servers under load, of Remora itself, of daemons; and ends by request."""
import os
import pathlib
import signal
import socket
import time

from e2e_case import (EndToEndTestCase, Load, converse, fetch, free_port, get, main, programs_of,
                      wait_until)

KILLED = -signal.SIGKILL


def kill(pids, number=signal.SIGKILL):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def kill_all(process):
    """Everything that a traced Process runs, what is started meanwhile too."""
    while pids := programs_of(process):
        kill(pids)


def open_request(port, path):
    """Sends a request and leaves its connection open."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(get(path, close=False))
    return connection


class Killed(EndToEndTestCase):
    def check_unfinished(self, spans, count, **conditions):
        found = spans.where(remora_end="process", **conditions)
        self.assertGreaterEqual(len(found), count, f"{conditions} in\n{spans}")
        for span in found:
            self.assertEqual(span.status, "error", span)

    def test_a_threaded_server_under_load(self):
        silent = self.silent_server()
        port, process = self.cpp_server(silent.port)
        for n in range(3):
            self.addCleanup(open_request(port, f"/call/{n}").close)
        wait_until(lambda: silent.requests() >= 3, "calls to the downstream")
        # This service answers with the request's head as it was handed.
        load = Load(port, 8, body=lambda n: None).wait(1500)
        kill_all(process)
        load.join()
        load.wrong.clear()
        process.wait(KILLED)
        self.check_spans(process.spans)
        self.assert_all_served(load, process.spans)
        self.check_unfinished(process.spans, 3, kind="client")
        for n in range(3):
            server = process.spans.one(kind="server", url_path=f"/call/{n}")
            client = process.spans.one(kind="client", url_full=f"http://down/down/{n}")
            self.assertEqual((server["remora.end"], client["remora.end"]), ("process", "process"))
            self.assert_child(client, server)

    def test_nginx_master_and_workers(self):
        silent = self.silent_server()
        port, process = self.nginx(silent.port, workers=3)
        for n in range(4):
            self.addCleanup(open_request(port, f"/app/{n}").close)
        wait_until(lambda: silent.requests() >= 4, "requests at the upstream")
        load = Load(port, 8).wait(2000)
        kill_all(process)
        load.join()
        process.wait(KILLED)
        self.check_spans(process.spans)
        self.assert_all_served(load, process.spans)
        for n in range(4):
            server = process.spans.one(kind="server", url_path=f"/app/{n}")
            self.assertEqual(server["remora.end"], "process")
        self.check_unfinished(process.spans, 4, kind="client")

    def test_one_nginx_worker_after_the_other(self):
        port, process = self.nginx(workers=2)
        master, = [p for p in programs_of(process)
                   if p == int((self.directory / "nginx.pid").read_text())]
        load = Load(port, 8)
        for _ in range(4):
            load.wait(300)
            kill([p for p in programs_of(process) if p != master][:1])
        load.wait(300).stop()
        process.stop(signal.SIGQUIT, expect=0)
        self.check_spans(process.spans)
        self.assert_all_served(load, process.spans)

    def test_a_forking_server_under_load(self):
        port, process = self.python_server("forks")
        hanging = [open_request(port, "/hang") for _ in range(5)]
        load = Load(port, 8).wait(200)
        wait_until(lambda: len(programs_of(process)) >= 6, "the children to run")
        kill_all(process)
        load.join()
        for connection in hanging:
            connection.close()
        process.wait(KILLED)
        self.check_spans(process.spans)
        self.assert_all_served(load, process.spans)
        self.check_unfinished(process.spans, 5, kind="server", url_path="/hang")

    def test_processes_that_end_between_two_looks_of_the_agent(self):
        # Each request is the last one of its process.
        for n in range(10):
            with self.subTest(n=n):
                port, process = self.python_server("threads")
                self.assertEqual(fetch(port, "/quit"), b"/quit\n")
                process.wait(7)
                self.assertEqual(process.spans.one(url_path="/quit")["http.response.status_code"],
                                 200)


class RemoraDies(EndToEndTestCase):
    def service(self):
        downstream = self.server()
        port, process = self.python_server("threads", f"down={downstream.port}")
        return port, process, downstream

    def end(self, process, program):
        kill([program], signal.SIGTERM)
        wait_until(lambda: not pathlib.Path(f"/proc/{program}/exe").exists(), "the program's end")

    def test_the_program_goes_on(self):
        port, process, downstream = self.service()
        program = min(programs_of(process))
        self.assertEqual(fetch(port, "/call/0"), b"ok\n")
        self.assertEqual(downstream.requests[-1].traceparent()[2], "03")
        load = Load(port, 4).wait(100)
        process.popen.kill()
        process.wait(KILLED)
        # The heartbeat has to be old before anybody can know.
        def unsampled():
            self.assertEqual(fetch(port, "/call/1"), b"ok\n")
            return downstream.requests[-1].traceparent()[2] == "02"
        wait_until(unsampled, "requests to go out unsampled")
        for _ in range(20):
            self.assertEqual(fetch(port, "/spawn"), b"spawned\n")
        load.wait(100).stop()
        self.assertEqual(load.wrong, [])
        # More open requests than the lanes of a process hold: nobody empties them.
        load = Load(port, 4).wait(500)
        self.assertEqual(load.stop().wrong, [])
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        fetch(port, "/call/2", f"traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n")
        self.assertEqual(downstream.requests[-1].traceparent()[0::2], (trace, "00"))
        self.end(process, program)

    def test_programs_that_start_later(self):
        script = ("read line; for n in 1 2 3; do /bin/echo $n; done; "
                  "python3 -c 'import sys; print(len(sys.argv))'; ls /proc/self/fd; exit 5")
        outputs = []
        for traced in (False, True):
            fifo = self.directory / f"fifo-{traced}"
            os.mkfifo(fifo)
            result = self.directory / f"result-{traced}"
            process = self.start("/bin/sh", "-c", f"exec <{fifo} >{result} 2>&1; {script}",
                                 traced=traced)
            with open(fifo, "w", encoding="ascii") as gate:
                if traced:
                    wait_until(lambda: programs_of(process), "the program")
                    program, = programs_of(process)
                    process.popen.kill()
                    process.wait(KILLED)
                gate.write("go\n")
            if traced:
                wait_until(lambda: not pathlib.Path(f"/proc/{program}/fd").exists()
                           or pathlib.Path(f"/proc/{program}/stat").read_text().rpartition(")")[2]
                           .split()[0] == "Z", "the script's end")
            else:
                process.wait(5)
            outputs.append(result.read_text())
        self.assertEqual(outputs[1], outputs[0])

    def test_remora_stopped_for_a_while(self):
        port, process, _ = self.service()
        load = Load(port, 4).wait(100)
        os.kill(process.popen.pid, signal.SIGSTOP)
        load.wait(3000)  # beyond what one lane holds
        for _ in range(5):
            self.assertEqual(fetch(port, "/spawn"), b"spawned\n")
        os.kill(process.popen.pid, signal.SIGCONT)
        load.wait(300).stop()
        self.assertEqual(load.wrong, [])
        process.stop()
        self.check_spans(process.spans)
        served = {s["url.path"] for s in process.spans.where(kind="server")}
        missing = len(load.complete) - len([n for n in load.complete if f"/{n}" in served])
        if missing:
            self.assertRegex(process.stderr, r"\d+ x no free slot")

    def test_heads_are_marked_unsampled_while_no_slot_is_free(self):
        # What goes out as sampled is exported, also when the agent falls behind.
        port, process, downstream = self.service()
        os.kill(process.popen.pid, signal.SIGSTOP)
        for n in range(100):
            fetch(port, f"/call/{n}")
        os.kill(process.popen.pid, signal.SIGCONT)
        process.stop()
        exported = {s.span_id for s in process.spans.where(kind="client")}
        sampled = {r.traceparent()[1] for r in downstream.requests if r.traceparent()[2] == "03"}
        self.assertEqual(sampled - exported, set())
        self.assertGreater(len(sampled), 20)


class Daemons(EndToEndTestCase):
    def test_nginx_as_a_daemon_killed(self):
        port, process = self.nginx(workers=2, daemon="on")
        wait_until((self.directory / "nginx.pid").exists, "nginx's pid file")
        process.wait_for_port(port)
        load = Load(port, 4).wait(500)
        master = int(wait_until((self.directory / "nginx.pid").read_text, "the pid"))
        workers = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
        kill([master, *map(int, workers)])
        load.join()
        process.wait(0)  # what was started has ended well, long ago
        self.check_spans(process.spans)
        self.assert_all_served(load, process.spans)

    def test_a_python_daemon(self):
        port, process = self.python_server("threads", "daemon")
        load = Load(port, 4).wait(200).stop()
        wait_until(lambda: "following 1 process" in process.stderr, "remora to say that it stays")
        self.assertEqual(fetch(port, "/quit"), b"/quit\n")
        process.wait(0)
        self.check_spans(process.spans)
        self.assert_all_served(load, process.spans)
        process.spans.one(url_path="/quit")


class EndedByRequest(EndToEndTestCase):
    def check(self, start, number, bare_status):
        port, process = start(traced=True)
        load = Load(port, 8).wait(500)
        program = min(programs_of(process))
        process.popen.send_signal(number)
        wait_until(lambda: program not in programs_of(process), "the program's end")
        load.stop()  # a forking server's children go on until their clients leave
        process.wait(bare_status)
        self.check_spans(process.spans)
        self.assert_all_served(load, process.spans)

    def bare_status(self, start, number):
        _, process = start(traced=False)
        process.popen.send_signal(number)
        return process.wait(None)

    def test_in_the_middle_of_load(self):
        for name, start in (("python", lambda **o: self.python_server("threads", **o)),
                            ("nginx", lambda **o: self.nginx(workers=2, **o)),
                            ("forks", lambda **o: self.python_server("forks", **o))):
            for number in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(server=name, signal=number):
                    status = self.bare_status(start, number)
                    self.check(start, number, status)


if __name__ == "__main__":
    main()
