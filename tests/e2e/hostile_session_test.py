# SPDX-License-Identifier: Apache-2.0
"""Attacks on the way in which programs and agent find each other: the agent's memory files, lies in
REMORA_SESSION, and somebody else at the other end of the socket."""
import array
import contextlib
import fcntl
import os
import pathlib
import secrets
import socket
import subprocess
import tempfile
import threading

from e2e_case import (APPS, BUILD, PATIENCE, PYTHON, EndToEndTestCase, Load, fetch, free_port,
                      main, wait_until)

LIBRARY = BUILD / "libremora.so"
ID = "0123456789abcdef" * 2
F_ADD_SEALS, F_SEAL_SHRINK = 1033, 2
LANE_BYTES = 64 * 2048


class MemoryFiles(EndToEndTestCase):
    def test_what_a_target_can_not_do(self):
        port = free_port()
        script = f"""
{PYTHON} -B {APPS}/server.py {port} threads & server=$!
read go < {self.directory}/gate
{PYTHON} -B {APPS}/memory_attacker.py
/bin/echo later
wait $server
"""
        os.mkfifo(self.directory / "gate")
        process = self.start("/bin/sh", "-c", script).wait_for_port(port)
        load = Load(port, 4).wait(100)
        (self.directory / "gate").write_text("go\n")
        wait_until(lambda: b"later\n" in process.stdout, "the attack")
        load.wait(100)
        self.assertEqual(load.stop().wrong, [])
        self.assertEqual(fetch(port, "/spawn"), b"spawned\n")
        # The agent offers other lanes, and the service finds them.
        wait_until(lambda: fetch(port, "/again") and process.spans.where(url_path="/again"),
                   "requests to be recorded again")
        self.assertEqual(fetch(port, "/quit"), b"/quit\n")
        process.wait(7)
        results = dict(line.split(": ") for line in process.stdout.decode().splitlines()[:-1])
        for name in ("lanes", "control"):
            for what in ("shrink", "shrink by path", "grow", "grow by writing",
                         "seal against writing", "seal seals", "open truncating"):
                self.assertEqual(results.get(f"{name} {what}", "EPERM"), "EPERM", f"{name} {what}")
        # The control page is the agent's alone. (Who may write it at all: root, by a new open.)
        for what in ("write", "map and write", "punch a hole"):
            self.assertIn(results.get(f"control {what}", "EPERM"), ("EPERM", "EACCES"), what)
        # The lanes are everybody's; a hole takes what was in them, and no more.
        self.assertEqual(results["lanes punch a hole"], "done")


class Untraced(EndToEndTestCase):
    """Programs with the library in them and a session that is none are like bare ones."""

    def run_with(self, session, *command, **options):
        environment = {**os.environ, "LD_PRELOAD": str(LIBRARY)}
        if session is not None:
            environment[b"REMORA_SESSION"] = session if isinstance(session, bytes) else session.encode()
        else:
            del environment["LD_PRELOAD"]
        return subprocess.run(command, env={os.fsencode(k): os.fsencode(v)
                                            for k, v in environment.items()},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=PATIENCE, check=False, **options)

    def check(self, session, **options):
        # The descriptors that ls has say that none was left behind; 1, 2 and 3 are also its own.
        for command in (("/bin/ls", "/proc/self/fd"), ("/bin/sh", "-c", "/bin/echo x; exit 3")):
            bare = self.run_with(None, *command)
            traced = self.run_with(session, *command, **options)
            self.assertEqual((traced.returncode, traced.stdout), (bare.returncode, bare.stdout),
                             session[:80])


