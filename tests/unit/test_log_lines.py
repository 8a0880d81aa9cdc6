"""Every byte of an output is in exactly one piece, wherever one begins to read."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import log_lines
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


@settings(max_examples=400, deadline=None)
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


@settings(max_examples=400, deadline=None)
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


@settings(max_examples=200, deadline=None)
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
