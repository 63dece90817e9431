# SPDX-License-Identifier: Apache-2.0
"""The smallest agent that the shim can talk to, so that tests of the shim alone need no agent.

    with FakeAgent() as agent:
        result = agent.run(["/bin/true"])
        agent.processes()       what the processes of the session said of themselves

It makes the two memory files of bpf/abi, offers lanes, renews the heartbeat and takes lanes back when
their owner is gone. It copies process records only, no exchanges. Where fields stand comes from the
headers, by print_abi.
"""
import ctypes
import mmap
import os
import secrets
import signal
import socket
import struct
import subprocess
import threading
import time

BUILD = os.environ.get("REMORA_BUILD_DIR", os.path.join(os.getcwd(), "build/release"))
LIBRARY = os.path.join(BUILD, "libremora.so")
TARGETS = os.path.join(BUILD, "targets")

READY, CLAIMING, CLAIMED = 1, 2, 3
SERVER, REFERENCED, EXITED, FORKED = 1, 2, 4, 8
ALL_FREE = 0xFFFFFFFFFFFFFFFE
CONTROL_MAGIC = 0x316C7274635F6D72
SWITCH_DISABLED, SWITCH_SDK_DISABLED, SWITCH_SAMPLER_FORCED, SWITCH_NO_PROCESS_SPANS = 1, 2, 4, 32
LANE_BYTES = 2048 * 64

F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 1, 2, 4


