"""A page of log lines: the tail, what follows or precedes a place, what matches.

A cursor is a place in each stream, "out-err": all before it has been told. Both streams
are merged by time; within one stream the order is that of the bytes, so that paging
neither loses nor repeats a line, whatever times the lines claim. The work of one page
is bounded: a search that is not done says how far it came.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from monitor.log_items import ANSI_BYTES, Item, plain, rank
from monitor.log_lines import (
    GONE,
    Block,
    Kept,
    Piece,
    backward,
    forward,
    start_of_piece,
)
from monitor.log_marks import Times

CURSOR = re.compile(r"(\d{1,18})-(\d{1,18})", re.ASCII)
SCAN_BYTES = 8 * 2**20  # looked at for one page
SCAN_S = 0.2
PAGE_BYTES = 2**20  # of text in one page
LOOK_EVERY = 256  # pieces between two looks at the clock
BUFFERED_S = 60.0  # a line that claims an earlier time may be written this much later

Offsets = dict[str, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are looked for."""

    text: str = ""
    level: str | None = None  # this one, or worse
    since: float | None = None
    until: float | None = None

    @property
    def everything(self) -> bool:
        return self == Wanted()

    def in_block(self, data: bytes) -> bool:
        """False when no line in it can match: most of a search ends here."""
        return not self.text or not self.text.isascii() or self._has(data)

    def has_text(self, piece: Piece) -> bool:
        if not self.text:
            return True
        if self.text.isascii():
            return self._has(piece.data)
        text = piece.data.decode("utf-8", errors="replace")
        return self.text.lower() in plain(text).lower()

    def _has(self, data: bytes) -> bool:
        if b"\x1b" in data:
            data = ANSI_BYTES.sub(b"", data)
        return self.text.lower().encode() in data.lower()

    def takes(self, item: Item) -> bool:
        if item.piece.how == GONE:
            return self.everything
        return (
            (self.level is None or rank(item.level) >= rank(self.level))
            and (self.since is None or item.at >= self.since)
            and (self.until is None or item.at <= self.until)
        )


