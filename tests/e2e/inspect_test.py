#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""remora ps and remora inspect: real processes of every kind that is not traced, or only in part."""
import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
# pylint: disable=wrong-import-position
from e2e_case import (PATIENCE, PYTHON, REMORA, EndToEndTestCase, fetch, main, need,  # noqa: E402
                      need_root, programs_of, response, target, wait_until)

WAIT = "#include <unistd.h>\nint main(void) { write(1, \"ready\\n\", 6); for (;;) pause(); }\n"


def remora(*arguments, **options):
    return subprocess.run([str(REMORA), *map(str, arguments)], check=False, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE, **options)


def listed(*flags):
    """What ps says, by pid."""
    result = remora("ps", "--json", *flags)
    assert (result.returncode, result.stderr) == (0, ""), result
    return {entry["pid"]: entry for entry in json.loads(result.stdout)}


def reasons_of(entry):
    return [reason["reason"] for reason in entry["reasons"]]


class InspectCase(EndToEndTestCase):
    def compiled(self, name, *flags, source=WAIT):
        need("gcc")
        path = self.directory / name
        built = subprocess.run(["gcc", "-x", "c", "-", *flags, "-o", path], input=source, text=True,
                               check=False, stderr=subprocess.PIPE)
        if built.returncode != 0:
            self.skipTest(f"gcc {' '.join(flags)} does not work here")
        return path

    def start_ready(self, *command, **options):
        """A traced command that has said "ready"."""
        process = self.start(*command, **options)

        def ready():
            if process.popen.poll() == 77:
                self.skipTest("the kernel refuses it")
            assert process.popen.poll() is None, process.stderr
            return b"ready" in process.stdout
        wait_until(ready, f"{command} to be ready")
        return process

    def children(self, process):
        """The command's processes that ps lists, but for the command itself."""
        [first] = [pid for pid in programs_of(process)
                   if self.parent_of(pid) == process.popen.pid]
        return [entry for pid, entry in listed().items() if self.parent_of(pid) == first]

    @staticmethod
    def parent_of(pid):
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return 0
        return int(stat.rpartition(")")[2].split()[1])

    def only_child(self, *command, **options):
        """What ps says of a program that a traced shell has started."""
        process = self.start_ready("sh", "-c", '"$@" & wait', "sh", *command, **options)
        [child] = self.children(process)
        return child

    def judged(self, process):
        """What ps says of a traced command itself; inspect agrees."""
        [entry] = [entry for entry in listed().values() if entry["session"] == process.popen.pid]
        result = remora("inspect", entry["pid"], "--json")
        self.assertEqual(result.returncode, 0 if entry["state"] == "traced" else 1)
        details = json.loads(result.stdout)
        for key in ("pid", "state", "reasons", "service", "command"):
            self.assertEqual(details[key], entry[key], key)
        return entry, details

    def assert_reason(self, entry, reason, state="not traced"):
        self.assertEqual((reasons_of(entry), entry["state"]), ([reason], state), entry)
        result = remora("inspect", entry["pid"])
        self.assertEqual((result.returncode, result.stderr), (1, ""))
        [why] = entry["reasons"]
        flat = re.sub(r"\s+", " ", result.stdout)
        self.assertIn(f"state {state} ", flat)
        self.assertIn(f"why {why['text']}", flat)
        self.assertIn(why["help"], flat)


