"""The holder's log: everything that happened to runs, one line each, written at once.

Files in `log/` are named by the logical offset of their first byte, so an offset keeps
its meaning when old files are deleted. Each file opens with the runs that were alive
then: the newest alone is enough to go on from. One process writes, any may read.

    H boot pid ns                   a holder begins
    K {json}                        a run carried over from the file before
    I uid token {json}              about to start it
    J uid token pid begun           its jail is being made
    N uid token                     settled after a crash: it was not started
    S uid token ns pid begun mono slot   started
    F uid token ns reason           could not be started
    T uid token why kill_at         asked to end ("stop" or "limit")
    M uid token ns {json}           its program says how it is (notifying)
    W uid token ns silent           its watchdog was missed
    L uid token output_bytes open_files cpu   its limits were changed
    D uid token mono                its time limit was moved there
    X uid token status cpu peak     its program is over; others of it may not be
    E uid token ns status flags cpu peak  nothing of it is left (flags: o, t, s, l)
"""

from __future__ import annotations

import json
import os
import signal
import time
from bisect import bisect_right

from agents import crash_points
from agents.executors.held import Run

VERSION = 5  # of requests and log; a node with another one has the holder renewed
MOST_OVER = 20_000  # ended runs kept in mind; older ones are fenced by attempt files


def files(folder: str) -> list[int]:
    """The logical offsets at which the log's files begin."""
    try:
        names = os.listdir(f"{folder}/log")
    except FileNotFoundError:
        return []
    return sorted(int(name) for name in names if name.isdecimal())


def path(folder: str, base: int) -> str:
    return f"{folder}/log/{base:020d}"


def read(folder: str, offset: int, most_bytes: int) -> tuple[list[bytes], int]:
    """Whole lines from `offset` on, and the offset behind the last of them.

    An offset before the log's beginning (0 for a new reader) means its beginning.
    """
    while True:
        bases = files(folder)
        if not bases:
            return [], offset
        at = max(0, bisect_right(bases, offset) - 1)
        offset = max(offset, bases[at])
        try:
            data = _read_part(path(folder, bases[at]), offset - bases[at], most_bytes)
        except FileNotFoundError:
            continue  # deleted since we looked
        end = data.rfind(b"\n") + 1
        if end:
            return data[: end - 1].split(b"\n"), offset + end
        if len(data) == most_bytes:
            most_bytes *= 2  # one line longer than that
        elif at + 1 < len(bases):
            offset = bases[at + 1]  # a finished file; a torn last line is skipped
        else:
            return [], offset


def _read_part(name: str, start: int, most_bytes: int) -> bytes:
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, most_bytes, start)
    finally:
        os.close(fd)


class Known:
    """What a log file says: runs not over yet, ended ones, and the boot it is of."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.over: dict[str, int] = {}  # uid -> token
        self.boot = ""

    def take(self, line: str) -> None:
        kind, _, rest = line.partition(" ")
        if kind == "H":
            self.boot = rest.split()[0]
        elif kind == "K":
            run = Run(**json.loads(rest))
            self.runs[run.uid] = run
        elif kind == "I":
            uid, token, facts = rest.split(" ", 2)
            self.runs[uid] = Run(uid=uid, token=int(token), **json.loads(facts))
        elif kind == "M":
            self._take_word(*rest.split(" ", 3))
        else:
            self._take_step(kind, rest.split(" "))

    def _take_word(self, uid: str, token: str, _ns: str, said: str) -> None:
        run = self.runs.get(uid)
        if run is not None and run.token == int(token):
            run.ready |= bool(json.loads(said).get("ready"))

    def _take_step(self, kind: str, f: list[str]) -> None:
        run = self.runs.get(f[0])
        if run is None or run.token != int(f[1]):
            if kind == "F":
                self._end(f[0], int(f[1]))
        elif kind in "NFE":
            del self.runs[f[0]]
            if kind != "N":
                self._end(f[0], int(f[1]))
        else:
            _take_fact(run, kind, f)

    def _end(self, uid: str, token: int) -> None:
        self.over[uid] = token
        if len(self.over) > MOST_OVER:
            del self.over[next(iter(self.over))]


def _take_fact(run: Run, kind: str, f: list[str]) -> None:
    if kind == "S":
        run.pid, run.begun, run.up = int(f[3]), int(f[4]), True
        if run.time_limit_s is not None:
            run.limit_at = float(f[5]) + run.time_limit_s
    elif kind == "J":
        run.pid, run.begun = int(f[2]), int(f[3])
    elif kind == "T":
        run.stopped |= f[2] == "stop"
        run.timed_out |= f[2] == "limit"
        run.kill_at = float(f[3])
    elif kind == "L":
        run.output_bytes, run.open_files = int(f[2]), int(f[3])
        run.cpu = None if f[4] == "-" else int(f[4])
    elif kind == "D":
        run.limit_at = float(f[2])
    elif kind == "X":
        run.status, run.cpu_s, run.peak_bytes = int(f[2]), float(f[3]), int(f[4])


def load(folder: str) -> Known:
    """What the newest file knows. Lines that are torn or damaged are passed over."""
    known = Known()
    bases = files(folder)
    if bases:
        with open(path(folder, bases[-1]), errors="replace", newline="\n") as lines:
            for line in lines:
                if line.endswith("\n"):
                    try:
                        known.take(line[:-1])
                    except (ValueError, LookupError, TypeError):
                        continue
    return known


class Log:
    """The writer's side. `grown` says whether there is news for the watchers."""

    def __init__(self, folder: str, *, rotate_bytes: int) -> None:
        os.makedirs(f"{folder}/log", mode=0o700, exist_ok=True)
        self.folder = folder
        self.rotate_bytes = rotate_bytes
        self.fd = -1
        self.size = 0
        self.bases: list[int] = []
        self.read_up_to = 0
        self.grown = False

    def begin(self, carried: list[Run]) -> None:
        """Go on in a new file. It appears whole or not at all."""
        bases = files(self.folder)
        if bases:
            base = bases[-1] + os.path.getsize(path(self.folder, bases[-1]))
        else:  # above every offset of a log that was deleted under its reader
            base = time.time_ns() // 1000
        boot = boot_id()
        head = f"H {boot} {os.getpid()} {time.time_ns()}\n" + "".join(
            f"K {json.dumps(run.facts())}\n" for run in carried
        )
        fresh = f"{self.folder}/log/fresh"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(fd, head.encode())
        os.close(fd)
        os.rename(fresh, path(self.folder, base))
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = os.open(path(self.folder, base), os.O_WRONLY | os.O_APPEND)
        self.size = len(head.encode())
        self.bases = [*bases, base]
        self.grown = True

    def note(self, line: str) -> None:
        """At once: it must outlive us. No fsync: a power loss ends the programs too."""
        data = line.encode(errors="replace") + b"\n"
        if crash_points.said and crash_points.is_wanted("mid_log"):
            os.write(self.fd, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        self.size += os.write(self.fd, data)
        self.grown = True

    def is_full(self) -> bool:
        return self.size > self.rotate_bytes

    def acknowledge(self, offset: int) -> None:
        """The reader's database holds everything before `offset`."""
        if offset <= self.read_up_to:
            return
        self.read_up_to = offset
        while len(self.bases) > 1 and self.bases[1] <= offset:
            os.unlink(path(self.folder, self.bases.pop(0)))


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as text:
        return text.read().strip()
