"""The `subprocess` executor: plain programs, each held by the node's holder.

This side only asks over the holder's socket and reads its log; it may be killed at any
moment. See holder.py for the side that lives on.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from agents.executors import guard, holder_log, reclaim
from agents.executors.base import (
    BadSpec,
    Capabilities,
    Ended,
    Happening,
    LaunchSpec,
    Limits,
    NotStarted,
    Reclaimed,
    Said,
    Started,
    Unavailable,
    Usage,
    WatchdogMissed,
)

UP_WITHIN_S = 10.0  # a holder is up in 0.05 s; a busy machine may take longer
FROZEN_WITHIN_S = 10.0  # a process may be deep in the kernel, waiting for a disk
ANSWER_WITHIN_S = 30.0  # a batch of a thousand starts takes about one
UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
MAIN = Path(__file__).with_name("__main__.py")


class ProcessExecutor:
    """Programs of one node. `folder` is the holder's own; runs live elsewhere.

    Any thread may call any method, but only one waits and reads.
    """

    name: ClassVar[str] = "subprocess"
    environments: ClassVar[tuple[str, ...]] = ("subprocess", "sandbox")

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = Path(folder).absolute()
        self.durable = durable  # attempt files reach the disk before a program starts
        self._idle: list[socket.socket] = []  # one thread's answer is not another's
        self._watch: socket.socket | None = None
        self._read_up_to = 0

    # -- the executor -----------------------------------------------------------------

    def ensure(self) -> None:
        self._revive()
        if self.about()["version"] != holder_log.VERSION:
            self.renew()

    def capabilities(self) -> Mapping[str, Capabilities]:
        can: dict[str, dict[str, Any]] = self.about()["can"]
        return {name: Capabilities(**said) for name, said in can.items()}

    def absent(self) -> Mapping[str, str]:
        found: dict[str, str] = self.about()["absent"]
        return found

    def start(self, specs: Sequence[LaunchSpec]) -> None:
        asked = [_spec(spec) for spec in specs]
        answer = self._ask({"start": asked, "durable": self.durable})
        if "error" in answer:
            raise Unavailable(answer["error"])

    def stop(self, uid: str, *, grace_s: float) -> None:
        self._ask({"stop": uid, "grace_s": grace_s})

    def signal(self, uid: str, number: int) -> None:
        self._ask({"signal": uid, "number": int(number)})

    def freeze(self, uid: str) -> None:
        """Raises BadSpec where nothing can be frozen."""
        until = time.monotonic() + FROZEN_WITHIN_S
        while not self._ask_refusable({"freeze": uid})["done"]:
            if time.monotonic() > until:
                raise Unavailable(f"{uid} did not come to rest")
            time.sleep(0.001)

    def reclaim(self, uid: str) -> Reclaimed | None:
        group = self._ask_refusable({"memory_group": uid})["path"]
        return None if group is None else reclaim.reclaim(group)

    def thaw(self, uid: str) -> None:
        self._ask({"thaw": uid})

    def relimit(self, uid: str, limits: Limits) -> None:
        self._ask_refusable({"relimit": uid, "limits": _limits(limits)})

    def retime(self, uid: str, *, at: float) -> None:
        self._ask({"retime": uid, "at": at})

    def usage(self, uid: str) -> Usage | None:
        found = self._ask({"usage": uid})["usage"]
        return None if found is None else Usage(**found)

    def alive(self) -> dict[str, int]:
        alive: dict[str, int] = self._ask({"list": True})["alive"]
        return alive

    def read(self, offset: int, *, most_bytes: int) -> tuple[list[Happening], int]:
        self._read_up_to = max(self._read_up_to, offset)
        lines, offset = holder_log.read(str(self.folder), offset, most_bytes)
        found = [happening(line) for line in lines]
        return [one for one in found if one is not None], offset

    def wait(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        watch = self._watching(until)
        if watch is None:
            return
        select.select([watch], [], [], max(0.0, until - time.monotonic()))
        try:
            heard = watch.recv(1 << 16)
            if heard:
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        watch.close()  # the holder is gone; its successor's log may have news
        self._watch = None

    # -- beyond the protocol ----------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """The holder's and the guard's pid, what they can do, and why an environment
        is absent."""
        return self._ask({"about": True})

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """For the executors beside this one. Raises Unavailable."""
        return self._ask(request)

    def renew(self) -> None:
        """Let the holder go on with the code now on disk, its programs alive."""
        with contextlib.suppress(Unavailable):
            self._ask_once({"renew": True})
        self._revive()

    def shut_down(self) -> bool:
        """End holder and guard if nothing runs. Returns whether they end."""
        return bool(self._ask({"end": True})["ok"])

    def close(self) -> None:
        """Let go of the connections. Nothing that runs is touched."""
        while self._idle:
            self._idle.pop().close()
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    # -- the socket -------------------------------------------------------------------

    def _revive(self) -> None:
        """Start guard and holder if both are gone, and wait until one answers."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _lock(self.folder / "lock") as fd:
            if fd is not None:
                self._start_guard(fd)
        until = time.monotonic() + UP_WITHIN_S
        while True:
            try:
                return self._connect().close()
            except Unavailable:
                if time.monotonic() > until:
                    raise
            time.sleep(0.005)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(ANSWER_WITHIN_S)
        try:
            place = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
            try:  # a path of any length, though addresses are short
                connection.connect(f"/proc/self/fd/{place}/holder.sock")
            finally:
                os.close(place)
        except OSError as error:
            connection.close()
            raise Unavailable(f"no holder in {self.folder}: {error}") from None
        return connection

    def _connect_or_revive(self) -> socket.socket:
        try:
            return self._connect()
        except Unavailable:
            self._revive()
            return self._connect()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request, one answer; again when the holder dies over it, since all but a
        signal may be asked twice. Raises Unavailable, having perhaps been heard."""
        until = time.monotonic() + UP_WITHIN_S
        while True:
            try:
                return self._ask_once(request)
            except Unavailable as trouble:
                died = isinstance(trouble.__cause__, ConnectionError)
                if "signal" in request or not died or time.monotonic() > until:
                    raise
            time.sleep(0.005)

    def _ask_refusable(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = self._ask(request)
        if "refused" in answer:
            raise BadSpec(answer["refused"])
        return answer

    def _ask_once(self, request: dict[str, Any]) -> dict[str, Any]:
        connection = self._connection()
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            data = b""
            while not data.endswith(b"\n"):
                part = connection.recv(1 << 20)
                if not part:
                    raise ConnectionResetError("it ended")
                data += part
        except OSError as error:
            connection.close()
            raise Unavailable(f"the holder did not answer: {error}") from error
        self._idle.append(connection)
        answer: dict[str, Any] = json.loads(data)
        return answer

    def _connection(self) -> socket.socket:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect_or_revive()
            if not _is_stale(connection):
                return connection
            connection.close()

    def _watching(self, until: float) -> socket.socket | None:
        """The socket that is written to when the log grows; None when time is up."""
        while self._watch is None:
            try:
                self._watch = self._watcher()
            except (Unavailable, OSError):
                left_s = until - time.monotonic()
                if left_s <= 0:
                    return None
                time.sleep(min(0.01, left_s))
        with contextlib.suppress(OSError):
            self._watch.send(b'{"ack": %d}\n' % self._read_up_to)
        return self._watch

    def _watcher(self) -> socket.socket:
        watch = self._connect_or_revive()
        try:
            watch.sendall(b'{"watch": true}\n')
        except OSError:
            watch.close()
            raise
        watch.setblocking(False)
        return watch

    def _start_guard(self, lock_fd: int) -> None:
        command = [sys.executable, "-S", "-E", "-X", "utf8", str(MAIN), "start"]
        with (self.folder / "guard.log").open("ab") as said:
            subprocess.run(
                [*command, str(self.folder), str(lock_fd)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=guard.environment(),
                pass_fds=[lock_fd],
                check=True,
            )


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[int | None]:
    """The lock that guard and holder keep while they live; None: they do."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield fd
    except BlockingIOError:
        yield None
    finally:
        os.close(fd)


