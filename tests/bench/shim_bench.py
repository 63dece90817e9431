# SPDX-License-Identifier: Apache-2.0
"""What the shim costs, as ratios to the bare program in the same run.

    cmake --preset release && cmake --build --preset release
    REMORA_BUILD_DIR=build/release /usr/bin/python3 tests/bench/shim_bench.py [--rounds 5] [--seconds 3]

Prints one row per budget of docs/overhead.md; judges nothing. nginx serves a static file of 1 KiB
over 16 keep-alive connections to wrk. All variants run side by side and take turns, so that a machine
that changes its speed changes it for all. CPU figures are the worker's own user time.
"""
import argparse
import contextlib
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from remora_test import BUILD, free_port, kill_all, wait_until, _become_subreaper  # noqa: E402

TICK = 1 / os.sysconf("SC_CLK_TCK")
VARIANTS = {  # name: environment of `remora run`, None: bare
    "bare": None,
    "disabled": {"REMORA_DISABLE": "1"},
    "unsampled": {"OTEL_TRACES_SAMPLER": "always_off"},
    "sampled": {"OTEL_TRACES_SAMPLER": "always_on"},
}


def traced(command, environment):
    """The command line and environment of a variant."""
    if environment is None:
        return command, dict(os.environ)
    run = [str(BUILD / "remora"), "run", "--quiet", "--output", "/dev/null", "--", *command]
    return run, {**os.environ, **environment}


class Nginx:
    scheme = "http"

    def configuration(self, home):
        return f"""
            daemon off; master_process on; worker_processes 1; pid {home}/pid;
            error_log {home}/error.log; user root;
            events {{ worker_connections 4096; }}
            http {{ access_log off; keepalive_requests 1000000000; sendfile on;
                    server {{ listen 127.0.0.1:{self.port}; root {home}; }} }}"""

    def __init__(self, name, environment, directory):
        self.name, self.port = name, free_port()
        home = directory / name
        home.mkdir()
        (home / "1k").write_bytes(b"x" * 1024)
        home.chmod(0o755)
        (home / "conf").write_text(self.configuration(home))
        command, variables = traced(["nginx", "-c", str(home / "conf"), "-p", str(home)],
                                    environment)
        self.process = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL)
        wait_until(lambda: self._accepts(), f"nginx {name}")
        master = int((home / "pid").read_text())
        self.worker = int(subprocess.check_output(["pgrep", "-P", str(master), "nginx"]).split()[0])

    def _accepts(self):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
            return True
        return False

    def user_seconds(self):
        fields = pathlib.Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) * TICK

    def load(self, seconds):
        """Requests per second and the worker's user microseconds per request."""
        before = self.user_seconds()
        out = subprocess.check_output(["wrk", "-t1", "-c16", f"-d{seconds}s",
                                       f"{self.scheme}://127.0.0.1:{self.port}/1k"], text=True)
        used = self.user_seconds() - before
        requests = int(next(l for l in out.splitlines() if " requests in " in l).split()[0])
        rate = float(next(l for l in out.splitlines() if "Requests/sec" in l).split()[1])
        return rate, used / requests * 1e6

    def private_dirty(self):
        """KiB that belong to the worker alone; the rings are shared and apart."""
        total = 0
        for line in pathlib.Path(f"/proc/{self.worker}/smaps").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                total += size if (size := int(line.split()[1])) and not rings else 0
            elif "-" in line.split()[0] and not line.split()[0].endswith(":"):
                rings = "memfd:remora" in line
        return total


def bench_nginx(arguments, directory, kind=Nginx, what="nginx static 1 KiB"):
    servers = [kind(name, environment, directory) for name, environment in VARIANTS.items()]
    results = {s.name: ([], []) for s in servers}
    for server in servers:
        server.load(1)
    for _ in range(arguments.rounds):
        for server in servers:
            rate, cpu = server.load(arguments.seconds)
            results[server.name][0].append(rate)
            results[server.name][1].append(cpu)
    bare_rate, bare_cpu = (statistics.median(r) for r in results["bare"])
    print(f"{what}, bare: {bare_rate:.0f} requests/s, {bare_cpu:.2f} us user CPU/request")
    budgets = {"disabled": 0.1, "unsampled": 0.25, "sampled": 0.4}
    for name in ("disabled", "unsampled", "sampled"):
        rates, cpus = results[name]
        # Ratio within each round, then the median: the rounds differ more than the variants do.
        ratio = statistics.median(r / b for r, b in zip(rates, results["bare"][0]))
        added = statistics.median(c - b for c, b in zip(cpus, results["bare"][1]))
        print(f"  {name:10} requests/s against bare {ratio:.3f}   "
              f"user CPU added {added:+.2f} us/request (budget {budgets[name]})")
    return servers


def bench_memory(servers):
    print("private dirty memory of the nginx worker, KiB (rings apart)")
    figures = {}
    for server in servers:
        idle = server.private_dirty()
        connections = []
        for _ in range(1000):
            c = socket.create_connection(("127.0.0.1", server.port))
            c.sendall(b"GET /1k HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            while b"x" * 1024 not in received:
                received += c.recv(4096)
            connections.append(c)
        figures[server.name] = (idle, server.private_dirty())
        for c in connections:
            c.close()
    bare = figures["bare"]
    for name, (idle, busy) in figures.items():
        each = (busy - idle - (bare[1] - bare[0])) * 1024 / 1000
        print(f"  {name:10} idle {idle:6} ({idle - bare[0]:+}), with 1000 connections {busy:6} "
              f"({each:+.0f} B a connection against bare)")


def bench_start(rounds=5, count=200):
    """A shell without a shim starts /bin/true many times: bare, and with the shim in its child."""
    script = f'i=0; while [ $i -lt {count} ]; do /bin/true; i=$((i+1)); done'
    times = {name: [] for name in VARIANTS}
    for _ in range(rounds):
        for name, environment in VARIANTS.items():
            command, variables = traced(["/bin/sh", "-c", script], environment)
            begin = time.monotonic()
            subprocess.run(command, env=variables, check=True)
            times[name].append((time.monotonic() - begin) / count * 1e3)
    bare = statistics.median(times["bare"])
    print(f"start of /bin/true by a shell, bare: {bare:.2f} ms each")
    for name in ("disabled", "sampled"):
        print(f"  {name:10} added {statistics.median(times[name]) - bare:+.2f} ms (budget 1, "
              f"with the start of remora itself spread over {count})")


def bench_size(directory):
    copy = directory / "libremora.so"
    subprocess.run(["strip", "-o", str(copy), str(BUILD / "libremora.so")], check=True)
    print(f"libremora.so stripped: {copy.stat().st_size / 1024:.0f} KiB (budget 200)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    arguments = parser.parse_args()
    for program in ("wrk", "nginx", "strip", "pgrep"):
        if shutil.which(program) is None:
            print(f"SKIP: {program} is not installed (deploy/setup.sh test)")
            sys.exit(77)
    _become_subreaper()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="remora-bench-"))
    directory.chmod(0o755)
    try:
        bench_size(directory)
        bench_start()
        servers = bench_nginx(arguments, directory)
        bench_memory(servers)
    finally:
        kill_all()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
