# SPDX-License-Identifier: Apache-2.0
"""What the carriers cost, as ratios to the bare program in the same run.

    REMORA_BUILD_DIR=build/release /usr/bin/python3 tests/bench/carrier_bench.py [--rounds 5] [--seconds 3]

Start-up of an interpreter that does nothing, and a small service (an answer of a few bytes, no calls)
under wrk with 16 connections: bare, under `remora run` without carriers, and with them. All variants
run side by side and take turns. Prints the median of requests per second, and the least CPU time that
an interpreter took to start and a service for a request, in any round: other work on the machine can
only add to it. Judges nothing.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from remora_test import (BUILD, PYTHON, Process, _become_subreaper, free_port,  # noqa: E402
                         kill_all)

VARIANTS = {"bare": None, "shim": {"REMORA_CARRIERS": "none"}, "carrier": {}}
AIOHTTP = """
import sys
from aiohttp import web
async def handle(request):
    return web.Response(text="hello")
app = web.Application()
app.router.add_get("/", handle)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
"""
NODE = """
require('http').createServer((request, response) => response.end('hello'))
  .listen(Number(process.argv[1]), '127.0.0.1');
"""


os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as for a program that has run before


def command_of(command, variant):
    if VARIANTS[variant] is None:
        return command, dict(os.environ)
    return ([str(BUILD / "remora"), "run", "--quiet", "--output", "/dev/null", "--", *command],
            {**os.environ, **VARIANTS[variant]})


def start_up(command, rounds):
    """CPU milliseconds of the interpreter alone: a program that runs it again and again prints them."""
    loop = ("import resource, subprocess, sys\n"
            "def used():\n"
            "    usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
            "    return (usage.ru_utime + usage.ru_stime) * 1000\n"
            "for _ in range(10):\n"
            "    before = used(); subprocess.run(sys.argv[1:], check=True); print(used() - before)\n")
    times = {variant: [] for variant in VARIANTS}
    for _ in range(rounds):
        for variant in VARIANTS:
            whole, environment = command_of([PYTHON, "-S", "-c", loop, *command], variant)
            text = subprocess.run(whole, env=environment, check=True, text=True,
                                  stdout=subprocess.PIPE).stdout
            times[variant] += [float(line) for line in text.split()]
    return {variant: min(values) for variant, values in times.items()}


class Service:
    def __init__(self, command, variant, directory):
        self.port = free_port()
        whole, environment = command_of([*command, str(self.port)], variant)
        process = Process(whole, directory, environment=environment, traced=False)
        process.wait_for_port(self.port)
        self.pid = process.popen.pid
        if VARIANTS[variant] is not None:
            self.pid = int(subprocess.check_output(["pgrep", "-P", str(self.pid),
                                                    "^(python3?|node|MainThread)$"]))

    def cpu_microseconds(self):
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1000

    def load(self, seconds):
        """(requests per second, CPU microseconds per request)"""
        before = self.cpu_microseconds()
        out = subprocess.run(["wrk", "-t1", "-c16", f"-d{seconds}s",
                              f"http://127.0.0.1:{self.port}/"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
        used = self.cpu_microseconds() - before
        requests = int(next(line for line in out.splitlines() if " requests in " in line).split()[0])
        return requests / seconds, used / requests


def serve(command, rounds, seconds, directory):
    """(median of requests/s against bare, least CPU microseconds per request) by variant."""
    services = {variant: Service(command, variant, directory) for variant in VARIANTS}
    for service in services.values():
        service.load(1)  # compilers warm up
    results = {variant: [] for variant in VARIANTS}
    for _ in range(rounds):
        for variant, service in services.items():
            results[variant].append(service.load(seconds))
    kill_all()
    # Ratios within one round: a machine that changes its speed changes it for all.
    return {variant: (statistics.median(a[0] / b[0]
                                        for a, b in zip(results[variant], results["bare"])),
                      min(cpu for _, cpu in results[variant]))
            for variant in VARIANTS}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    _become_subreaper()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="remora-bench-"))
    try:
        print("| | bare | shim | shim and carrier |\n|---|---|---|---|")
        for name, command in (("python3 -c pass", [PYTHON, "-c", "pass"]),
                              ("node -e 0", ["node", "-e", "0"])):
            times = start_up(command, options.rounds)
            print(f"| start-up of `{name}`, CPU | " +
                  " | ".join(f"{times[v]:.1f} ms" for v in VARIANTS) + " |", flush=True)
        for name, command in (("aiohttp", [PYTHON, "-c", AIOHTTP]),
                              ("node http", ["node", "-e", NODE])):
            results = serve(command, options.rounds, options.seconds, directory)
            print(f"| requests/s of {name} against bare | " +
                  " | ".join(f"{results[v][0]:.2f}" for v in VARIANTS) + " |")
            print(f"| CPU of {name} for a request | " +
                  " | ".join(f"{results[v][1]:.1f} us" for v in VARIANTS) + " |", flush=True)
    finally:
        kill_all()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
