"""Processes as the kernel shows them: exits seen before they are reaped, /proc, prctl.

An exit is looked at first (WNOWAIT), written down, and only then reaped: whoever is
killed in between leaves the zombie to its parent, who finds the exit again.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
# the libc wrapper of waitid drops the resource usage; the system call has it
WAITID = {"x86_64": 247, "aarch64": 95, "riscv64": 95, "ppc64le": 272, "s390x": 281}
WAITID_NUMBER = WAITID.get(os.uname().machine)
TICKS = os.sysconf("SC_CLK_TCK")
_info = ctypes.create_string_buffer(128)
_usage = ctypes.create_string_buffer(144)


class Exit:
    """How a child ended: a wait status, as os.waitstatus_to_exitcode reads it."""

    __slots__ = ("cpu_s", "peak_bytes", "pid", "status")

    def __init__(self, pid: int, status: int, cpu_s: float, peak_bytes: int) -> None:
        self.pid = pid
        self.status = status
        self.cpu_s = cpu_s
        self.peak_bytes = peak_bytes


def become_subreaper() -> None:
    """Orphans below us come to us, and not to init."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def signal_me_when_my_parent_dies(number: int) -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def reset_signals(mine: tuple[int, ...], does: signal.Handlers | object) -> None:
    """Give `mine` to `does`, everything else its default, and block nothing.

    A handler, unlike SIG_IGN, does not reach the programs we start.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        handler = does if number in mine else signal.SIG_DFL
        signal.signal(number, handler)  # type: ignore[arg-type]
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def peek(*, block: bool = False) -> Exit | None:
    """A child that ended and is not reaped yet, or None."""
    flags = os.WEXITED | os.WNOWAIT | (0 if block else os.WNOHANG)
    if WAITID_NUMBER is None:
        return _peek_plainly(flags)
    ctypes.memset(_info, 0, 24)
    if LIBC.syscall(WAITID_NUMBER, os.P_ALL, 0, _info, flags, _usage) < 0:
        return None
    code, pid, _, status = struct.unpack_from("i4xiii", _info, 8)
    if not pid:
        return None
    user_s, user_us, sys_s, sys_us, peak_kb = struct.unpack_from("5l", _usage)
    cpu_s = user_s + sys_s + (user_us + sys_us) / 1e6
    return Exit(pid, wait_status(code, status), cpu_s, peak_kb * 1024)


def _peek_plainly(flags: int) -> Exit | None:
    try:
        seen = os.waitid(os.P_ALL, 0, flags)
    except ChildProcessError:
        return None
    if seen is None:
        return None
    return Exit(seen.si_pid, wait_status(seen.si_code, seen.si_status), 0.0, 0)


def wait_status(code: int, status: int) -> int:
    return status << 8 if code == os.CLD_EXITED else status


def reap(pid: int) -> None:
    os.waitpid(pid, 0)


class Stat:
    """The few fields of /proc/PID/stat that name a process for good."""

    __slots__ = ("begun", "cpu_s", "exit_status", "parent", "session", "state")

    def __init__(self, fields: list[bytes]) -> None:
        self.state = fields[0].decode()
        self.parent = int(fields[1])
        self.session = int(fields[3])
        self.cpu_s = sum(map(int, fields[11:15])) / TICKS  # reaped children too
        self.begun = int(fields[19])  # clock ticks after boot
        self.exit_status = int(fields[-1])  # a zombie's wait status, where we may see


def stat(pid: int) -> Stat | None:
    data = read_small(f"/proc/{pid}/stat")
    return Stat(data[data.rindex(b")") + 2 :].split()) if data else None


def is_living(pid: int) -> bool:
    seen = stat(pid)
    return seen is not None and seen.state not in "ZX"


def environ(pid: int) -> bytes:
    """Its environment with a NUL before and after; empty for a zombie or stranger."""
    data = read_small(f"/proc/{pid}/environ", 1 << 22)
    return b"\0" + data + b"\0" if data else b""


def run_of(pid: int) -> str:
    """ "uid/token" as the environment of `pid` says, or ""."""
    _, found, rest = environ(pid).partition(b"\0KOS_RUN=")
    return rest.partition(b"\0")[0].decode(errors="replace") if found else ""


def below(pid: int) -> list[int]:
    """The children of a process of one thread."""
    return [
        int(p) for p in read_small(f"/proc/{pid}/task/{pid}/children", 1 << 22).split()
    ]


def everyone() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def read_small(path: str, most: int = 4096) -> bytes:
    """What a file of /proc or a cgroup says; empty when it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        data = os.read(fd, most)
        while len(data) == most or (most > 4096 and data):
            more = os.read(fd, most)
            if not more:
                break
            data += more
        return data
    except OSError:
        return b""
    finally:
        os.close(fd)


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