class Traced(InspectCase):
    def test_a_traced_program(self):
        process = self.start_ready(target("odd_process"), "plain", flags=("--service", "shop"))
        entry, details = self.judged(process)
        self.assertEqual((entry["state"], entry["reasons"]), ("traced", []))
        self.assertEqual(entry["service"], "shop")
        self.assertIn("odd_process plain", entry["command"])
        self.assertTrue(details["library"].endswith("/libremora.so"))
        self.assertEqual(details["executable"], str(target("odd_process")))
        [row] = [row for row in remora("ps").stdout.splitlines()
                 if row.split()[0] == str(entry["pid"])]
        self.assertRegex(row, r" traced +shop +odd_process plain\Z")

    def test_a_service_has_the_name_of_its_spans(self):
        port, process = self.python_server()
        entry, _ = self.judged(process)
        fetch(port)
        [span] = process.wait_for_spans(1, kind="server").where(kind="server")
        self.assertEqual(entry["service"], span.service)

    def test_losses_are_named(self):
        port, process = self.python_server()
        fetch(port, headers="traceparent: nonsense\r\n")
        fetch(port, headers="traceparent: nonsense\r\n")
        entry, _ = self.judged(process)
        self.assertEqual(entry["losses"].get("trace_header_invalid"), 2, entry)
        self.assertIn("2 x incoming trace header was invalid", re.sub(
            r"\s+", " ", remora("inspect", entry["pid"]).stdout))

    def test_processes_that_come_and_go(self):
        """Whatever a process is in the middle of, nothing wrong is said of it; also not before the
        library's first line, a moment that is made longer here."""
        slow = self.compiled("slow.so", "-shared", "-fPIC", "-Wl,-z,initfirst", source="""
#include <unistd.h>
__attribute__((constructor)) static void start(void) { usleep(50000); }
""")
        process = self.start("sh", "-c", "while :; do sleep 0.5 & env sleep 0.02; done",
                             environment={"LD_PRELOAD": str(slow)})
        wait_until(lambda: any(entry["session"] == process.popen.pid
                               for entry in listed().values()), "the shell to be listed")
        commands = set()
        for _ in range(50):
            for entry in listed().values():
                if entry["session"] == process.popen.pid:
                    self.assertEqual((entry["state"], entry["reasons"]), ("traced", []), entry)
                    commands.add(entry["command"])
        self.assertIn("sleep 0.5", commands)

    def test_remora_itself(self):
        process = self.start_ready(target("odd_process"), "plain")
        result = remora("inspect", process.popen.pid, "--json")
        self.assertEqual((result.returncode, reasons_of(json.loads(result.stdout))),
                         (1, ["remora_itself"]))
        self.assertNotIn(process.popen.pid, listed("--all"))

    def test_nothing_recorded(self):
        for environment, flags in (({"OTEL_SDK_DISABLED": "true"}, ()),
                                   ({"OTEL_TRACES_SAMPLER": "always_off"}, ()),
                                   ({}, ("--sampler", "always_off"))):
            process = self.start_ready(target("odd_process"), "plain", environment=environment,
                                       flags=flags)
            entry, _ = self.judged(process)
            self.assertEqual(reasons_of(entry), ["recording_off"], (environment, flags))

    def test_ps_makes_no_memory(self):
        """The shared memory is sparse; who looks at all of it must not fill it. What the agent
        itself adds is a lane or two of 256 blocks, a page of each lane would be 4096."""
        process = self.start_ready(target("odd_process"), "plain")
        folder = f"/proc/{process.popen.pid}/fd"
        [lanes] = [f"{folder}/{name}" for name in os.listdir(folder)
                   if "memfd:remora-lanes" in os.readlink(f"{folder}/{name}")]
        before = os.stat(lanes).st_blocks
        listed("--all")
        self.assertLess(os.stat(lanes).st_blocks - before, 2048)


