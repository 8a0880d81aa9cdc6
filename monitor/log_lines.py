"""Lines of an output of any size, from any place in it, forward or backward. Pure.

A line is named by the offset of its first byte: that needs no index and never changes.
A line without an end in sight is given in parts, broken where a multiple of PART_BYTES
lies, if the part's block of that size holds no newline: so both directions, and every
place to begin at, see the same parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from monitor.log_files import Cut

PART_BYTES = 64 * 2**10  # a part has less than twice as many
WINDOW_BYTES = 4 * PART_BYTES  # of one read; every one holds a place to break at
ENDED, CONTINUED, OPEN, GONE = "ended", "continued", "open", "gone"


class Kept(Protocol):
    """An output that can be read: monitor.logs.Printed."""

    size: int
    cut: Cut | None

    @property
    def spans(self) -> list[tuple[int, int]]: ...

    def read(self, start: int, length: int) -> bytes: ...


class Piece(NamedTuple):
    """A line or a part of one, or (GONE) the place of what was cut away."""

    start: int
    end: int  # where the next begins
    data: bytes  # without the newline
    how: str


class Block(NamedTuple):
    """Some pieces that follow each other, not yet told apart."""

    start: int
    data: bytes
    rest: str  # how its last piece is, when no newline ends it
    end: int

    def pieces(self) -> Iterator[Piece]:
        if self.rest == GONE:
            return iter([Piece(self.start, self.end, b"", GONE)])
        return pieces(self.data, self.start, self.rest)


def pieces(data: bytes, base: int, rest: str) -> Iterator[Piece]:
    """The pieces of `data`, which begins with one at offset `base`. What no newline
    ends is the last of them, unless `rest` is ""."""
    at, size = 0, len(data)
    while at < size:
        newline = data.find(b"\n", at)
        if 0 <= newline < at + PART_BYTES:
            yield Piece(base + at, base + newline + 1, data[at:newline], ENDED)
            at = newline + 1
            continue
        bound = _next_bound(base + at) - base
        if bound < size and not 0 <= newline < bound:
            end = bound - begun_character(data[max(bound - 3, 0) : bound])
            yield Piece(base + at, base + end, data[at:end], CONTINUED)
            at = end
        elif newline >= 0:
            yield Piece(base + at, base + newline + 1, data[at:newline], ENDED)
            at = newline + 1
        else:
            if rest:
                yield Piece(base + at, base + size, data[at:], rest)
            return


def forward(kept: Kept, at: int) -> Iterator[Block]:
    """Blocks from a piece's start to the end, with what was cut where it was."""
    while True:
        spans = kept.spans
        low, high = next(((a, b) for a, b in spans if at < b), (at, at))
        if at < low:
            yield Block(at, b"", GONE, low)
            at = low
        if at >= high:
            return
        data = kept.read(at, min(WINDOW_BYTES, high - at))
        if not data and kept.spans == spans:  # it was made shorter meanwhile
            return
        if data:  # else it was cut away meanwhile
            block = _until_bound(data, at, high, kept.size)
            yield block
            at = block.end


def backward(kept: Kept, before: int) -> Iterator[Block]:
    """The same blocks' pieces, last block first. `before` is a piece's start or the
    output's end."""
    for number, (low, high) in reversed(list(enumerate(kept.spans))):
        end = min(before, high)
        while end > low:
            start = max(low, end - WINDOW_BYTES)
            data = kept.read(start, end - start)
            if len(data) < end - start:
                return
            first = 0 if start == low else _first_bound(data, start)
            rest = _rest(end, kept.size)
            yield Block(start + first, data[first:], rest, end)
            end = start + first
        if number and before > _cut_from(kept):
            yield Block(_cut_from(kept), b"", GONE, low)


def start_of_piece(kept: Kept, offset: int) -> int:
    """Where the piece that holds this byte begins."""
    offset = min(max(offset, 0), kept.size)
    for low, high in kept.spans:
        if offset <= low:
            return offset if not low else _cut_from(kept) if offset < low else low
        if offset < high or high == kept.size:
            return _start_within(kept, low, high, offset)
        if offset == high:
            return high
    return offset


def _start_within(kept: Kept, low: int, high: int, offset: int) -> int:
    start = max(low, offset - WINDOW_BYTES)
    data = kept.read(start, offset - start)
    if (newline := data.rfind(b"\n")) >= 0 or start == low:
        at = start + newline + 1
    else:
        at = _last_bound(data, start)
    while (bound := _next_bound(at)) <= offset + 3 and bound < high:
        data += kept.read(start + len(data), bound - start - len(data))
        line = data[at - start : bound - start]
        end = bound - begun_character(line[-3:])
        if b"\n" in line or end > offset:
            break
        at = end
    return at


def _until_bound(data: bytes, at: int, high: int, size: int) -> Block:
    if at + len(data) >= high:
        return Block(at, data, _rest(high, size), high)
    end = data.rfind(b"\n") + 1
    if not end:
        end = [piece.end for piece in pieces(data, at, "")][-1] - at
    return Block(at, data[:end], CONTINUED, at + end)


def _rest(end: int, size: int) -> str:
    """What has no newline at the very end is open; elsewhere it was broken or cut."""
    return OPEN if end == size else CONTINUED


def _first_bound(data: bytes, start: int) -> int:
    """Where in the data, which ends with a piece, the first whole piece begins."""
    newline = data.find(b"\n", 0, len(data) - 1)
    return newline + 1 if newline >= 0 else _last_bound(data, start) - start


def _last_bound(data: bytes, start: int) -> int:
    """The last place to break at within a window that holds no newline."""
    bound = (start + len(data) - 1) // PART_BYTES * PART_BYTES
    last = data[bound - 3 - start : bound - start]
    return bound - begun_character(last)


def _next_bound(at: int) -> int:
    """Where a line that begins at `at` is broken, if it goes on that far."""
    return -(-at // PART_BYTES) * PART_BYTES + PART_BYTES


def begun_character(data: bytes) -> int:
    """How many last bytes begin a character that is not all there."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue  # a continuation: look further back for its first byte
        needs = 2 if 0xC2 <= byte <= 0xDF else 3 if byte & 0xF0 == 0xE0 else 4
        return back if 0xC2 <= byte <= 0xF4 and needs > back else 0
    return 0


def _cut_from(kept: Kept) -> int:
    return kept.spans[0][1]
