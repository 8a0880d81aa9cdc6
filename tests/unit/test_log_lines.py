"""Every byte of an output is in exactly one piece, wherever one begins to read."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import log_lines, log_pages
from monitor.log_files import Cut
from monitor.log_lines import (
    CONTINUED,
    ENDED,
    GONE,
    OPEN,
    Piece,
    backward,
    forward,
    start_of_piece,
)
from monitor.log_marks import MARK, Times
from monitor.log_pages import Budget, Stretch, Walk, Wanted


@dataclass
class Memory:
    """An output in memory, as monitor.logs.Printed has one on the disk."""

    data: bytes
    cut: Cut | None = None

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def spans(self) -> list[tuple[int, int]]:
        if self.cut is None:
            return [(0, self.size)]
        return [(0, self.cut.start), (self.cut.end, self.size)]

    def read(self, start: int, length: int) -> bytes:
        for low, high in self.spans:
            if low <= start < high:
                return self.data[start : min(start + length, high)]
        return b""


def ahead(kept: Memory, at: int = 0) -> list[Piece]:
    return [piece for block in forward(kept, at) for piece in block.pieces()]


def back(kept: Memory, before: int) -> list[Piece]:
    found: list[Piece] = []
    for block in backward(kept, before):
        found[:0] = list(block.pieces())
    return found


LINE = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=8).map(str.encode),
    st.integers(10, 90).map(lambda n: b"x" * n),
    st.integers(3, 30).map(lambda n: "€".encode() * n),
    st.integers(3, 30).map(lambda n: "𝄞".encode() * n),
)


@st.composite
def outputs(draw: st.DrawFn) -> Memory:
    data = b"\n".join(draw(st.lists(LINE, max_size=30)))
    data += draw(st.sampled_from([b"", b"\n"]))
    if len(data) < 2 or draw(st.booleans()):
        return Memory(data)
    start = draw(st.integers(0, len(data) - 1))
    return Memory(data, Cut(start, draw(st.integers(start + 1, len(data)))))


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    """Parts of 16 bytes, so that a line of a hundred is a long one."""
    patch = pytest.MonkeyPatch()
    patch.setattr(log_lines, "PART_BYTES", 16)
    patch.setattr(log_lines, "WINDOW_BYTES", 64)
    yield
    patch.undo()


@settings(deadline=None)
@given(kept=outputs())
def test_every_byte_is_in_one_piece_and_both_directions_see_the_same(
    kept: Memory,
) -> None:
    found = ahead(kept)
    at = 0
    for piece in found:
        assert piece.start == at
        at = piece.end
        if piece.how == GONE:
            assert kept.cut == Cut(piece.start, piece.end)
        else:
            newline = b"\n" if piece.how == ENDED else b""
            assert kept.data[piece.start : piece.end] == piece.data + newline
            assert b"\n" not in piece.data
            assert len(piece.data) < 2 * 16
    assert at == kept.size
    assert back(kept, kept.size) == found


@settings(deadline=None)
@given(kept=outputs(), data=st.data())
def test_from_any_byte_one_comes_to_the_same_pieces(kept: Memory, data) -> None:
    found = ahead(kept)
    starts = [piece.start for piece in found]
    offset = data.draw(st.integers(0, kept.size))
    start = start_of_piece(kept, offset)
    assert start in {*starts, kept.size}
    holder = [p.start for p in found if p.start <= offset < p.end]
    if holder:
        assert [start] == holder
    assert ahead(kept, start) == [p for p in found if p.start >= start]
    assert back(kept, start) == [p for p in found if p.start < start]


@settings(deadline=None)
@given(kept=outputs(), data=st.data())
def test_a_growing_output_never_changes_the_pieces_that_were_whole(
    kept: Memory, data
) -> None:
    kept.cut = None
    seen = Memory(kept.data[: data.draw(st.integers(0, kept.size))])
    whole = [piece for piece in ahead(seen) if piece.how != OPEN]
    assert ahead(kept)[: len(whole)] == whole


def test_a_character_is_not_torn_where_a_long_line_is_broken() -> None:
    kept = Memory(("€" * 40).encode())
    parts = ahead(kept)
    assert len(parts) > 2
    assert "".join(part.data.decode() for part in parts) == "€" * 40
    assert {part.how for part in parts[:-1]} == {CONTINUED}


@st.composite
def two_streams(draw: st.DrawFn) -> tuple[dict[str, Memory], bytes]:
    """Two outputs and the marks of when they grew."""
    kept = {"out": draw(outputs()), "err": draw(outputs())}
    marks = b""
    for at in range(draw(st.integers(0, 6))):
        number = draw(st.integers(0, 1))
        size = draw(st.integers(0, kept[("out", "err")[number]].size))
        marks += MARK.pack(number, float(at), size)
    return kept, marks


def page_of(kept, marks, limit, start, *, is_ahead) -> log_pages.Page:
    walks = [
        Walk(
            name, one, Times(marks, name, begun=0, ended=9, last=9), Wanted(), Budget()
        )
        for name, one in kept.items()
    ]
    ends = {name: one.size for name, one in kept.items()}
    stop = ends if is_ahead else {"out": 0, "err": 0}
    return log_pages.page(walks, Stretch(start, stop, is_ahead), most=limit)


@settings(deadline=None)
@given(given_=two_streams(), limit=st.integers(1, 7), is_ahead=st.booleans())
def test_paging_tells_every_piece_of_both_streams_once(given_, limit, is_ahead) -> None:
    kept, marks = given_
    ends = {name: one.size for name, one in kept.items()}
    place, pages = {"out": 0, "err": 0} if is_ahead else ends, []
    for _ in range(1000):
        page = page_of(kept, marks, limit, place, is_ahead=is_ahead)
        pages.append(page.items)
        place = page.next if is_ahead else page.previous
        if not page.more:
            break
    items = [item for page in (pages if is_ahead else pages[::-1]) for item in page]
    for name, one in kept.items():
        assert [item.piece for item in items if item.stream == name] == ahead(one)
    if is_ahead:
        keys = [item.key for item in items]
        assert keys == sorted(keys)


def test_marks_tell_when_a_byte_was_written() -> None:
    marks = b"".join(MARK.pack(0, 10.0 * n, 100 * n) for n in range(1, 5))
    times = Times(marks, "out", begun=1, ended=39, last=38)
    assert [times.written(end) for end in (1, 100, 101, 400, 500)] == [
        *(10, 10, 20, 39, 39),
    ]
    assert times.not_before(101) == 10
    assert times.first_since(20) == 100
    assert times.last_until(20, 500) == 300


def test_marks_an_agent_forged_bring_no_disorder() -> None:
    nan = float("nan")
    marks = b"".join(
        MARK.pack(0, at, size)
        for at, size in [(5, 10), (3, 20), (nan, 30), (1e300, 5), (7, 40)]
    )
    times = Times(marks + b"half", "out", begun=1, ended=6, last=nan)
    assert [times.written(end) for end in (10, 20, 40)] == [5, 5, 6]
