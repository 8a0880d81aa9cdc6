"""Lines of an output by number: how many there are, and any stretch of them.

Counted are the newlines of what is kept, with one line in place of what was cut (see
log_raw). How many stand before each block is remembered in this process, so that a log
of a million lines is counted once and any place in it is found by one read.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from agents.errors import Refused
from monitor import logs
from monitor.log_lines import ENDED, GONE, OPEN, Piece
from monitor.log_raw import Raw

BLOCK_BYTES = 256 * 2**10
CLIPPED_BYTES = 8 * 2**10  # of one line; its download has all of it
MOST_BYTES = 2**30  # of an output whose lines are numbered
MOST_KNOWN = 64  # outputs whose blocks are remembered


@dataclass(slots=True)
class Blocks:
    """Newlines before the end of each whole block of one output."""

    shape: tuple[int, int]  # where it was cut, and how long the line is that says so
    ends: list[int] = field(default_factory=list)


_known: OrderedDict[tuple[str, str], Blocks] = OrderedDict()
_lock = threading.Lock()


def _blocks_of(raw: Raw) -> Blocks:
    """What is remembered of the output; afresh when it was cut since."""
    key = (raw.printed.uid, raw.printed.stream)
    cut = raw.head if raw.mark else -1
    shape = (cut, raw.spans[-1][0])
    with _lock:
        found = _known.get(key)
        if found is None or found.shape != shape:
            found = _known[key] = Blocks(shape)
        _known.move_to_end(key)
        if len(_known) > MOST_KNOWN:
            _known.popitem(last=False)
    return found


def read(raw: Raw, start: int, length: int) -> bytes:
    """All of these bytes, across what was cut."""
    parts = []
    while length > 0 and start < raw.size:
        part = raw.read(start, length)
        if not part:
            break  # cut away meanwhile
        parts.append(part)
        start, length = start + len(part), length - len(part)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Numbered:
    """One line: its number, and what stands there."""

    number: int
    piece: Piece
    is_clipped: bool


class Lines:
    """The lines of one output, while it is open. The first is number 1."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        if raw.size > MOST_BYTES:
            raise Refused(f"lines are numbered in outputs up to {MOST_BYTES} bytes")
        self.ends = self._counted()
        self.rest = read(raw, self._whole, raw.size - self._whole)
        newlines = (self.ends[-1] if self.ends else 0) + self.rest.count(b"\n")
        last = self.rest or read(raw, raw.size - 1, 1)
        self.total = newlines + bool(last and not last.endswith(b"\n"))

    @property
    def _whole(self) -> int:
        return len(self.ends) * BLOCK_BYTES

    def _counted(self) -> list[int]:
        blocks = _blocks_of(self.raw)
        ends = list(blocks.ends)[: self.raw.size // BLOCK_BYTES]
        for number in range(len(ends), self.raw.size // BLOCK_BYTES):
            data = read(self.raw, number * BLOCK_BYTES, BLOCK_BYTES)
            ends.append((ends[-1] if ends else 0) + data.count(b"\n"))
        if len(ends) > len(blocks.ends):
            blocks.ends = ends
        return ends

    def _block(self, number: int) -> bytes:
        if number >= len(self.ends):
            return self.rest
        return read(self.raw, number * BLOCK_BYTES, BLOCK_BYTES)

    def start_of(self, number: int) -> int:
        """Where a line begins in the raw text, which has that many lines."""
        wanted = number - 1  # newlines before it
        if wanted <= 0:
            return 0
        block = bisect_right(self.ends, wanted - 1)
        data = self._block(block)
        left = wanted - (self.ends[block - 1] if block else 0)
        at = -1
        for _ in range(left):
            at = data.find(b"\n", at + 1)
        return block * BLOCK_BYTES + at + 1

    def number_of(self, seq: int) -> int:
        """The line that holds the byte at this offset of the stream."""
        at = min(self._raw_place(seq), max(self.raw.size - 1, 0))
        block, within = divmod(at, BLOCK_BYTES)
        before = self.ends[block - 1] if block else 0
        return before + self._block(block).count(b"\n", 0, within) + 1

    def _raw_place(self, seq: int) -> int:
        low, behind = self.raw.head, self.raw.spans[-1][0]
        if seq < low or not self.raw.mark:
            return seq
        if seq < behind:
            return low + 1  # inside the line that tells of the cut
        return seq - behind + low + len(self.raw.mark)

    def _seq(self, at: int) -> int:
        behind = at - self.raw.head - len(self.raw.mark)
        if not self.raw.mark or at < self.raw.head:
            return at
        return max(self.raw.spans[-1][0] + behind, self.raw.head)

    def page(self, first: int, most: int) -> list[Numbered]:
        """Up to `most` lines from number `first` on."""
        number, at = max(first, 1), self.start_of(max(first, 1))
        found: list[Numbered] = []
        while number <= self.total and len(found) < most:
            data = read(self.raw, at, BLOCK_BYTES)
            start = 0
            while len(found) < most and (end := data.find(b"\n", start)) >= 0:
                found.append(self._line(number, at + start, data[start:end], ENDED))
                number, start = number + 1, end + 1
            if not data:
                break
            if start == 0:  # longer than a block, or the last one without its end
                after = self._end_of(at)
                how = OPEN if after >= self.raw.size else ENDED
                found.append(self._line(number, at, data, how, after))
                number, start = number + 1, after - at
            at += start
        return found

    def _end_of(self, at: int) -> int:
        """Behind the next newline, or the end of all."""
        while at < self.raw.size:
            data = read(self.raw, at, BLOCK_BYTES)
            newline = data.find(b"\n")
            if newline >= 0:
                return at + newline + 1
            if not data:
                break
            at += len(data)
        return self.raw.size

    def _line(
        self, number: int, at: int, data: bytes, how: str, after: int | None = None
    ) -> Numbered:
        end = at + len(data) + 1 if after is None else after
        shown = data[:CLIPPED_BYTES]
        if self.raw.mark and at == self.raw.head + 1:
            low, high = self.raw.head, self.raw.spans[-1][0]
            return Numbered(number, Piece(low, high, b"", GONE), is_clipped=False)
        piece = Piece(self._seq(at), self._seq(end), shown, how)
        return Numbered(number, piece, is_clipped=len(shown) < end - at - 1)


def number(uid: str, items: list[dict[str, Any]]) -> None:
    """Put its line number to each item of a page of lines."""
    for stream in {item["stream"] for item in items}:
        with logs.opened(uid, stream) as printed:
            lines = Lines(Raw(printed))
            for item in items:
                if item["stream"] == stream:
                    item["line"] = lines.number_of(item["seq"])
