# SPDX-License-Identifier: Apache-2.0
"""A traced program that tries what can be tried with the agent's two memory files, found by its own
REMORA_SESSION. Prints a line for each attempt: "<file> <attempt>: <errno's name, or done>"."""
import ctypes
import errno
import fcntl
import mmap
import os

F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE = 1033, 1, 2, 4, 8
PUNCH_HOLE_KEEP_SIZE = 3
libc = ctypes.CDLL(None, use_errno=True)
_, agent, lanes, control, *_ = os.environ["REMORA_SESSION"].split(":")


def attempt(name, what, action):
    try:
        action()
        result = "done"
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(f"{name} {what}: {result}", flush=True)


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def write_through_map(fd, size):
    with mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE) as memory:
        memory[:8] = b"attacker"


for name, number in (("lanes", lanes), ("control", control)):
    path = f"/proc/{agent}/fd/{number}"
    size = os.stat(path).st_size
    try:
        fd = os.open(path, os.O_RDWR)
    except OSError as error:
        print(f"{name} open: {errno.errorcode[error.errno]}")
        continue
    attempt(name, "open truncating", lambda: os.close(os.open(path, os.O_RDWR | os.O_TRUNC)))
    attempt(name, "shrink", lambda: os.ftruncate(fd, 0))
    attempt(name, "shrink by path", lambda: os.truncate(path, 4096 - 1))
    attempt(name, "grow", lambda: os.ftruncate(fd, size + 4096))
    attempt(name, "grow by writing", lambda: os.pwrite(fd, b"x", size + 4096))
    attempt(name, "seal against writing", lambda: fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE))
    attempt(name, "seal seals", lambda: fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL))
    attempt(name, "write", lambda: os.pwrite(fd, b"attacker", 0))
    attempt(name, "map and write", lambda: write_through_map(fd, 4096))
    attempt(name, "punch a hole", lambda: fallocate(fd, PUNCH_HOLE_KEEP_SIZE, 0, size))
    attempt(name, "forbid to others", lambda: os.chmod(path, 0))
    attempt(name, "lock", lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB))
    attempt(name, "lease", lambda: fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK))
    os.close(fd)