class Budget:
    """How much may be looked at: for one page, or for all there is."""

    def __init__(
        self,
        most_bytes: float | None = None,
        most_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.most_bytes = SCAN_BYTES if most_bytes is None else most_bytes
        self.until = clock() + (SCAN_S if most_s is None else most_s)
        self.scanned = 0

    @property
    def is_spent(self) -> bool:
        return self.scanned >= self.most_bytes or self.clock() > self.until


class Walk:
    """The wanted lines of one stream, one at a time, in one direction.

    `edge` is how far it has come: everything up to there was told or not wanted.
    """

    def __init__(
        self, stream: str, kept: Kept, times: Times, wanted: Wanted, budget: Budget
    ) -> None:
        self.stream, self.kept, self.times = stream, kept, times
        self.wanted, self.budget = wanted, budget
        self.low = self.edge = 0
        self.high = kept.size
        self.done = False
        self.head: Item | None = None
        self.items: Iterator[Item] = iter(())

    def ahead(self, start: int, stop: int) -> Walk:
        self.edge, self.high = self._snapped(start), stop
        self.items = self._items(forward(self.kept, self.edge), ahead=True)
        return self

    def back(self, start: int, stop: int) -> Walk:
        self.low = start_of_piece(self.kept, stop)
        self.edge = self._snapped(start)
        self.items = self._items(backward(self.kept, self.edge), ahead=False)
        return self

    def _snapped(self, offset: int) -> int:
        """A piece's start. The very end stays: a line that was told unfinished comes
        again when it has grown, not before."""
        size = self.kept.size
        return size if offset >= size else start_of_piece(self.kept, offset)

    def peek(self) -> Item | None:
        """The next line; None when there is no more, or the budget is spent."""
        if self.head is None and not self.done:
            self.head = next(self.items, None)
        return self.head

    def take(self) -> Item:
        item, self.head = self.head, None
        assert item is not None, "peek found one"
        self.edge = item.piece.end if self._is_ahead else item.piece.start
        return item

    def _items(self, blocks: Iterator[Block], *, ahead: bool) -> Iterator[Item]:
        self._is_ahead = ahead
        for block in blocks:
            if self._is_beyond(block):
                break
            for piece in self._matches(block):
                if self._is_beyond(piece):
                    self.done = True
                    return
                item = Item(piece, self.stream, self.times)
                if self.wanted.takes(item):
                    yield item
                self.edge = piece.end if ahead else piece.start
                if self._stops:
                    return
            if self._stops:
                return
            self.edge = block.end if ahead else block.start
            self.budget.scanned += len(block.data)
            if self.budget.is_spent:
                return
        self.done = True

    def _is_beyond(self, what: Block | Piece) -> bool:
        if self._is_ahead:
            return what.start >= self.high
        return what.end <= self.low

    def _matches(self, block: Block) -> Iterator[Piece]:
        self._stops = False
        if not self.wanted.in_block(block.data):
            return
        found = block.pieces()
        for number, piece in enumerate(
            found if self._is_ahead else reversed(list(found)), 1
        ):
            self._stops = number % LOOK_EVERY == 0 and self.budget.is_spent
            if self.wanted.has_text(piece):
                yield piece
            elif self._stops:
                self.edge = piece.end if self._is_ahead else piece.start
                return


@dataclass(slots=True)
class Page:
    items: list[Item]
    next: Offsets
    previous: Offsets
    more: bool  # before `previous` or behind `next`, whichever way it went
    scanned: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a page is taken from: by stream, where to begin and where to stop."""

    start: Mapping[str, int]
    stop: Mapping[str, int]
    is_ahead: bool


def page(walks: Sequence[Walk], stretch: Stretch, *, most: int) -> Page:
    """Up to `most` lines, in the order of time. Those of the other direction come
    from the end of the stretch, and are told in the order of time as well."""
    for walk in walks:
        begin = walk.ahead if stretch.is_ahead else walk.back
        begin(stretch.start[walk.stream], stretch.stop[walk.stream])
    origin = {walk.stream: walk.edge for walk in walks}
    items = _merged(walks, most, stretch.is_ahead)
    reached = {walk.stream: walk.edge for walk in walks}
    more = not all(walk.done and walk.head is None for walk in walks)
    scanned = walks[0].budget.scanned
    if stretch.is_ahead:
        return Page(items, reached, origin, more, scanned)
    return Page(items[::-1], origin, reached, more, scanned)


def _merged(walks: Sequence[Walk], most: int, is_ahead: bool) -> list[Item]:
    items: list[Item] = []
    size = 0
    for item in merged(walks, is_ahead=is_ahead):
        items.append(item)
        size += len(item.piece.data)
        if len(items) >= most or size >= PAGE_BYTES:
            break
    for walk in walks:
        walk.peek()  # whether there is more
    return items


def merged(walks: Sequence[Walk], *, is_ahead: bool = True) -> Iterator[Item]:
    """Their lines by time, until there are no more or the budget is spent."""
    while True:
        heads = [walk for walk in walks if walk.peek() is not None]
        if not heads or any(walk.head is None and not walk.done for walk in walks):
            return
        # at one time: what was printed to `out` comes before what went to `err`
        walk = min(heads, key=_key) if is_ahead else max(reversed(heads), key=_key)
        yield walk.take()


def _key(walk: Walk) -> float:
    assert walk.head is not None
    return walk.head.key


def read_cursor(text: str) -> Offsets | None:
    """The places a cursor names, or None when it is none of ours."""
    match = CURSOR.fullmatch(text)
    return {"out": int(match[1]), "err": int(match[2])} if match else None


def written_cursor(offsets: Mapping[str, int]) -> str:
    return f"{offsets.get('out', 0)}-{offsets.get('err', 0)}"
