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
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

import orjson
from django.conf import settings

from agents.errors import NotFound
from monitor import log_files
from monitor.log_files import Cut, Output
from monitor.log_lines import begun_character

Stream = Literal["out", "err"]
STREAMS: tuple[Stream, ...] = ("out", "err")
UID = re.compile(r"[0-9a-f]{32}", re.ASCII)
MOST_BYTES = 2**20  # of one read, whatever is asked for
HELD_S = 2.0  # how long a program may take over writing one secret
LEAST_BEGUN = 4  # bytes: so much of a secret at the very end is hidden
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


class Redaction(Protocol):
    """Keeps secrets of a run from being shown. It changes no length: offsets stay."""

    def margin_bytes(self, uid: str) -> int:
        """How much around a piece must be seen to judge it; 0: nothing to hide."""

    def hide(self, uid: str, data: bytes) -> bytes:
        """The same number of bytes, with no secret in them."""

    def begun(self, uid: str, data: bytes) -> int:
        """How many bytes at its end may be the first part of a secret."""


redaction: Redaction | None = None


def released(uid: str, output: Output, start: int, end: int, *, hold: bool) -> bytes:
    """Bytes of a run's output on their way out. All that leaves goes through here,
    before it is searched, cut into lines, shown, sent or downloaded.

    What may be the first part of a secret at the end of all is held back with `hold`,
    while the output is fresh; else a part of some length is hidden.
    """
    margin = redaction.margin_bytes(uid) if redaction is not None else 0
    if redaction is None or not margin:
        return output.pread(start, end - start)
    begin = max(start - margin, 0)
    data = output.pread(begin, end + margin - begin)
    shown = redaction.hide(uid, data)
    if begin + len(data) >= output.size and (begun := redaction.begun(uid, data)):
        if hold and time.time() - output.written_at < HELD_S:
            end = max(start, min(end, output.size - begun))
        elif begun >= LEAST_BEGUN:
            shown = shown[:-begun] + b"*" * begun
    return shown[start - begin : end - begin]


@dataclass(frozen=True, slots=True)
class Chunk:
    data: bytes
    start: int  # offset in the file of the first byte of `data`
    size: int  # of the whole file, when it was read
    cut: Cut | None = None

    @property
    def end(self) -> int:
        return self.start + len(self.data)


class Printed:
    """One stream of a run, for as long as it is open: its size does not move."""

    def __init__(self, uid: str, stream: Stream, output: Output) -> None:
        self.uid, self.stream, self.output = uid, stream, output
        self.size, self.cut = output.size, output.cut
        self.written_at = output.written_at

    @property
    def spans(self) -> list[tuple[int, int]]:
        """What is kept: all of it, or the parts before and after the cut."""
        cut = self.cut
        if cut is None or not 0 <= cut.start < min(cut.end, self.size):
            return [(0, self.size)]
        return [(0, cut.start), (min(cut.end, self.size), self.size)]

    def read(self, start: int, length: int, *, hold: bool = False) -> bytes:
        """What is kept from `start` on, up to the next cut; at most MOST_BYTES."""
        data = self._read(start, length, hold)
        if b"\0" in data and self._was_cut():  # while we were at it
            return self._read(start, length, hold)
        return data

    def _read(self, start: int, length: int, hold: bool) -> bytes:
        for low, high in self.spans:
            if low <= start < high:
                end = min(start + min(length, MOST_BYTES), high)
                return released(self.uid, self.output, start, end, hold=hold)
        return b""

    def _was_cut(self) -> bool:
        """Whether more was cut since it was opened. What was is a hole: zeros."""
        before, self.cut = self.cut, log_files.cut_of(folder_of(self.uid), self.stream)
        return self.cut != before


@contextmanager
def opened(uid: str, stream: Stream) -> Iterator[Printed]:
    """A run's output. Raises NotFound for what cannot be a uid."""
    with log_files.opened(folder_of(uid), stream) as output:
        yield Printed(uid, stream, output)


def folder_of(uid: str) -> Path:
    """Where a run's files are. Raises NotFound for what cannot be a uid."""
    if not UID.fullmatch(uid):
        raise NotFound("there is no such run")
    return Path(settings.VAR) / "runs" / uid[:2] / uid


def read(
    uid: str, stream: Stream, start: int, length: int, *, growing: bool = True
) -> Chunk:
    """Up to `length` bytes of a run's output from `start`, in constant memory.

    An offset outside the file gives no bytes; one in the cut goes on behind it; a file
    that is missing, a link, a pipe or a device reads as empty. Raises NotFound for what
    cannot be a uid.
    """
    with opened(uid, stream) as printed:
        start = kept(printed, min(max(start, 0), printed.size))
        data = printed.read(start, max(length, 0), hold=growing)
        return Chunk(data, start, printed.size, printed.cut)


def tail(uid: str, stream: Stream, length: int, *, growing: bool = True) -> Chunk:
    """The last `length` bytes, from the start of a line where there is one."""
    length = min(max(length, 0), MOST_BYTES)
    with opened(uid, stream) as printed:
        low = printed.spans[-1][0]
        start = max(printed.size - length, low)
        data = printed.read(start, length, hold=growing)
        skip = data.find(b"\n") + 1 or _rest_of_character(data) if start > low else 0
        return Chunk(data[skip:], start + skip, printed.size, printed.cut)


def kept(printed: Printed, offset: int) -> int:
    """The offset, or where what is kept goes on when it was cut away."""
    spans = printed.spans
    return spans[-1][0] if spans[0][1] <= offset < spans[-1][0] else offset


def _rest_of_character(data: bytes) -> int:
    """How many first bytes belong to a character that began before."""
    return next((n for n in range(min(3, len(data))) if data[n] & 0xC0 != 0x80), 0)


def decoded(data: bytes, *, more: bool) -> tuple[str, int]:
    """Text and how many bytes it took. Bytes that are not UTF-8 become U+FFFD.

    When `more` may follow, a character cut at the end is left for the next read.
    """
    used = len(data) - (begun_character(data) if more else 0)
    return data[:used].decode("utf-8", errors="replace"), used
