#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`remora run` on a terminal: Ctrl-C, Ctrl-Z and fg, resizing, interactive programs, hang-up."""
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
# pylint: disable=wrong-import-position
import remora_test  # noqa: E402
from remora_test import BUILD, PATIENCE, PYTHON, wait_until  # noqa: E402

RUN = [str(BUILD / "remora"), "run", "--quiet", "--"]
MARK = int(signal.SIGRTMIN) + 1  # see launcher_test.py

# Notes signals, as in launcher_test.py; stops itself when told by SIGUSR2.
PROGRAM = """
import os, signal, sys
log = open(sys.argv[1], "a", buffering=1)
def note(number, frame): log.write(f"{number}\\n")
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGWINCH, signal.SIGCONT,
               signal.SIGRTMIN + 1):
    signal.signal(number, note)
signal.signal(signal.SIGUSR2, lambda *_: os.kill(os.getpid(), signal.SIGSTOP))
log.write(f"pid {os.getpid()}\\n")
while True: signal.pause()
"""

# A shell with job control, as small as can be: one job in the foreground, a line of output for each
# change of its state, "fg" on fd 3 continues it.
SHELL = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTSTP, signal.SIG_IGN)
log = open(sys.argv[1], "a", buffering=1)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    for number in (signal.SIGTTOU, signal.SIGINT, signal.SIGTSTP):
        signal.signal(number, signal.SIG_DFL)
    os.execv(sys.argv[2], sys.argv[2:])
log.write(f"job {job}\\n")
while True:
    _, status = os.waitpid(job, os.WUNTRACED | os.WCONTINUED)
    if os.WIFSTOPPED(status):
        os.tcsetpgrp(0, os.getpgrp())
        log.write("stopped\\n")
        os.read(3, 1)
        os.tcsetpgrp(0, job)
        os.killpg(job, signal.SIGCONT)
    elif os.WIFCONTINUED(status):
        log.write("continued\\n")
    else:
        log.write(f"ended {status}\\n")
        break
