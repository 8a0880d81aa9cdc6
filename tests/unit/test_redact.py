"""Secrets are blotted out the same however the bytes are cut into pieces."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitor.redact import Redactor

letters = st.text("ab\n", min_size=0, max_size=60)
needles = st.lists(st.text("ab", min_size=1, max_size=7), min_size=1, max_size=4)
cuts = st.lists(st.integers(0, 60), max_size=12)


def by_definition(data: bytes, secrets: list[str]) -> bytes:
    """Each byte that is part of any occurrence."""
    found = bytearray(data)
    for secret in secrets:
        needle = secret.encode()
        for at in range(len(data) - len(needle) + 1):
            if data[at : at + len(needle)] == needle:
                found[at : at + len(needle)] = b"*" * len(needle)
    return bytes(found)


@given(letters, needles)
def test_every_byte_of_a_secret_is_covered_and_no_other(text, secrets) -> None:
    data = text.encode()
    assert Redactor(secrets).blotted(data) == by_definition(data, secrets)


@given(letters, needles, cuts)
def test_pieces_read_anywhere_join_to_what_the_whole_shows(
    text, secrets, where
) -> None:
    data, redactor = text.encode(), Redactor(secrets)
    ends = sorted({min(at, len(data)) for at in where} | {0, len(data)})
    shown = b""
    for a, b in pairwise(ends):
        left = max(0, a - redactor.reach)
        window = redactor.blotted(data[left : b + redactor.reach])
        shown += window[a - left : b - left]
    assert shown == redactor.blotted(data)


@given(needles, st.text("ab", max_size=20), st.integers(1, 6))
def test_it_is_known_how_much_of_a_secret_may_have_begun_at_the_end(
    secrets, before, length
) -> None:
    first = secrets[0].encode()
    begun = first[: min(length, len(first) - 1)]
    data = before.encode() + begun
    said = Redactor(secrets).begun(data)
    assert said >= len(begun)
    assert any(s.encode().startswith(data[len(data) - said :]) for s in secrets)


def test_each_long_line_of_a_secret_is_one_and_lines_stay_lines() -> None:
    redactor = Redactor(["-----BEGIN-----\nMIIEvQIBADANBg\nshort\n"])
    assert redactor.blotted(b"got MIIEvQIBADANBg and short") == (
        b"got ************** and short"
    )
    whole = b"-----BEGIN-----\nMIIEvQIBADANBg\nshort"
    assert redactor.blotted(whole).split(b"\n") == [b"*" * 15, b"*" * 14, b"*" * 5]