class NotTraced(InspectCase):
    def test_static(self):
        self.assert_reason(self.only_child(self.compiled("static", "-static")), "statically_linked")

    def test_no_libc(self):
        source = ("void _start(void) { __asm__(\"mov $1, %eax; mov $1, %edi; lea s(%rip), %rsi;"
                  "mov $6, %edx; syscall; 1: mov $34, %eax; syscall; jmp 1b\"); }\n"
                  "__asm__(\"s: .ascii \\\"ready\\\\n\\\"\");\n")
        program = self.compiled("libc-free", "-nostdlib", "-pie", "-fPIE",
                                "-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2", source=source)
        self.assert_reason(self.only_child(program), "no_libc")

    def test_go(self):
        need("go")
        source = self.file("program/main.go", "package main\nimport (\"fmt\"; \"time\")\n"
                           "func main() { fmt.Println(\"ready\"); time.Sleep(time.Hour) }\n")
        program = self.directory / "go-program"
        built = subprocess.run(["go", "build", "-o", program, source], check=False,
                               stderr=subprocess.PIPE, timeout=PATIENCE,
                               env={**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "off"})
        if built.returncode != 0:
            self.skipTest(f"go build does not work here: {built.stderr.decode()}")
        self.assert_reason(self.only_child(program), "go")

    def test_setuid(self):
        need_root()
        program = self.compiled("setuid")
        os.chown(program, 65534, 65534)
        program.chmod(0o4755)
        child = self.only_child(program)
        if child["state"] == "traced":
            self.skipTest("setuid is not honoured here")
        self.assert_reason(child, "privileged")

    def test_file_capabilities(self):
        """Seen by the user who started it, who may not look into it."""
        need_root()
        need("setcap", "setpriv")
        for name in ("remora", "libremora.so"):
            shutil.copy(REMORA.parent / name, self.directory)
        program = self.compiled("capable")
        if subprocess.run(["setcap", "cap_net_raw+ep", program], check=False,
                          stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no file capabilities here")
        somebody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        self.start_ready(*somebody, self.directory / "remora", "run", "--quiet", "--", "sh", "-c",
                         '"$@" & wait', "sh", program, traced=False)
        for prefix in ((), somebody):
            result = subprocess.run([*prefix, self.directory / "remora", "ps", "--json"], cwd="/",
                                    check=False, stdout=subprocess.PIPE)
            [entry] = [entry for entry in json.loads(result.stdout)
                       if entry["command"] == str(program)]
            self.assertEqual((reasons_of(entry), entry["state"]), (["privileged"], "not traced"))

    def test_a_cleared_environment(self):
        # Its own execve would be seen by the shim, a static program's is not.
        source = ("#include <unistd.h>\nint main(int n, char **v) { char *none[] = {0};"
                  "return execve(v[1], v + 1, none); }\n")
        clear = self.compiled("clear", "-static", source=source)
        child = self.only_child(clear, target("odd_process"), "plain")
        self.assert_reason(child, "environment_cleared")

    def test_a_library_that_is_gone(self):
        library = self.directory / "libremora.so"
        shutil.copy(REMORA.parent / "libremora.so", library)
        source = ("#include <unistd.h>\nint main(int n, char **v) { unlink(v[1]);"
                  "return execv(v[2], v + 2); }\n")
        program = self.compiled("without", "-static", source=source)
        child = self.only_child(program, library, target("odd_process"), "plain",
                                environment={"REMORA_LIBRARY": str(library)})
        self.assert_reason(child, "library_not_loaded")

    def test_switched_off(self):
        process = self.start_ready("sh", "-c", 'REMORA_DISABLE=1 "$@" & wait', "sh",
                                   target("odd_process"), "plain")
        self.assert_reason(self.children(process)[0], "disabled")

    def test_an_agent_that_was_killed(self):
        process = self.start_ready(target("odd_process"), "plain")
        entry, _ = self.judged(process)
        process.popen.send_signal(signal.SIGKILL)
        process.wait(None)
        entry = wait_until(lambda: listed().get(entry["pid"]), "its process to be listed")
        self.assert_reason(entry, "agent_gone")

    def test_an_agent_that_is_stopped(self):
        process = self.start_ready(target("odd_process"), "plain")
        entry, _ = self.judged(process)
        process.popen.send_signal(signal.SIGSTOP)
        entry = wait_until(lambda: (found := listed()[entry["pid"]])["state"] != "traced" and found,
                           "the agent's heartbeat to be missed")
        self.assert_reason(entry, "agent_gone")
        process.popen.send_signal(signal.SIGCONT)
        wait_until(lambda: listed()[entry["pid"]]["state"] == "traced", "the heartbeat")

    def test_a_process_that_nobody_traces(self):
        process = self.start_ready(target("odd_process"), "plain", traced=False)
        self.assertNotIn(process.popen.pid, listed())
        entry = listed("--all")[process.popen.pid]
        self.assert_reason(entry, "not_started_by_remora")

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_other_users_processes(self):
        somebody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        need("setpriv")
        own = self.directory / "remora"
        shutil.copy(REMORA, own)
        process = self.start_ready(target("odd_process"), "plain")
        [pid] = [pid for pid, entry in listed().items() if entry["session"] == process.popen.pid]

        def ask(*arguments):
            return subprocess.run([*somebody, own, *arguments], check=False, text=True, cwd="/",
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        result = ask("inspect", str(pid), "--json")
        entry = json.loads(result.stdout)
        self.assertEqual((result.returncode, reasons_of(entry), entry["state"]),
                         (1, ["hidden"], "unknown"))
        result = ask("ps")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertNotIn(str(pid), result.stdout)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_ones_own_processes_need_no_privilege(self):
        need("setpriv")
        for name in ("remora", "libremora.so"):
            shutil.copy(REMORA.parent / name, self.directory)
        shutil.copy(target("odd_process"), self.directory)
        somebody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        run = self.start_ready(*somebody, self.directory / "remora", "run", "--quiet", "--",
                               self.directory / "odd_process", "plain", traced=False)
        result = subprocess.run([*somebody, self.directory / "remora", "ps", "--json"], check=False,
                                text=True, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        entries = [entry for entry in json.loads(result.stdout)
                   if entry["session"] == run.popen.pid]
        self.assertEqual([entry["state"] for entry in entries], ["traced"], result)
        self.assertEqual([entry["service"] for entry in entries], ["odd_process"], result)


class InPart(InspectCase):
    def test_no_lane(self):
        child = self.only_child(target("odd_process"), "plain", environment={"REMORA_LANES": "1"})
        self.assert_reason(child, "no_lane", "in part")

    def assert_in_part(self, process, reason):
        entry, details = self.judged(process)
        self.assert_reason(entry, reason, "in part")
        return details

    def test_seccomp(self):
        details = self.assert_in_part(self.start_ready(target("odd_process"), "seccomp"), "seccomp")
        self.assertEqual((details["seccomp_mode"], details["no_new_privileges"]), (2, True))

    def test_io_uring(self):
        process = self.start_ready(target("odd_process"), "io_uring")
        self.assertTrue(self.assert_in_part(process, "io_uring")["io_uring"])

    def test_stdio_on_a_socket(self):
        server = self.server(lambda request: response())
        process = self.start_ready(target("odd_process"), "stdio", server.port)
        details = self.assert_in_part(process, "stdio_on_a_socket")
        self.assertEqual(details["losses"], {"stdio_on_a_socket": 1})

    def test_node_with_its_own_openssl(self):
        need("node")
        process = self.start_ready("node", "-e", "console.log('ready'); setInterval(() => {}, 1e6)")
        pid = next(pid for pid, entry in listed().items() if entry["session"] == process.popen.pid)
        if json.loads(remora("inspect", pid, "--json").stdout)["libssl"]:
            self.skipTest("this node uses the system's OpenSSL")
        self.assertEqual(self.assert_in_part(process, "static_tls")["linked_tls"], "OpenSSL")

    def test_openssl_linked_in(self):
        for name, source, flags in (
                ("symbols", WAIT + "int SSL_write(void) { return 0; }\n", ()),
                ("stripped", WAIT + "const char *file = \"ssl/ssl_lib.c\";\n", ("-s",))):
            with self.subTest(name):
                process = self.start_ready(self.compiled(name, *flags, source=source))
                self.assert_in_part(process, "static_tls")

    def test_openssl_that_is_only_called(self):
        source = WAIT.replace("{ write", "{ if (getpid() == 0) SSL_write(); write")
        source = "int SSL_write(void);\n" + source
        self.compiled("libssl-mine.so", "-shared", "-fPIC",
                      source="int SSL_write(void) { return 0; }\n")
        program = self.compiled("caller", f"-L{self.directory}", "-l:libssl-mine.so",
                                f"-Wl,-rpath,{self.directory}", source=source)
        entry, _ = self.judged(self.start_ready(program))
        self.assertEqual(entry["state"], "traced", entry)

    def test_another_agent(self):
        library = self.compiled("libscope.so", "-shared", "-fPIC", source="int nothing;\n")
        process = self.start_ready(target("odd_process"), "plain",
                                   environment={"LD_PRELOAD": str(library)})
        details = self.assert_in_part(process, "other_agent")
        self.assertEqual(details["other_agents"],
                         [{"name": "AppScope", "evidence": str(library)}])

    def test_java(self):
        need("java", "javac")
        source = self.file("Wait.java", "class Wait { public static void main(String[] a) throws "
                           "Exception { System.out.println(\"ready\"); Thread.sleep(1000000); } }")
        process = self.start_ready("java", source)
        self.assert_in_part(process, "java_tls")


class Command(InspectCase):
    def test_a_process_that_is_not_there(self):
        for pid in ("4194303999", "999999999"):
            result = remora("inspect", pid)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertRegex(result.stderr, r"\Aremora: [^\n]*" + pid + r"[^\n]*\n\Z")

    def test_wrong_arguments(self):
        for arguments, says in ((("inspect",), "PID"), (("inspect", "x"), "not the number"),
                                (("inspect", "1", "2"), "too many"), (("ps", "x"), "too many"),
                                (("ps", "--al"), "did you mean --all?"),
                                (("inspectt", "1"), "did you mean remora inspect?")):
            result = remora(*arguments)
            self.assertEqual((result.returncode, result.stdout), (2, ""), arguments)
            self.assertIn(says, result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)

    def test_help(self):
        for command in ("ps", "inspect"):
            result = remora(command, "--help")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("--json", result.stdout)

    def test_a_reader_that_has_seen_enough(self):
        for action in (signal.SIG_DFL, signal.SIG_IGN):
            reader, writer = os.pipe()
            os.close(reader)
            result = subprocess.run([REMORA, "ps", "--all"], stdout=writer, stderr=subprocess.PIPE,
                                    check=False, text=True,
                                    preexec_fn=lambda a=action: signal.signal(signal.SIGPIPE, a))
            os.close(writer)
            self.assertEqual(result.stderr, "")
            self.assertIn(result.returncode, (0, -signal.SIGPIPE))

    def test_a_full_disk(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run([REMORA, "ps"], stdout=full, stderr=subprocess.PIPE,
                                    check=False, text=True)
        self.assertEqual(result.returncode, 125)
        self.assertIn("No space left", result.stderr)

    def on_terminal(self, columns, *arguments):
        master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with subprocess.Popen([REMORA, *map(str, arguments)], stdin=subprocess.DEVNULL,
                              stdout=terminal, stderr=terminal,
                              env={**os.environ, "LC_ALL": "C.UTF-8"}) as process:
            os.close(terminal)
            text = b""
            try:
                while chunk := os.read(master, 65536):
                    text += chunk
            except OSError:
                pass  # what a terminal says whose last user has gone
            process.wait(PATIENCE)
        os.close(master)
        return text.decode().replace("\r\n", "\n")

    def test_terminals_of_any_width(self):
        child = self.only_child(self.compiled("static-with-a-long-name", "-static"), "x" * 300)
        for columns in (30, 40, 80, 132):
            text = self.on_terminal(columns, "ps")
            for line in text.splitlines():
                self.assertLessEqual(len(line), columns, text)
            flat = re.sub(r"\s+", " ", text)
            self.assertIn("statically linked: no library can be preloaded", flat)
        wide = self.on_terminal(60, "inspect", child["pid"])
        self.assertIn("statically linked", wide)

    def test_names_that_steer_a_terminal(self):
        process = self.start_ready(target("odd_process"), "plain", "\x1b[31mred\n\u202eevil",
                                   flags=("--service", "a\x1b]0;title\x07b"))
        [pid] = [pid for pid in programs_of(process)
                 if self.parent_of(pid) == process.popen.pid]
        for text in (remora("ps").stdout, remora("inspect", pid).stdout,
                     remora("ps", "--json").stdout):
            self.assertNotIn("\x1b", text)
            self.assertNotIn("\x07", text)
            self.assertNotIn("\u202e", text)

    def test_a_program_that_opens_its_agents_files(self):
        code = ("import os, time\n"
                "_, agent, lanes, control, *_ = os.environ['REMORA_SESSION'].split(':')\n"
                "held = [open(f'/proc/{agent}/fd/{fd}', 'rb') for fd in (lanes, control)]\n"
                "print('ready', flush=True)\n"
                "time.sleep(1000)\n")
        entry, _ = self.judged(self.start_ready(PYTHON, "-c", code))
        self.assertEqual(entry["state"], "traced", entry)

    def test_lanes_that_were_scribbled_over(self):
        source = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long begin, end;
    while (fgets(line, sizeof(line), maps))
        if (strstr(line, "memfd:remora-lanes") && sscanf(line, "%lx-%lx", &begin, &end) == 2)
            for (char *lane = (char *)begin; lane < (char *)begin + 16 * 131072; lane += 131072) {
                for (int i = 8; i < 2048; ++i) lane[i] = (char)rand();
                lane[0] = 3;
            }
    write(1, "ready\\n", 6);
    for (;;) pause();
}
"""
        process = self.start_ready(self.compiled("scribbler", source=source))
        [entry] = [entry for entry in listed().values() if entry["session"] == process.popen.pid]
        result = remora("inspect", entry["pid"])
        self.assertEqual(result.stderr, "")
        self.assertIn(result.returncode, (0, 1))


if __name__ == "__main__":
    main()