class SessionTexts(Untraced):
    def test_texts(self):
        for text in ("1", ":", "1:", "1:1", "1:1:1:1", "1:1:1:1:", f"1::1:1:{ID}", f"1:1::1:{ID}",
                     f"2:1:1:1:{ID}", f"01:1:1:1:{ID}", f"1:-1:1:1:{ID}", f"1:+1:1:1:{ID}",
                     f"1: 1:1:1:{ID}", f"1:0x1:1:1:{ID}", f"1:1:1:1:{ID[:31]}", f"1:1:1:1:{ID}:",
                     f"1:1:1:1:{ID}0", f"1:1:1:1:{ID}:t:t", f"1:1:1:1:{ID.upper()}",
                     f"1:4294967297:1:1:{ID}", f"1:{2**64 + 1}:1:1:{ID}", f"1:1:{2**32}:1:{ID}",
                     f"1:1:1:{2**31 - 1}:{ID}", f"1:{'9' * 1000}:1:1:{ID}",
                     f"1:1:1:1:{'0' * 100000}", b"1:1:1:1:" + bytes(range(128, 160)),
                     b"\xff\xfe\x1b[2J\n1:1:1:1:" + ID.encode(), "1:1:1:1:../../../../etc/passwd",
                     f"1:../1:1:1:{ID}", f"1:self:1:1:{ID}", "%n" * 100):
            with self.subTest(text=text[:60]):
                self.check(text)

    def test_other_files_in_the_place_of_ours(self):
        # Held open by us, which is the process that the text names.
        with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
            def hold(path, flags=os.O_RDWR):
                fd = os.open(path, flags | os.O_NONBLOCK)
                stack.callback(os.close, fd)
                return fd

            def memory(name, size=LANE_BYTES * 4, seals=F_SEAL_SHRINK, content=b""):
                fd = os.memfd_create(name, os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
                stack.callback(os.close, fd)
                os.ftruncate(fd, size)
                os.pwrite(fd, content, 0)
                fcntl.fcntl(fd, F_ADD_SEALS, seals)
                return fd

            os.mkfifo(f"{folder}/fifo")
            pathlib.Path(f"{folder}/file").write_bytes(bytes(4096))
            # Named as if it were ours: /memfd:remora-lanes (deleted) is also a path.
            os.mkfifo(f"{folder}/memfd:remora-lanes (deleted)")
            os.symlink("loop", f"{folder}/loop")
            reader, writer = os.pipe()
            stack.callback(os.close, reader)
            stack.callback(os.close, writer)
            things = [hold(f"{folder}/fifo"), hold(f"{folder}/file"), hold(folder, os.O_RDONLY),
                      hold(f"{folder}/memfd:remora-lanes (deleted)"), reader, writer,
                      hold("/dev/zero"), hold("/dev/tty") if os.access("/dev/tty", os.R_OK) and
                      os.isatty(0) else hold("/dev/null"), socket.socket().detach(),
                      hold(f"{folder}/loop", os.O_PATH | os.O_NOFOLLOW),
                      memory("remora-lanes", size=0), memory("remora-lanes", seals=0),
                      memory("remora-lanes", size=LANE_BYTES - 1),
                      memory("remora-lanes", size=1 << 44), memory("remora-lanes"),
                      memory("remora-control", size=4095), memory("remora-control", size=4096),
                      memory("remora-control", size=4096, content=secrets.token_bytes(4096)),
                      10**6]
            for lanes in things[:-4]:
                for control in (lanes, things[-3], things[-2]):
                    with self.subTest(lanes=lanes, control=control):
                        self.check(f"1:{os.getpid()}:{lanes}:{control}:{ID}")
            for control in things:
                with self.subTest(control=control):
                    self.check(f"1:{os.getpid()}:{things[-5]}:{control}:{ID}")

    def test_a_control_page_that_promises_more_lanes_than_there_are(self):
        lanes = os.memfd_create("remora-lanes", os.MFD_ALLOW_SEALING)
        control = os.memfd_create("remora-control", os.MFD_ALLOW_SEALING)
        for lane_count, claimed in ((1, 2), (1, 2**32 - 1), (2, 8193)):
            os.ftruncate(lanes, lane_count * LANE_BYTES)
            page = (0x316c7274635f6d72).to_bytes(8, "little") + (1).to_bytes(4, "little")
            page += claimed.to_bytes(4, "little") + bytes.fromhex(ID) + (2**63).to_bytes(8, "little")
            os.pwrite(control, page.ljust(4096, b"\0"), 0)
            fcntl.fcntl(control, F_ADD_SEALS, F_SEAL_SHRINK)
            self.check(f"1:{os.getpid()}:{lanes}:{control}:{ID}")
        fcntl.fcntl(lanes, F_ADD_SEALS, F_SEAL_SHRINK)
        self.check(f"1:{os.getpid()}:{lanes}:{control}:{ID}")
        os.close(lanes)
        os.close(control)


class FalseSocket(Untraced):
    """Somebody else listens where the agent's socket would be. (There is no process of number 4194303
    that the files could come from.)"""

    def serve(self, answer, backlog=16):
        session = secrets.token_hex(16)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("\0remora-" + session[:16])
        listener.listen(backlog)
        self.addCleanup(listener.close)

        def work():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=self.answer_one, args=(connection, answer),
                                 daemon=True).start()
        if answer is not None:
            threading.Thread(target=work, daemon=True).start()
        return f"1:4194303:3:4:{session}"

    @staticmethod
    def answer_one(connection, answer):
        with contextlib.suppress(OSError), connection:
            answer(connection)

    @staticmethod
    def descriptors(*fds):
        def answer(connection):
            connection.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                         array.array("i", fds))])
        return answer

    def test_answers(self):
        reader, writer = os.pipe()
        small = os.memfd_create("remora-lanes", os.MFD_ALLOW_SEALING)
        os.ftruncate(small, LANE_BYTES)
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        self.addCleanup(os.close, small)
        answers = {
            "never accepts": None,
            "closes at once": lambda c: None,
            "reads and closes": lambda c: c.recv(32),
            "never answers": lambda c: (c.recv(32), c.recv(1)),
            "garbage": lambda c: c.sendall(os.urandom(4096)),
            "no descriptor": lambda c: c.sendall(b"x"),
            "one descriptor": self.descriptors(reader),
            "two pipes": self.descriptors(reader, writer),
            "three": self.descriptors(reader, writer, small),
            "two hundred": self.descriptors(*[reader] * 200),
            "unsealed memory": self.descriptors(small, small),
            "a socket": lambda c: self.descriptors(c.fileno(), c.fileno())(c),
        }
        for name, answer in answers.items():
            with self.subTest(answer=name):
                self.check(self.serve(answer))

    def test_a_full_backlog(self):
        session = self.serve(None, backlog=0)
        waiting = []
        for _ in range(8):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            waiting.append(client)
            try:
                client.connect("\0remora-" + session.split(":")[4][:16])
            except BlockingIOError:
                break
        self.check(session)
        for client in waiting:
            client.close()


if __name__ == "__main__":
    main()
