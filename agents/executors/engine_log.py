"""The log of an executor whose programs an engine holds (Docker, systemd).

One process writes at a time (a file lock says which), any may read. Files are named by
the logical offset of their first byte, as the holder's log does it: an offset keeps its
meaning when files are deleted. Each file opens with the runs that were alive then and
the ended ones remembered: the newest alone is enough to go on from. Lines are JSON,
told apart by "is":

    carried   a run that was alive when the file was begun
    over      {uid: token} of runs remembered as over
    asked     about to start it, with the facts needed to find and end it again
    noted     facts of it that changed
    forgotten the engine never heard of it: as if it had not been asked for
    started, not_started, ended    happenings, as in base.py

Every attempt gets at most one Started and at most one of NotStarted and Ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agents.executors import holder_log
from agents.executors.base import Ended, Happening, NotStarted, Started, Unavailable

ROTATE_BYTES = 4 << 20
MOST_OVER = 5_000  # ended runs remembered; older ones are fenced by attempt files
KINDS: dict[str, type[Happening]] = {
    "started": Started,
    "not_started": NotStarted,
    "ended": Ended,
}
NAMES = {kind: name for name, kind in KINDS.items()}


@dataclass(slots=True)
class LoggedRun:
    """A run that was asked for and is not over, as the log knows it."""

    uid: str
    token: int
    facts: dict[str, Any] = field(default_factory=dict)  # plain JSON
    started: bool = False


class EngineLog:
    """The writer's side. Any thread may call any method; only one waits.

    `runs` and `over` are what the log says now: look at them, change them only by the
    methods. Raises Unavailable when another process writes the log already.
    """

    def __init__(self, folder: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.folder = Path(folder).absolute()
        self.rotate_bytes = rotate_bytes
        self.runs: dict[str, LoggedRun] = {}
        self.over: dict[str, int] = {}  # uid -> highest token that is over
        self.ended: Callable[[str, int], None] = lambda uid, token: None
        self._grown = threading.Condition(threading.RLock())
        self._happened = 1  # a new reader has not seen what is there
        self._waited = 0
        self._torn = False
        (self.folder / "log").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_fd = _lock(self.folder / "log.lock")
        self._fd = -1
        self._load()
        self._begin()

    # -- writing ----------------------------------------------------------------------

    def ask(self, uid: str, token: int, facts: Mapping[str, Any]) -> None:
        """Write the intention to start it. Do this before the engine is told."""
        with self._grown:
            self._append({"is": "asked", "uid": uid, "token": token, "facts": facts})

    def note(self, uid: str, token: int, **facts: Any) -> None:
        """Remember facts of a run that is not over. Silent when it is."""
        with self._grown:
            if self.run(uid, token) is not None:
                self._append(
                    {"is": "noted", "uid": uid, "token": token, "facts": facts}
                )

    def say(self, happening: Happening) -> bool:
        """Write what happened, unless it is written already. Returns whether it was.

        Raises OSError when the disk does not take it; say it again then.
        """
        with self._grown:
            if self._is_told(happening):
                return False
            self._append({"is": NAMES[type(happening)], **_plain(happening)})
            self._happened += 1
            self._grown.notify_all()
            return True

    def forget(self, uid: str, token: int) -> None:
        """It was asked for, but the engine never heard of it: it may be asked again."""
        with self._grown:
            if self.run(uid, token) is not None:
                self._append({"is": "forgotten", "uid": uid, "token": token})

    def run(self, uid: str, token: int) -> LoggedRun | None:
        """The attempt, if it was asked for and is not over."""
        with self._grown:
            found = self.runs.get(uid)
            return found if found is not None and found.token == token else None

    def is_due(self, uid: str, token: int, refuse: Callable[[str], None]) -> bool:
        """Whether an attempt is to be begun. Where it never will be, `refuse` hears the
        reason; silent when this very attempt was dealt with."""
        alive = self.runs.get(uid)
        if alive is not None:
            if alive.token != token:
                refuse(f"its attempt {alive.token} is still alive")
            return False
        seen = self.over.get(uid, -1)
        if seen > token:
            refuse(f"a later attempt ({seen}) was started here")
        return seen < token

    def alive(self) -> dict[str, int]:
        """uid -> token of every run that was asked for and is not over."""
        with self._grown:
            return {run.uid: run.token for run in self.runs.values()}

    def acknowledge(self, offset: int) -> None:
        """The reader's database holds everything before `offset`: old files may go."""
        with self._grown:
            while len(self._bases) > 1 and self._bases[1] <= offset:
                os.unlink(holder_log.path(str(self.folder), self._bases.pop(0)))

    def close(self) -> None:
        """Let another process write. Nothing may be written after it."""
        with self._grown:
            for fd in (self._fd, self._lock_fd):
                if fd >= 0:
                    os.close(fd)
            self._fd = self._lock_fd = -1

    # -- reading ----------------------------------------------------------------------

    def read(self, offset: int, *, most_bytes: int) -> tuple[list[Happening], int]:
        """Happenings after `offset` and the offset behind the last whole one."""
        return read(self.folder, offset, most_bytes=most_bytes)

    def wait(self, timeout_s: float) -> None:
        """Return when something happened since the last call, or after timeout_s."""
        with self._grown:
            self._grown.wait_for(lambda: self._happened > self._waited, timeout_s)
            self._waited = self._happened

    # -- inside -----------------------------------------------------------------------

    def _is_told(self, happening: Happening) -> bool:
        run = self.run(happening.uid, happening.token)
        if run is not None:
            return run.started and isinstance(happening, Started)
        over = self.over.get(happening.uid, -1)
        if isinstance(happening, NotStarted):
            return over == happening.token  # of a lower one: refused as often as asked
        return over >= happening.token

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps(record).encode() + b"\n"
        data = b"\n" + line if self._torn else line
        self._torn = True
        written = os.write(self._fd, data)
        self._size += written
        if written < len(data):
            raise OSError(f"the log in {self.folder} is full")
        self._torn = False
        self._take(record)
        if self._size > self.rotate_bytes:
            self._begin()

    def _take(self, record: Mapping[str, Any]) -> None:
        """What a line means for what we know. Raises LookupError, TypeError."""
        kind = record["is"]
        if kind == "over":
            self.over.update(record["tokens"])
            return
        uid, token = str(record["uid"]), int(record["token"])
        if kind in ("asked", "carried"):
            begun = bool(record.get("started"))
            self.runs[uid] = LoggedRun(uid, token, dict(record["facts"]), begun)
            return
        run = self.run(uid, token)
        if kind in ("not_started", "ended"):
            self._end(uid, token, run)
            self.ended(uid, token)
        elif run is not None and kind == "noted":
            run.facts.update(record["facts"])
        elif run is not None and kind == "forgotten":
            del self.runs[uid]
        elif run is not None:
            run.started = True

    def _end(self, uid: str, token: int, run: LoggedRun | None) -> None:
        if run is not None:
            del self.runs[uid]
        self.over[uid] = max(token, self.over.pop(uid, token))
        if len(self.over) > MOST_OVER:
            del self.over[next(iter(self.over))]

    def _load(self) -> None:
        """What the newest file says. Torn and damaged lines are passed over."""
        bases = holder_log.files(str(self.folder))
        if not bases:
            return
        newest = holder_log.path(str(self.folder), bases[-1])
        with open(newest, errors="replace", newline="\n") as lines:
            for line in lines:
                record = _record(line)
                if record is not None:
                    self._take(record)

    def _begin(self) -> None:
        """Go on in a new file. It appears whole or not at all."""
        folder = str(self.folder)
        bases = holder_log.files(folder)
        if bases:
            base = bases[-1] + os.path.getsize(holder_log.path(folder, bases[-1]))
        else:  # above every offset of a log that was deleted under its reader
            base = time.time_ns() // 1000
        head = self._head()
        fresh = f"{folder}/log/fresh"
        with open(fresh, "wb") as file:
            file.write(head)
        os.rename(fresh, holder_log.path(folder, base))
        if self._fd >= 0:
            os.close(self._fd)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(holder_log.path(folder, base), flags)
        self._size = len(head)
        self._torn = False
        self._bases = [*bases, base]

    def _head(self) -> bytes:
        carried = [{"is": "carried", **asdict(run)} for run in self.runs.values()]
        lines = [{"is": "over", "tokens": self.over}, *carried]
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def read(folder: Path, offset: int, *, most_bytes: int) -> tuple[list[Happening], int]:
    """What the log in `folder` says after `offset`, from any process."""
    lines, offset = holder_log.read(str(folder), offset, most_bytes)
    found = [happening(line) for line in lines]
    return [one for one in found if one is not None], offset


def happening(line: bytes) -> Happening | None:
    """What a line tells the reader; None when it is the executor's own business."""
    record = _record(line.decode(errors="replace"))
    kind = KINDS.get(record.pop("is")) if record is not None else None
    if record is None or kind is None:
        return None
    try:
        return kind(**record)
    except TypeError:
        return None  # of a later version


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None  # torn
    if not isinstance(record, dict) or "is" not in record:
        return None
    if record["is"] != "over" and not {"uid", "token"} <= record.keys():
        return None
    return record


def _plain(happening: Happening) -> dict[str, Any]:
    plain = asdict(happening)
    if isinstance(happening, Started):
        plain["handle"] = dict(happening.handle)
    return plain


def _lock(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Unavailable(
            f"another process of this node writes the log in {path.parent}: "
            "end it first, or give this node a folder of its own"
        ) from None
    return fd