def _is_stale(connection: socket.socket) -> bool:
    """Something to read before we asked can only be the end."""
    return bool(select.select([connection], [], [], 0)[0])


def _spec(spec: LaunchSpec) -> dict[str, Any]:
    """As it goes over the wire. Raises BadSpec for what is no spec at all."""
    if not UID.fullmatch(spec.uid):
        raise BadSpec(f"not a uid: {spec.uid!r}")
    if not spec.folder.is_absolute():
        raise BadSpec(f"not an absolute folder: {spec.folder}")
    if spec.environment not in ProcessExecutor.environments:
        raise BadSpec(f"not an environment of the holder: {spec.environment}")
    container = spec.container
    elsewhere = {"work": str(spec.work)} if spec.work else {}
    given = {} if spec.given is None else {"given": asdict(spec.given)}
    return {
        **given,
        **_limits(spec.limits),
        **elsewhere,
        "uid": spec.uid,
        "token": spec.token,
        "argv": list(spec.argv),
        "folder": str(spec.folder),
        "env": dict(spec.env),
        "time_limit_s": spec.time_limit_s,
        "grace_s": spec.grace_s,
        "run_as": spec.run_as,
        "environment": spec.environment,
        "mounts": [[one.source, one.target, one.read_only] for one in spec.mounts],
        "network": container.network if container else "none",
        "image": container.image if container else "",
        "gpus": list(spec.gpus),
        "disk": spec.limits.disk_bytes,
        "watchdog_s": spec.watchdog_s,
        "watchdog_waits": spec.watchdog_waits,
    }


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "cpu": limits.cpu_millis,
        "weight": limits.cpu_weight_millis,
        "memory": limits.memory_bytes,
        "pids": limits.pids,
        "open_files": limits.open_files,
        "output_bytes": limits.output_bytes,
    }