"""


class Terminal(remora_test.TestCase):
    def setUp(self):
        super().setUp()
        self.log = self.directory / "signals"
        self.program = self.file("program.py", PROGRAM)

    def on_terminal(self, *command):
        """Starts the command as leader of a session with a new terminal; its pid."""
        fg_reader, self.fg = os.pipe()
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.dup2(fg_reader, 3)
            os.set_inheritable(3, True)  # dup2 of a number to itself changes nothing
            os.execv(str(command[0]), [str(word) for word in command])
        os.close(fg_reader)
        self.addCleanup(os.close, self.terminal)
        self.addCleanup(os.close, self.fg)
        self.leader = pid
        return pid

    def start_program(self):
        """The noting program, alone on a terminal."""
        self.on_terminal(*RUN, PYTHON, self.program, self.log)
        return self.program_pid()

    def start_job(self):
        """The same as a job of a shell. Sets self.job (remora) and returns the program's pid."""
        self.states = self.directory / "states"
        shell = self.file("shell.py", SHELL)
        self.on_terminal(PYTHON, shell, self.states, *RUN, PYTHON, self.program, self.log)
        pid = self.program_pid()
        self.job = int(self.lines(self.states)[0].split()[1])
        return pid

    def program_pid(self):
        wait_until(lambda: self.lines(self.log), "the program")
        return int(self.lines(self.log)[0].split()[1])

    def lines(self, path):
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def noted(self, number):
        return self.lines(self.log).count(str(int(number)))

    def wait_for_mark(self, remora):
        before = self.noted(MARK)
        os.kill(remora, MARK)
        wait_until(lambda: self.noted(MARK) > before, "the mark")

    def press(self, key):
        os.write(self.terminal, key)

    def state(self, pid):
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0]

    def wait_for_states(self, *expected):
        wait_until(lambda: self.lines(self.states)[1:] == list(expected),
                   f"{expected}, not {self.lines(self.states)[1:]}")

    def read_until(self, pattern):
        """Reads the terminal until the pattern has come."""
        text = b""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, text):
            self.assertLess(time.monotonic(), deadline, f"no {pattern!r} in {text!r}")
            if select.select([self.terminal], [], [], 0.1)[0]:
                text += os.read(self.terminal, 4096)
        return text

    def end_of(self, pid):
        def ended():
            done, status = os.waitpid(pid, os.WNOHANG)
            return (status,) if done else None
        return wait_until(ended, "the end")[0]

    # --- without job control ------------------------------------------------------------------------

    def test_ctrl_c_comes_once(self):
        self.start_program()
        for presses in range(1, 6):
            self.press(b"\x03")
            wait_until(lambda: self.noted(signal.SIGINT) >= presses, "SIGINT")
            self.wait_for_mark(self.leader)
            self.assertEqual(self.noted(signal.SIGINT), presses)

    def test_ctrl_c_ends_us_as_it_ends_the_program(self):
        self.on_terminal(*RUN, "sh", "-c", "echo ready; while :; do sleep 0.01; done")
        self.read_until(b"ready")
        self.press(b"\x03")
        status = self.end_of(self.leader)
        self.assertTrue(os.WIFSIGNALED(status))
        self.assertEqual(os.WTERMSIG(status), signal.SIGINT)

    def test_ctrl_c_that_the_program_survives(self):
        self.on_terminal(*RUN, "sh", "-c", "trap 'echo caught; exit 7' INT; echo ready; "
                                           "while :; do sleep 0.01; done")
        self.read_until(b"ready")
        self.press(b"\x03")
        self.read_until(b"caught")
        self.assertEqual(os.waitstatus_to_exitcode(self.end_of(self.leader)), 7)

    def test_a_resized_window_is_told_once(self):
        self.start_program()
        for size in range(1, 6):
            fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 20 + size, 80, 0, 0))
            wait_until(lambda: self.noted(signal.SIGWINCH) >= size, "SIGWINCH")
            self.wait_for_mark(self.leader)
            self.assertEqual(self.noted(signal.SIGWINCH), size)

    def test_a_hang_up_is_told_once(self):
        self.start_program()
        nothing = os.open("/dev/null", os.O_RDWR)
        os.dup2(nothing, self.terminal)  # the last of the terminal's masters is gone
        os.close(nothing)
        wait_until(lambda: self.noted(signal.SIGHUP), "SIGHUP")
        self.wait_for_mark(self.leader)
        self.assertEqual(self.noted(signal.SIGHUP), 1)

    def test_the_program_has_the_terminal(self):
        self.on_terminal(*RUN, "sh", "-c", "tty; stty size; echo typed $(head -n1)")
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.read_until(rb"/dev/pts/\d+")
        self.press(b"hello\n")
        self.read_until(rb"typed hello")
        self.assertEqual(self.end_of(self.leader), 0)

    def test_an_interactive_shell_has_job_control(self):
        self.on_terminal(*RUN, "bash", "--norc", "-i")
        self.press(b"PS1=; set -m; sleep 1000\n")
        wait_until(lambda: os.tcgetpgrp(self.terminal) in self.pids_of("sleep"), "a job")
        self.press(b"\x1a")
        self.read_until(rb"Stopped")
        self.press(b"fg\n")
        wait_until(lambda: os.tcgetpgrp(self.terminal) in self.pids_of("sleep"), "the job")
        self.press(b"\x03")
        wait_until(lambda: not self.pids_of("sleep"), "its end")
        self.press(b"exit 3\n")
        self.assertEqual(os.waitstatus_to_exitcode(self.end_of(self.leader)), 3)

    def pids_of(self, name):
        found = []
        for pid in remora_test._descendants(self.leader):
            try:
                if pathlib.Path(f"/proc/{pid}/comm").read_text() == name + "\n":
                    found.append(pid)
            except OSError:
                pass
        return found

    # --- with job control ---------------------------------------------------------------------------

    def test_ctrl_z_stops_us_and_fg_goes_on(self):
        pid = self.start_job()
        for round_ in range(3):
            self.press(b"\x1a")
            self.wait_for_states(*["stopped", "continued"] * round_, "stopped")
            self.assertEqual((self.state(pid), self.state(self.job)), ("T", "T"))
            os.write(self.fg, b"x")
            wait_until(lambda: self.state(pid) == "S" and self.state(self.job) == "S", "running")
            self.wait_for_states(*["stopped", "continued"] * (round_ + 1))
            self.wait_for_mark(self.job)
            self.assertEqual(self.noted(signal.SIGCONT), round_ + 1)  # once each
        self.press(b"\x03")
        wait_until(lambda: self.noted(signal.SIGINT), "SIGINT")
        self.wait_for_mark(self.job)
        self.assertEqual(self.noted(signal.SIGINT), 1)

    def test_a_program_that_stops_itself_stops_us(self):
        pid = self.start_job()
        os.kill(pid, signal.SIGUSR2)
        self.wait_for_states("stopped")
        os.write(self.fg, b"x")
        self.wait_for_states("stopped", "continued")
        wait_until(lambda: self.state(pid) == "S", "running")

    def test_a_cont_for_us_alone_continues_the_program(self):
        pid = self.start_job()
        self.press(b"\x1a")
        self.wait_for_states("stopped")
        os.kill(self.job, signal.SIGCONT)
        wait_until(lambda: self.state(pid) == "S", "running")
        self.wait_for_mark(self.job)
        self.assertEqual(self.noted(signal.SIGCONT), 1)

    def test_stop_and_cont_for_the_group_from_elsewhere(self):
        pid = self.start_job()
        for number in (signal.SIGSTOP, signal.SIGTSTP):
            before = len(self.lines(self.states)) - 1
            os.killpg(self.job, number)
            wait_until(lambda: len(self.lines(self.states)) - 1 > before, "stopped")
            wait_until(lambda: self.state(pid) == "T", "stopped")
            os.write(self.fg, b"x")
            wait_until(lambda: self.state(pid) == "S" and self.state(self.job) == "S", "running")

    def test_a_tstp_for_us_alone_stops_both(self):
        pid = self.start_job()
        os.kill(self.job, signal.SIGTSTP)
        self.wait_for_states("stopped")
        self.assertEqual(self.state(pid), "T")
        os.write(self.fg, b"x")
        wait_until(lambda: self.state(pid) == "S", "running")


if __name__ == "__main__":
    remora_test.main()