def _abi():
    text = subprocess.run([os.path.join(TARGETS, "print_abi")], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    return {name: (int(offset), int(size))
            for name, offset, size in (line.split() for line in text.splitlines())}


class Process:
    """One remora_process, copied."""

    def __init__(self, abi, data):
        def field(name):
            offset, size = abi["remora_process." + name]
            return data[offset:offset + size]

        def number(name, signed=False):
            return int.from_bytes(field(name), "little", signed=signed)

        def texts(name):
            return [t.decode(errors="replace") for t in field(name).split(b"\0") if t]

        self.image = number("image")
        self.pid = number("pid")
        self.parent_pid = number("parent_pid")
        self.start_ns = number("start_ns")
        self.end_ns = number("end_ns")
        self.trace_id = field("trace_id").hex()
        self.span_id = field("span_id").hex()
        self.parent_id = field("parent_id").hex()
        self.trace_flags = number("trace_flags")
        self.states = number("states")
        self.exit_code = number("exit_code", signed=True) if self.states & EXITED else None
        self.executable = "".join(texts("executable")[:1])
        self.command = texts("command")
        self.service_name = "".join(texts("service_name")[:1])
        self.attributes = "".join(texts("attributes")[:1])

    @property
    def name(self):
        return os.path.basename(self.executable)

    def __repr__(self):
        return (f"<{self.name} {self.command} pid {self.pid} states {self.states} "
                f"exit {self.exit_code} {self.trace_id[:8]}/{self.span_id[:8]} "
                f"parent {self.parent_id[:8]}>")


class FakeAgent:
    def __init__(self, lanes=64, library=LIBRARY, sampler=3, threshold=0, switches=0,
                 heartbeat=True, hand_over_socket=False):
        self.abi = _abi()
        self.lanes = lanes
        self.library = library
        self.session = secrets.token_bytes(16)
        self._heartbeat = heartbeat
        self._seen = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = []
        self.lanes_fd, self._lanes = self._memory("remora-lanes", lanes * LANE_BYTES)
        os.posix_fallocate(self.lanes_fd, 0, lanes * LANE_BYTES)
        self.control_fd, self._control = self._memory("remora-control", 4096)
        for lane in range(lanes):
            self._offer(lane)
        self._set_control("abi_version", 2)
        self._set_control("lanes", lanes)
        offset, _ = self.abi["remora_control.session"]
        self._control[offset:offset + 16] = self.session
        self._set_control("sampler", sampler)
        self._set_control("threshold", threshold)
        self._set_control("switches", switches)
        self._beat()
        self._set_control("magic", CONTROL_MAGIC)
        self._spawn(self._poll)
        if hand_over_socket:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind("\0remora-" + self.session.hex()[:16])
            self._listener.listen(64)
            self._listener.settimeout(0.1)
            self._spawn(self._hand_over)

    # --- the memory files ---

    @staticmethod
    def _memory(name, size):
        fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, size)
        import fcntl
        fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
        return fd, mmap.mmap(fd, size)

    def _set_control(self, name, value):
        offset, size = self.abi["remora_control." + name]
        self._control[offset:offset + size] = value.to_bytes(size, "little")

    def set_switches(self, switches):
        self._set_control("switches", switches)

    def _beat(self):
        if self._heartbeat:
            self._set_control("heartbeat_ns", time.clock_gettime_ns(time.CLOCK_MONOTONIC))

    def _word(self, lane, name, value=None):
        offset = lane * LANE_BYTES + self.abi["remora_lane_head." + name][0]
        if value is None:
            return struct.unpack_from("<Q", self._lanes, offset)[0]
        struct.pack_into("<Q", self._lanes, offset, value)
        return value

    def _offer(self, lane):
        self._lanes[lane * LANE_BYTES:lane * LANE_BYTES + 2048] = bytes(2048)
        self._word(lane, "free", ALL_FREE)
        self._word(lane, "owner", READY)

    # --- what the session's processes do ---

    def _process_at(self, lane):
        start = lane * LANE_BYTES + self.abi["remora_lane_head.process"][0]
        return Process(self.abi, self._lanes[start:start + self.abi["remora_process"][1]])

    def collect(self):
        """Copies every process record; takes lanes back whose owner has ended or exec'ed."""
        with self._lock:
            newest = {}
            claimed = []
            for lane in range(self.lanes):
                if self._word(lane, "owner") & 0xFF != CLAIMED:
                    continue
                # Looked at before the copy: what is read of a dead owner is its last word.
                gone = not os.path.exists("/proc/%d" % (self._word(lane, "owner") >> 8))
                process = self._process_at(lane)
                self._seen[(process.image, process.pid)] = process
                claimed.append((lane, process, gone))
                newest[process.pid] = max(newest.get(process.pid, 0), process.start_ns)
            for lane, process, gone in claimed:
                if gone or process.start_ns < newest[process.pid]:
                    self._offer(lane)

    def _poll(self):
        while not self._stop.wait(0.02):
            self._beat()
            self.collect()

    def lost(self):
        """Loss counters by number, summed over the lanes that are claimed now."""
        offset, size = self.abi["remora_lane_head.lost"]
        sums = [0] * (size // 8)
        for lane in range(self.lanes):
            if self._word(lane, "owner") & 0xFF == CLAIMED:
                start = lane * LANE_BYTES + offset
                for i, n in enumerate(struct.unpack_from("<%dQ" % len(sums), self._lanes, start)):
                    sums[i] += n
        return sums

    def processes(self, name=None):
        """Every process image seen so far, in order of their start."""
        self.collect()
        found = sorted(self._seen.values(), key=lambda p: p.start_ns)
        return [p for p in found if name is None or p.name == name]

    def wait_for(self, condition, seconds=10):
        """Waits until condition(processes) holds; returns the processes either way."""
        limit = time.monotonic() + seconds
        while True:
            found = self.processes()
            if condition(found) or time.monotonic() > limit:
                return found
            time.sleep(0.01)

    # --- running programs ---

    @property
    def session_text(self):
        return "1:%d:%d:%d:%s" % (os.getpid(), self.lanes_fd, self.control_fd, self.session.hex())

    def environment(self, base=None, **extra):
        environment = dict(os.environ if base is None else base)
        for name in ("LD_PRELOAD", "REMORA_SESSION", "TRACEPARENT", "TRACESTATE"):
            environment.pop(name, None)
        environment.update(LD_PRELOAD=self.library, REMORA_SESSION=self.session_text, **extra)
        return environment

    def run(self, command, env=None, timeout=60, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(command, env=env or self.environment(), timeout=timeout, **options)

    def popen(self, command, env=None, **options):
        return subprocess.Popen(command, env=env or self.environment(), **options)

    # --- threads ---

    def _hand_over(self):
        while not self._stop.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                continue
            with peer:
                peer.settimeout(1)
                if peer.recv(64) == self.session.hex().encode():
                    socket.send_fds(peer, [b"1"], [self.lanes_fd, self.control_fd])

    def _spawn(self, target):
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        self._threads.append(thread)

    def close(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        os.close(self.lanes_fd)
        os.close(self.control_fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