def happening(line: bytes) -> Happening | None:
    """What a line of the log says, or None when it is the holder's own business."""
    kind, _, rest = line.decode(errors="replace").partition(" ")
    try:
        if kind == "S":
            uid, token, at, pid, begun, _, slot = rest.split(" ")
            handle: dict[str, str | int]
            handle = {"pid": int(pid), "begun": int(begun), "cgroup": slot}
            return Started(uid, int(token), int(at), handle)
        if kind == "F":
            uid, token, at, reason = rest.split(" ", 3)
            return NotStarted(uid, int(token), int(at), reason)
        if kind == "E":
            return _ended(rest)
        if kind == "M":
            uid, token, at, said = rest.split(" ", 3)
            return Said(uid, int(token), int(at), **json.loads(said))
        if kind == "W":
            uid, token, at, silent = rest.split(" ")
            seconds = None if silent == "-" else float(silent)
            return WatchdogMissed(uid, int(token), int(at), seconds)
    except (ValueError, TypeError):
        return None  # torn by a power loss, or of a later version
    return None


def _ended(rest: str) -> Ended:
    uid, token, at, status, flags, cpu_s, peak = rest.split(" ")
    code = None if status == "-" else os.waitstatus_to_exitcode(int(status))
    return Ended(
        uid,
        int(token),
        int(at),
        exit_code=code if code is not None and code >= 0 else None,
        signal=-code if code is not None and code < 0 else None,
        oom_killed="o" in flags,
        timed_out="t" in flags,
        stopped="s" in flags,
        lost="l" in flags,
        cpu_seconds=None if cpu_s == "-" else float(cpu_s),
        peak_memory_bytes=None if peak == "-" else int(peak),
    )
