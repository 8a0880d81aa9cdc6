"""The server's processes as `up` sees them: start, restart with back-off, end.

Each child writes its own identity (boot, pid, start time) to VAR/up/<name> between
fork and exec, so a killed `up` leaves no child that the next one cannot find; and as
a pid alone may belong to a stranger by then, nothing is ever signalled by pid alone.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = float(os.environ.get("KOS_LONGEST_RESTART_DELAY", "30"))
HEALTHY_AFTER_S = 20.0  # lived this long: its earlier failures no longer count
END_GRACE_S = 10.0


def restart_delay_s(failures: int) -> float:
    """How long to wait before the next start after so many failures in a row."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures, 30))


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    pass_fds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    boot_id: str
    pid: int
    start_ticks: int  # since boot; with the pid it names one process for good


def start_ticks(pid: int | str) -> int:
    """Raises OSError when there is no such process."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[19])  # a name may hold ") "


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def write_identity(path: Path) -> None:
    """Runs in the child before exec, which keeps pid and start time."""
    mine = {"boot_id": boot_id(), "pid": os.getpid(), "start": start_ticks("self")}
    fresh = path.with_name(f".{path.name}")
    fresh.write_text(json.dumps(mine))
    fresh.replace(path)


def read_identity(path: Path) -> Identity | None:
    """None when the file is missing, half-written or not ours."""
    try:
        raw = json.loads(path.read_text())
        return Identity(str(raw["boot_id"]), int(raw["pid"]), int(raw["start"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def open_process(identity: Identity) -> int | None:
    """A pidfd of exactly that process, or None when it is no more."""
    if identity.boot_id != boot_id():
        return None
    try:
        pidfd = os.pidfd_open(identity.pid)
    except OSError:
        return None
    with suppress(OSError):
        if start_ticks(identity.pid) == identity.start_ticks:
            return pidfd
    os.close(pidfd)
    return None


def end_leftovers(folder: Path, *, grace_s: float = END_GRACE_S) -> list[str]:
    """End what a killed `up` left, the store last. Afterwards none of it runs.

    Agents are not among them: they are held by a process of their own and stay.
    """
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    store = [path for path in files if path.name == "valkey"]
    ended = []
    for group in ([path for path in files if path not in store], store):
        ended += end_group(group, grace_s)
    return sorted(ended)


def end_group(files: Iterable[Path], grace_s: float) -> list[str]:
    alive: dict[int, str] = {}  # pidfd -> name
    for path in files:
        identity = read_identity(path)
        if identity and (pidfd := open_process(identity)) is not None:
            alive[pidfd] = path.name
    names = list(alive.values())
    for signum, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, grace_s)):
        for pidfd in alive:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signum)
        wait_for_end(alive, wait_s)
    for path in files:
        path.unlink(missing_ok=True)
    return names


def wait_for_end(alive: dict[int, str], wait_s: float) -> None:
    """Takes out of `alive` what ended within the time."""
    deadline = time.monotonic() + wait_s
    while alive and (left_s := deadline - time.monotonic()) > 0:
        for pidfd in select.select(list(alive), [], [], left_s)[0]:
            del alive[pidfd]
            os.close(pidfd)


@dataclass(slots=True)
class Child:
    """One supervised process. Times are of the monotonic clock."""

    program: Program
    log: Path
    record: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    started_s: float = field(default=0.0, init=False)
    restart_s: float | None = field(default=None, init=False)
    failures: int = field(default=0, init=False)
    trouble: str = field(default="", init=False)  # why it is not running

    def start(self, now_s: float) -> None:
        """Afterwards it runs, or `trouble` says why not and the next start is set."""
        self.process, self.started_s, self.restart_s = None, now_s, None
        try:
            self.process = self.spawn()
        except (OSError, subprocess.SubprocessError) as failed:  # disk full, no pids
            self.plan_restart(now_s, f"cannot start: {failed}")

    def spawn(self) -> subprocess.Popen[bytes]:
        """The child is a session of its own: Ctrl-C reaches it only through us, and
        it writes to its log by itself, so it does not miss us when we die."""
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.program.argv,
                cwd=self.program.folder,
                env=dict(self.program.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self.program.pass_fds,
                preexec_fn=lambda: write_identity(self.record),
            )

    def note_end(self, now_s: float) -> None:
        """If it has ended since the last look, set its next start."""
        if self.process is None or self.restart_s is not None:
            return
        code = self.process.poll()
        if code is None:
            return
        if now_s - self.started_s >= HEALTHY_AFTER_S:
            self.failures = 0
        ended = f"exit {code}" if code >= 0 else signal.Signals(-code).name
        self.plan_restart(now_s, f"ended ({ended})")

    def plan_restart(self, now_s: float, trouble: str) -> None:
        self.trouble = trouble
        self.restart_s = now_s + restart_delay_s(self.failures)
        self.failures += 1

    def take_trouble(self) -> str:
        """What went wrong since the last call; "" for nothing."""
        trouble, self.trouble = self.trouble, ""
        return trouble

    def signal(self, signum: int) -> None:
        """Safe: an unreaped child's pid cannot be given to another."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signum)


def end_children(children: Iterable[Child], *, grace_s: float = END_GRACE_S) -> None:
    """Ask, wait, then insist. Afterwards none of them runs and none is recorded."""
    children = list(children)
    for signum in (signal.SIGTERM, signal.SIGKILL):
        for child in children:
            child.signal(signum)
        deadline = time.monotonic() + grace_s
        for child in children:
            if child.process is not None:
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.0, deadline - time.monotonic()))
    for child in children:
        child.record.unlink(missing_ok=True)
