"""Our own log lines, and the one door to what a run printed.

Processes log one JSON object a line to stderr; a line about a run carries its uid as
`run`, whether bound for a stretch of work (`about_run`) or given as
`extra={"run": uid}`. What agents print is never mixed in: it stays in the run's own
folder and is only ever read here, by descriptor, so that no link, pipe or device an
agent puts in its place is followed.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO

import orjson
from django.conf import settings

from agents.errors import NotFound

Stream = Literal["out", "err"]
STREAMS: tuple[Stream, ...] = ("out", "err")
UID = re.compile(r"[0-9a-f]{32}", re.ASCII)
MOST_BYTES = 2**20  # of one read, whatever is asked for
CUT_BYTES = 4096  # a cut file is one small JSON object
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Extras of a log record that are kept: names are API and never change meaning.
EXTRAS = {
    *("action", "agent", "actor", "count", "job", "node", "run", "schedule"),
    *("scheduler", "took_ms", "why"),
}
_run: ContextVar[str] = ContextVar("run", default="")


# --- our own lines -----------------------------------------------------------


def configure(process: str, *, to: TextIO = sys.stderr) -> None:
    """Send every log line of this process to `to` as one JSON object."""
    handler = logging.StreamHandler(to)
    handler.setFormatter(JsonLines(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # each URL, secrets and all


class JsonLines(logging.Formatter):
    """A record as one line. Of its extras only EXTRAS are kept: an object that was
    handed along by mistake, with a secret in it, does not get out this way."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "process": self.process,
            "logger": record.name,
            "event": record.getMessage(),
        }
        if uid := _run.get():
            line["run"] = uid
        line |= {k: v for k, v in record.__dict__.items() if k in EXTRAS}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=repr, option=orjson.OPT_UTC_Z).decode()
        except orjson.JSONEncodeError:  # half a surrogate pair, or a huge number
            return json.dumps(line, default=str, skipkeys=True)


@contextmanager
def about_run(uid: str) -> Iterator[None]:
    """Every line logged inside carries the run's uid."""
    token = _run.set(uid)
    try:
        yield
    finally:
        _run.reset(token)


# --- what runs printed -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut:
    """Output that was not kept: bytes `start` to `end` of what the run printed."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Chunk:
    data: bytes
    start: int  # offset in the file of the first byte of `data`
    size: int  # of the whole file, when it was read
    cut: Cut | None = None

    @property
    def end(self) -> int:
        return self.start + len(self.data)


def folder_of(uid: str) -> Path:
    """Where a run's files are. Raises NotFound for what cannot be a uid."""
    if not UID.fullmatch(uid):
        raise NotFound("there is no such run")
    return Path(settings.VAR) / "runs" / uid[:2] / uid


def read(uid: str, stream: Stream, start: int, length: int) -> Chunk:
    """Up to `length` bytes of a run's output from `start`, in constant memory.

    An offset outside the file gives no bytes; a file that is missing, a link, a pipe
    or a device reads as empty. Raises NotFound for what cannot be a uid.
    """
    folder = folder_of(uid)
    file = _open_regular(folder, stream)
    if file is None:
        return Chunk(b"", 0, 0)
    try:
        size = os.fstat(file).st_size
        start = min(max(start, 0), size)
        length = min(max(length, 0), MOST_BYTES, size - start)
        return Chunk(os.pread(file, length, start), start, size, _cut(folder, stream))
    finally:
        os.close(file)


def tail(uid: str, stream: Stream, length: int) -> Chunk:
    """The last `length` bytes, from the start of a line where there is one."""
    size = read(uid, stream, 0, 0).size
    chunk = read(uid, stream, size - min(max(length, 0), MOST_BYTES), length)
    skip = chunk.data.find(b"\n") + 1 if chunk.start else 0
    return Chunk(chunk.data[skip:], chunk.start + skip, chunk.size, chunk.cut)


def decoded(data: bytes, *, more: bool) -> tuple[str, int]:
    """Text and how many bytes it took. Bytes that are not UTF-8 become U+FFFD.

    When `more` may follow, a character cut at the end is left for the next read.
    """
    used = len(data) - (_cut_character(data) if more else 0)
    return data[:used].decode("utf-8", errors="replace"), used


def _cut_character(data: bytes) -> int:
    """How many last bytes begin a character that is not all there."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue  # a continuation: look further back for its first byte
        needs = 2 if 0xC2 <= byte <= 0xDF else 3 if byte & 0xF0 == 0xE0 else 4
        begins = 0xC2 <= byte <= 0xF4
        return back if begins and needs > back else 0
    return 0


def _open_regular(folder: Path, name: str) -> int | None:
    """A descriptor of folder/name, where that is a plain file."""
    with suppress(OSError):
        parent = os.open(folder, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            file = os.open(name, OPEN, dir_fd=parent)
        finally:
            os.close(parent)
        if stat.S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
    return None


def _cut(folder: Path, stream: Stream) -> Cut | None:
    file = _open_regular(folder, f"{stream}.cut")
    if file is None:
        return None
    try:
        said = json.loads(os.pread(file, CUT_BYTES, 0))
        return Cut(int(said["from"]), int(said["to"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None  # half written, or not ours
    finally:
        os.close(file)
