# SPDX-License-Identifier: Apache-2.0
"""What the shim costs inside TLS, as ratios to the bare program in the same run.

    cmake --preset release && cmake --build --preset release
    REMORA_BUILD_DIR=build/release /usr/bin/python3 tests/bench/tls_bench.py [--rounds 5] [--seconds 3]
    REMORA_BUILD_DIR=build/release /usr/bin/python3 tests/bench/tls_bench.py --instructions

nginx serves a static file of 1 KiB over 16 kept https connections to wrk, see shim_bench.py.
--instructions counts instead of timing, by valgrind's callgrind: what a request adds to the
instructions of nginx, of its OpenSSL and of the shim. That doesn't depend on what else the machine
does.
"""
import argparse
import pathlib
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import shim_bench  # noqa: E402
from remora_test import free_port, kill_all, wait_until, _become_subreaper  # noqa: E402
from shim_bench import VARIANTS, traced  # noqa: E402
from tls_case import make_certificate  # noqa: E402

HEAD = b"GET /1k HTTP/1.1\r\nHost: x\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
CONFIG = """
    daemon off; master_process {master}; worker_processes 1; pid {home}/pid;
    error_log {home}/error.log; user root;
    events {{ worker_connections 4096; }}
    http {{ access_log off; keepalive_requests 1000000000; sendfile on;
            client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c;
            uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
            server {{ listen 127.0.0.1:{port} ssl; root {home};
                      ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; }} }}
"""


class Nginx(shim_bench.Nginx):
    scheme = "https"

    def configuration(self, home):
        return CONFIG.format(home=home, port=self.port, folder=home.parent, master="on")


def connect(port, context):
    plain = socket.create_connection(("127.0.0.1", port), timeout=120)
    return context.wrap_socket(plain, server_hostname="localhost")


def ask(connection, count=1):
    for _ in range(count):
        connection.sendall(HEAD)
        received = b""
        while b"x" * 1024 not in received:
            received += connection.recv(16384)


def bench_memory(servers, context, count=500):
    print("private dirty memory of the nginx worker, KiB (rings apart)")
    figures = {}
    for server in servers:
        idle = server.private_dirty()
        connections = [connect(server.port, context) for _ in range(count)]
        for connection in connections:
            ask(connection)
        figures[server.name] = (idle, server.private_dirty())
        for connection in connections:
            connection.close()
    bare = figures["bare"]
    for name, (idle, busy) in figures.items():
        each = (busy - idle - (bare[1] - bare[0])) * 1024 / count
        print(f"  {name:10} idle {idle:6} ({idle - bare[0]:+}), with {count} TLS connections "
              f"{busy:6} ({each:+.0f} B a connection against bare)")


def bench_start(rounds=5, count=50):
    """A program that is linked with OpenSSL and makes no connection."""
    script = f'i=0; while [ $i -lt {count} ]; do openssl version >/dev/null; i=$((i+1)); done'
    times = {name: [] for name in VARIANTS}
    for _ in range(rounds):
        for name, environment in VARIANTS.items():
            command, variables = traced(["/bin/sh", "-c", script], environment)
            begin = time.monotonic()
            subprocess.run(command, env=variables, check=True)
            times[name].append((time.monotonic() - begin) / count * 1e3)
    bare = statistics.median(times["bare"])
    print(f"start of openssl(1) by a shell, bare: {bare:.2f} ms each")
    for name in ("disabled", "sampled"):
        print(f"  {name:10} added {statistics.median(times[name]) - bare:+.2f} ms")


def count_instructions(environment, directory, context, requests):
    """Of a whole run of nginx, in one process, with so many requests on one connection."""
    home = pathlib.Path(tempfile.mkdtemp(dir=directory))
    home.chmod(0o755)
    (home / "1k").write_bytes(b"x" * 1024)
    port = free_port()
    (home / "conf").write_text(CONFIG.format(home=home, port=port, folder=directory, master="off"))
    command, variables = traced(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={home}/counted",
         "nginx", "-c", str(home / "conf"), "-p", str(home)], environment)
    process = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)

    def accepts():
        assert process.poll() is None, f"nginx under valgrind ended: {process.returncode}"
        try:
            with connect(port, context) as connection:
                ask(connection)
            return True
        except OSError:
            return False
    wait_until(accepts, "nginx under valgrind")
    with connect(port, context) as connection:
        ask(connection, requests)
    process.send_signal(signal.SIGTERM)
    process.wait()
    return int(re.search(r"^(?:summary|totals): (\d+)", (home / "counted").read_text(),
                         re.MULTILINE)[1])


def bench_instructions(directory, context, few=100, many=1100):
    per_request = {}
    for name, environment in VARIANTS.items():
        runs = [count_instructions(environment, directory, context, n) for n in (few, many)]
        per_request[name] = (runs[1] - runs[0]) / (many - few)
    bare = per_request["bare"]
    print(f"nginx static 1 KiB inside TLS, bare: {bare:.0f} instructions of the user a request")
    for name in ("disabled", "unsampled", "sampled"):
        print(f"  {name:10} {per_request[name] - bare:+.0f} ({per_request[name] / bare:.3f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--instructions", action="store_true")
    arguments = parser.parse_args()
    for program in ("nginx", "openssl", *(("valgrind",) if arguments.instructions
                                          else ("wrk", "pgrep"))):
        if shutil.which(program) is None:
            print(f"SKIP: {program} is not installed (deploy/setup.sh test)")
            sys.exit(77)
    _become_subreaper()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="remora-bench-"))
    directory.chmod(0o755)
    try:
        make_certificate(directory)
        context = ssl.create_default_context(cafile=directory / "cert.pem")
        if arguments.instructions:
            bench_instructions(directory, context)
            return
        bench_start()
        servers = shim_bench.bench_nginx(arguments, directory, Nginx,
                                         "nginx static 1 KiB inside TLS")
        bench_memory(servers, context)
    finally:
        kill_all()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
