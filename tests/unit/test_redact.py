"""Secrets are blotted out the same however the bytes are cut into pieces."""

from __future__ import annotations

import random
import tracemalloc
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitor.redact import MARK, Redactor, Stream

letters = st.text("ab", min_size=0, max_size=60)
needles = st.lists(st.text("ab", min_size=1, max_size=7), min_size=1, max_size=4)
cuts = st.lists(st.integers(0, 60), max_size=12)


def covered(data: bytes, secrets: list[str]) -> list[bool]:
    """By definition: each byte that is part of any occurrence."""
    found = [False] * len(data)
    for secret in secrets:
        needle = secret.encode()
        for at in range(len(data) - len(needle) + 1):
            if data[at : at + len(needle)] == needle:
                found[at : at + len(needle)] = [True] * len(needle)
    return found


def by_definition(data: bytes, secrets: list[str]) -> bytes:
    hidden, shown = covered(data, secrets), b""
    for at in range(len(data)):
        if not hidden[at]:
            shown += data[at : at + 1]
        elif at == 0 or not hidden[at - 1]:
            shown += MARK
    return shown


def pieces(data: bytes, where: list[int]) -> list[tuple[int, int]]:
    ends = sorted({min(at, len(data)) for at in where} | {0, len(data)})
    return list(pairwise(ends))


@given(letters, needles, cuts)
def test_pieces_of_a_stream_join_to_what_the_whole_shows(text, secrets, where) -> None:
    data = text.encode()
    stream = Stream(Redactor(secrets))
    shown = [stream.feed(data[a:b]) for a, b in pieces(data, where)]
    assert b"".join([*shown, stream.finish()]) == by_definition(data, secrets)


@given(letters, needles, cuts)
def test_pieces_read_anywhere_join_to_what_the_whole_shows(
    text, secrets, where
) -> None:
    data, redactor = text.encode(), Redactor(secrets)
    shown = b""
    for a, b in pieces(data, where):
        left = max(0, a - redactor.reach - 1)
        window = data[left : b + redactor.reach]
        shown += redactor.shown(window, a - left, b - left)
    assert shown == by_definition(data, secrets)


@given(letters, needles, st.integers(0, 60))
def test_what_is_settled_never_shows_the_first_part_of_a_secret(
    text, secrets, cut
) -> None:
    data, redactor = text.encode(), Redactor(secrets)
    cut = min(cut, len(data))
    upto = redactor.settled(data[:cut])
    early = redactor.shown(data[:cut], 0, upto)
    assert by_definition(data, secrets).startswith(early)


def blanked(redactor: Redactor, data: bytes, a: int, b: int) -> bytes:
    """A piece, judged with a margin on both sides."""
    left = max(0, a - redactor.reach)
    return redactor.blanked(data[left : b + redactor.reach])[a - left : b - left]


@given(letters, needles, cuts)
def test_blanked_pieces_are_as_long_as_they_were(text, secrets, where) -> None:
    data, redactor = text.encode() + b"-" * 8, Redactor(secrets)
    shown = b"".join(blanked(redactor, data, a, b) for a, b in pieces(data, where))
    hidden = zip(data, covered(data, secrets), strict=True)
    assert shown == bytes(b"*"[0] if is_in else byte for byte, is_in in hidden)


@given(letters, needles, st.integers(0, 60), cuts)
def test_a_growing_output_never_shows_what_becomes_a_secret(
    text, secrets, upto, where
) -> None:
    data, redactor = text.encode(), Redactor(secrets)
    early, hidden = data[:upto], covered(data, secrets)
    for a, b in pieces(early, where):
        shown = enumerate(blanked(redactor, early, a, b), a)
        assert all(byte == b"*"[0] for at, byte in shown if hidden[at])


def test_each_long_line_of_a_secret_is_one() -> None:
    key = "-----BEGIN-----\nMIIEvQIBADANBg\nshort\n"
    redactor = Redactor([key])
    told = b"got MIIEvQIBADANBg and short"
    assert redactor.shown(told, 0, len(told)) == b"got " + MARK + b" and short"


def test_memory_stays_the_same_however_much_passes() -> None:
    stream = Stream(Redactor(["x" * 1000, "sesame"]))
    piece = random.Random(7).randbytes(64 * 1024)
    stream.feed(piece)
    tracemalloc.start()
    for _ in range(100):
        stream.feed(piece)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000
