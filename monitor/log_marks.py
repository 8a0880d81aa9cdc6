"""When the lines of an output were written: marks, taken while it grows.

Programs write straight to files, so nobody sees a line come. The node looks at the size
of each live output about once a second and, if it grew, notes that size with the file's
own time of its last write. A line was written after the mark before it and not after
the mark behind it: that one is its time. Old marks are thinned out, so that a program
that prints for years has no more than MOST_MARKS.
"""

from __future__ import annotations

import os
import stat
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from monitor.log_files import read_small

MARK = struct.Struct("<B7xdQ")  # stream, seconds since the epoch, size of the output
MOST_MARKS = 4096  # of both streams together
NAME = "marks"
STREAMS = ("out", "err")
APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
FRESH = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK


class Marker:
    """Takes the marks of one node's live runs. A look costs two stat calls a run."""

    def __init__(self) -> None:
        self.sizes: dict[str, list[int]] = {}  # uid -> by stream, when last looked at

    def look(self, folders: Iterable[tuple[str, str]]) -> int:
        """Mark what grew since the last look, of (uid, folder); how many did."""
        before, self.sizes = self.sizes, {}
        marked = 0
        for uid, folder in folders:
            known = self.sizes[uid] = before.get(uid) or [0] * len(STREAMS)
            if grown := _grown(folder, known):
                with suppress(OSError):  # its folder is gone, or the agent's own making
                    _append(folder, grown)
                    marked += 1
        return marked


def _grown(folder: str, known: list[int]) -> bytes:
    marks = b""
    for number, stream in enumerate(STREAMS):
        try:
            seen = os.lstat(f"{folder}/{stream}")
        except OSError:
            continue
        if seen.st_size > known[number]:
            marks += MARK.pack(number, seen.st_mtime, seen.st_size)
        known[number] = seen.st_size
    return marks


def _append(folder: str, marks: bytes) -> None:
    fd = os.open(f"{folder}/{NAME}", APPEND | os.O_CLOEXEC, 0o600)
    try:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink > 1:
            return  # the agent put something in its place
        if seen.st_size >= MOST_MARKS * MARK.size:
            marks = thinned(os.pread(fd, 2 * MOST_MARKS * MARK.size, 0)) + marks
            return _replace(folder, marks)
        os.write(fd, marks)
    finally:
        os.close(fd)


def thinned(marks: bytes) -> bytes:
    """The newer half as it is, and of the older half every second of each stream."""
    whole = len(marks) // MARK.size // 2 * MARK.size
    older, seen = b"", [0] * 256
    for at in range(0, whole, MARK.size):
        stream = marks[at]
        seen[stream] += 1
        if seen[stream] % 2 == 0:
            older += marks[at : at + MARK.size]
    return older + marks[whole:]


def _replace(folder: str, marks: bytes) -> None:
    fresh = f"{folder}/{NAME}.new"
    fd = os.open(fresh, FRESH | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, marks)
    finally:
        os.close(fd)
    os.rename(fresh, f"{folder}/{NAME}")


class Times:
    """From a place in one stream to the time it was written at, and back."""

    def __init__(
        self, marks: bytes, stream: str, *, begun: float, ended: float, last: float
    ) -> None:
        """`last`: when the newest byte was written. What a run printed, it printed
        between `begun` and `ended`."""
        self.begun, self.ended = begun, max(begun, ended)
        self.sizes, self.at = array("Q"), array("d")
        size, time = 0, begun
        number = STREAMS.index(stream)
        for told, at, upto in MARK.iter_unpack(marks[: len(marks) // 24 * 24]):
            if told == number and upto > size and at == at:
                size, time = upto, min(max(at, time), self.ended)
                self.sizes.append(size)
                self.at.append(time)
        self.last = min(max(last, time), self.ended)

    def written(self, end: int) -> float:
        """Not after this was the byte before `end` written."""
        place = bisect_left(self.sizes, end)
        return self.at[place] if place < len(self.at) else self.last

    def not_before(self, end: int) -> float:
        """Not before this was the byte before `end` written."""
        place = bisect_left(self.sizes, end)
        return self.at[place - 1] if place else self.begun

    def first_since(self, instant: float) -> int:
        """An offset before which everything was written earlier."""
        place = bisect_left(self.at, instant)
        return self.sizes[place - 1] if place else 0

    def last_until(self, instant: float, size: int) -> int:
        """An offset from which on everything was written later."""
        place = bisect_right(self.at, instant)
        return self.sizes[place] if place < len(self.sizes) else size


def read(folder: Path) -> bytes:
    """The marks of a run; none where there is no such file."""
    return read_small(folder, NAME, 2 * MOST_MARKS * MARK.size)
